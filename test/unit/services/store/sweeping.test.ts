/** Which containers are looked at next: each once in its span, fairly, and again if nothing came of it. */
import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Database, openDatabase } from "../../../../services/store/db.ts";
import { takeDue } from "../../../../services/store/due.ts";
import { claimSweeps, finishSweeps, type Wanted } from "../../../../services/store/sweeping.ts";
import { allAtOnce } from "../../../support/at-once.ts";
import { createDatabase, type TestDatabase } from "../../../support/postgres.ts";

const SPAN_MS = 3_600_000;
const WANTED: Wanted = { spanMs: SPAN_MS, share: 100, held: new Map(), most: 100 };

let created: TestDatabase;
let processes: readonly Database[];

beforeEach(async () => {
  created = await createDatabase({ migrated: true });
  processes = Array.from({ length: 4 }, () => openDatabase({ url: created.url, max: 1 }));
  await run(`
    insert into branchline.destination (name, kind, block, account, in_flight) values
      ('one', 'memory', '{}', 'shared', 4), ('two', 'memory', '{}', 'shared', 4), ('other', 'memory', '{}', null, 3);
    insert into branchline.source (name, kind, identity, block) values ('shop', 'memory', 'p1', '{}');
    insert into branchline.rule (name, source_id, destination_id, definition, revision)
      select 'rule', s.id, d.id, '{}', 1 from branchline.source s, branchline.destination d where d.name = 'one';
    insert into branchline.branch
      (source_id, neon_id, name, is_default, is_protected, state, annotations, neon_created_at, facts)
      select id, 'br-1', 'x', false, false, 'ready', '{}', now(), '' from branchline.source;
    insert into branchline.binding (rule_id, branch_id) select r.id, b.id from branchline.rule r, branchline.branch b`);
});

afterEach(async () => {
  await Promise.all(processes.map((database) => database.close()));
  await created.drop();
});

const first = (): Database => processes[0] ?? expect.unreachable();
const run = async (text: string) => await first().db.execute(sql.raw(text));

/** Containers of a destination with so many places each, due since so many seconds, with a name of ours at each. */
async function due(destination: string, containers: readonly string[], { places = 1, seconds = 1 } = {}) {
  await run(`
    insert into branchline.place (destination_id, key, container, target, sweep_at)
    select id, c || '/' || n, c, '{}', now() - interval '${seconds} s'
    from branchline.destination, unnest(array['${containers.join("','")}']) c, generate_series(1, ${places}) n
    where name = '${destination}';
    insert into branchline.ledger (place_id, name, binding_id)
      select p.id, 'A', b.id from branchline.place p, branchline.binding b on conflict do nothing`);
}

const named = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}${n}`);

async function claimed(wanted: Partial<Wanted> = {}): Promise<string[]> {
  return (await claimSweeps(first(), { ...WANTED, ...wanted })).map(({ container }) => container);
}

/** In spans from now, rounded up to a hundredth: what is left of a span that has just begun is 1. */
async function putOff(): Promise<Record<string, number>> {
  const { rows } = await run(`
    select key, ceil(extract(epoch from sweep_at - now()) * 100000 / ${SPAN_MS})::float8 / 100 as spans
    from branchline.place order by key`);
  return Object.fromEntries(rows.map(({ key, spans }) => [key, spans as number]));
}

describe("claiming containers", () => {
  test("takes those that have waited longest, of each account in turn, whole", async () => {
    await due("one", ["new"], { seconds: 5 });
    await due("two", ["old", "older"], { seconds: 60, places: 3 });
    await run("update branchline.place set sweep_at = now() + interval '1 hour' where key = 'old/2'");
    await due("other", ["last"], { seconds: 1 });
    await due("other", ["not yet"], { seconds: -60 });
    const taken = await claimSweeps(first(), { ...WANTED, most: 3 });
    expect(taken.map(({ account, container }) => [account === "shared", container])).toEqual([
      [true, expect.stringMatching(/^old/)],
      [false, "last"],
      [true, expect.stringMatching(/^old/)],
    ]);
    expect(await putOff()).toMatchObject({
      "old/2": 0.09,
      "older/3": 0.09,
      "last/1": 0.09,
      "not yet/1": 0.02,
    });
    expect(await claimed()).toEqual(["new"]);
    expect(await claimed()).toEqual([]);
  });

  test("takes of an account no more than its share, over all its destinations, less what is in hand", async () => {
    await due("one", named("a", 9), { seconds: 9 });
    await due("two", named("b", 9), { seconds: 9 });
    await due("other", named("c", 9));
    const { rows } = await run("select id from branchline.destination where name = 'two'");
    const held = new Map([[String(rows[0]?.["id"]), 2]]);
    const taken = await claimed({ share: 5, held });
    expect(taken.filter((container) => /^[ab]/.test(container))).toHaveLength(3);
    expect(taken.filter((container) => container.startsWith("c"))).toHaveLength(5);
  });

  test("an account with much to look at hides no other", async () => {
    await due("one", named("many", 400), { seconds: 60 });
    await due("other", ["few"]);
    expect(await claimed({ share: 4, most: 5 })).toContain("few");
  });

  test("gives each to one of those who ask at once", async () => {
    await due("one", named("a", 30), { places: 2 });
    const claims = () => Promise.all(processes.map((one) => claimSweeps(one, { ...WANTED, most: 10 })));
    const all = await allAtOnce(created.url, processes.length, claims);
    const containers = all.flat().map(({ container }) => container);
    expect(containers).toHaveLength(30);
    expect(new Set(containers).size).toBe(30);
  });

  test("is due again soon if nothing comes of it, each time after twice as long, and in a span at the latest", async () => {
    await due("one", ["a"]);
    const after: (number | undefined)[] = [];
    for (let n = 0; n < 6; n++) {
      await claimed();
      after.push((await putOff())["a/1"]);
      await run("update branchline.place set sweep_at = now()");
    }
    expect(after).toEqual([0.09, 0.17, 0.34, 0.67, 1, 1]);
  });
});

describe("a container that was looked at", () => {
  test("is put off by most of the span and never by more, each place by another time, and starts anew", async () => {
    await due("one", ["a"], { places: 60 });
    await claimed();
    await run("update branchline.place set sweep_at = now()");
    await finishSweeps(first().db, await claimSweeps(first(), WANTED), SPAN_MS);
    const { rows } = await run(`
      select min(extract(epoch from sweep_at - now()))::float8 * 1000 / ${SPAN_MS} as least,
        max(extract(epoch from sweep_at - now()))::float8 * 1000 / ${SPAN_MS} as most,
        count(distinct sweep_at)::int as different, max(sweep_tries) as tries from branchline.place`);
    expect(rows[0]).toMatchObject({ different: 60, tries: 0 });
    expect(rows[0]?.["most"]).toBeLessThanOrEqual(1);
    expect(rows[0]?.["most"]).toBeGreaterThan(0.9);
    expect(rows[0]?.["least"]).toBeGreaterThan(0.75);
    expect(rows[0]?.["least"]).toBeLessThan(0.9);
  });

  test("is the last look for a while at a place that has no name of ours", async () => {
    await due("one", ["a"], { places: 2 });
    await run(
      "delete from branchline.ledger l using branchline.place p where p.id = l.place_id and p.key = 'a/1'",
    );
    await finishSweeps(first().db, await claimSweeps(first(), WANTED), SPAN_MS);
    const { rows } = await run("select key from branchline.place where sweep_at is null");
    expect(rows).toEqual([{ key: "a/1" }]);
  });

  test("stays due where somebody asked for it meanwhile, or took it over", async () => {
    await due("one", ["a", "b"], { places: 2 });
    await due("one", ["c"]);
    const taken = await claimSweeps(first(), WANTED);
    await run(
      "update branchline.place set sweep_at = now() - interval '1 s' where key = 'a/1' or container = 'c'",
    );
    await claimSweeps(first(), { ...WANTED, most: 1 });
    await run("update branchline.place set sweep_at = now() - interval '1 s' where key = 'a/1'");
    const before = await putOff();
    await finishSweeps(first().db, taken, SPAN_MS);
    const after = await putOff();
    const moved = Object.keys(after).filter((key) => (after[key] ?? 0) > 0.5);
    expect(moved.filter((key) => key.startsWith("b"))).toEqual(["b/1", "b/2"]);
    expect(moved).not.toContain("a/1");
    expect(before["a/1"]).toBe(after["a/1"]);
  });
});

test("a dispatcher is told that there is something to look at, and only then", async () => {
  const told = async () => (await takeDue(first().db)).sweeps;
  await due("one", ["later"], { seconds: -60 });
  expect(await told()).toBe(false);
  await due("other", ["a"]);
  expect(await told()).toBe(true);
  await claimed();
  expect(await told()).toBe(false);
});
