/** What dispatchers claim: never more for an account than it takes at once, whoever asks, and of each branch in turn. */
import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Database, openDatabase } from "../../../../services/store/db.ts";
import { claimDue } from "../../../../services/store/due.ts";
import { allAtOnce } from "../../../support/at-once.ts";
import { createDatabase, type TestDatabase } from "../../../support/postgres.ts";

let created: TestDatabase;
let processes: readonly Database[];

beforeEach(async () => {
  created = await createDatabase({ migrated: true });
  processes = Array.from({ length: 6 }, () => openDatabase({ url: created.url, max: 1 }));
  await run(`
    insert into branchline.source (name, kind, identity, block) values ('shop', 'memory', 'p1', '{}');
    insert into branchline.destination (name, kind, block, account, in_flight) values
      ('one', 'memory', '{}', 'shared', 4), ('two', 'memory', '{}', 'shared', 4), ('other', 'memory', '{}', null, 3);
    insert into branchline.rule (name, source_id, destination_id, definition, revision)
      select 'rule' || n, s.id, d.id, '{}', 1
      from generate_series(1, 10) n, branchline.source s, branchline.destination d where d.name = 'one';
    insert into branchline.branch
      (source_id, neon_id, name, is_default, is_protected, state, annotations, neon_created_at, facts)
      select s.id, 'br-' || n, n, false, false, 'ready', '{}', now(), ''
      from generate_series(1, 2) n, branchline.source s;`);
});

afterEach(async () => {
  await Promise.all(processes.map((database) => database.close()));
  await created.drop();
});

const first = (): Database => processes[0] ?? expect.unreachable();
const run = async (text: string) => await first().db.execute(sql.raw(text));

/** Places at a destination, due since so many seconds. */
const place = async (
  destination: string,
  names: readonly string[],
  seconds: number,
  also = "null",
): Promise<void> => {
  await run(`
    insert into branchline.place (destination_id, key, container, target, due_at, lease_until)
    select id, n, n, '{}', now() - interval '${seconds} s', ${also}
    from branchline.destination, unnest(array['${names.join("','")}']) n where name = '${destination}'`);
};

const named = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}${n}`);

async function claimed(by: readonly Database[]): Promise<string[]> {
  const ids = (await Promise.all(by.map(async ({ db }) => await claimDue(db, "push")))).flat();
  const { rows } = await first().db.execute<{ id: string; key: string }>(
    sql`select id, key from branchline.place`,
  );
  return ids.map((id) => rows.find((row) => row.id === id)?.key ?? id).sort();
}

describe("claiming pushes", () => {
  test("takes what the account has room for, of all its destinations and by all dispatchers together", async () => {
    await place("one", ["held1"], 9, "now() + interval '1 minute'");
    await place("two", ["held2"], 9, "now() + interval '1 minute'");
    await place("one", named("a", 8), 5);
    await place("two", named("b", 8), 5);
    await place("other", named("c", 8), 1);
    const keys = await allAtOnce(created.url, processes.length, async () => await claimed(processes));
    expect(keys.filter((key) => /^[ab]/.test(key))).toHaveLength(2);
    expect(keys.filter((key) => key.startsWith("c"))).toHaveLength(3);
    // What is queued counts like what is leased.
    expect(await claimed(processes)).toEqual([]);
  });

  test("lets those begin first that have the longest way to go, of each account in turn", async () => {
    await place("other", ["short 1", "short 2"], 60);
    await place("one", ["long 1", "long 2"], 1);
    const ids = await claimDue(first().db, "push");
    const { rows } = await run("select id, split_part(key, ' ', 1) as key from branchline.place");
    const order = ids.map((id) => rows.find((row) => row["id"] === id)?.["key"]);
    expect(order).toEqual(["long", "short", "long", "short"]);
  });

  test("takes the oldest, but of each branch in turn", async () => {
    await place("one", named("many", 9), 60);
    await place("one", ["few"], 1);
    await run(`
      insert into branchline.binding (rule_id, branch_id, place_id)
      select r.id, b.id, p.id from branchline.place p
      join branchline.rule r on r.name = 'rule' || (case when p.key = 'few' then '1' else right(p.key, 1)::int + 1 end)
      join branchline.branch b on b.name = case when p.key = 'few' then '2' else '1' end`);
    const keys = await claimed(processes.slice(0, 1));
    expect(keys).toHaveLength(4);
    expect(keys).toContain("few");
  });

  /** One branch with so many places that have been due for long, another with one that has just become so. */
  const crowd = async (many: number): Promise<void> => {
    await run(`
      insert into branchline.rule (name, source_id, destination_id, definition, revision)
      select 'more' || n, s.id, d.id, '{}', 1
      from generate_series(0, ${many}) n, branchline.source s, branchline.destination d where d.name = 'one'`);
    await place("one", named("many", many), 60);
    await place("two", ["few"], 1);
    await run(`
      insert into branchline.binding (rule_id, branch_id, place_id)
      select r.id, b.id, p.id from branchline.place p
      join branchline.branch b on b.name = case when p.key = 'few' then '2' else '1' end
      join branchline.rule r on r.name = 'more' || case when p.key = 'few' then '0' else substr(p.key, 5) end`);
  };

  test("takes of each branch in turn, however many of another's have been due for longer", async () => {
    await crowd(300);
    await place("one", ["unbound"], 2);
    const keys = await claimed(processes.slice(0, 1));
    expect(keys).toHaveLength(4);
    expect(keys).toEqual(expect.arrayContaining(["few", "unbound"]));
  });

  test.each([9, 300])(
    "counts what a branch has under way: another's turn is before its next of %i",
    async (many) => {
      await crowd(many);
      await run(`
      update branchline.place set lease_until = now() + interval '1 minute' where key in ('many1', 'many2', 'many3')`);
      expect(await claimed(processes.slice(0, 1))).toEqual(["few"]);
    },
  );

  /** Rows of places and bindings that one claim looks at. */
  const cost = async (): Promise<number> => {
    const looked = async (): Promise<number> => {
      await run("select pg_stat_force_next_flush()");
      const { rows } = await run(`
        select sum(seq_tup_read + idx_tup_fetch)::int as n from pg_stat_user_tables
        where schemaname = 'branchline' and relname in ('place', 'binding')`);
      return Number(rows[0]?.["n"]);
    };
    await run("analyze branchline.place, branchline.binding");
    const before = await looked();
    await claimDue(first().db, "push");
    return (await looked()) - before;
  };

  test("costs nothing for what waits at an account that has no room", async () => {
    await place("one", named("held", 4), 9, "now() + interval '1 minute'");
    await place("two", named("a", 2_000), 5);
    const few = await cost();
    await place("two", named("b", 10_000), 5);
    expect((await cost()) - few).toBeLessThan(100);
  });

  test("costs no more the more branches wait for the next room", async () => {
    await place("one", named("held", 3), 9, "now() + interval '1 minute'");
    await place("two", named("a", 2_000), 5);
    await cost();
    await run("update branchline.place set lease_until = null, due_at = null where key = 'held0'");
    const few = await cost();
    await place("two", named("b", 10_000), 5);
    await run("update branchline.place set lease_until = null, due_at = null where key = 'held1'");
    expect((await cost()) - few).toBeLessThan(100);
    expect(await claimed(processes.slice(0, 1))).toEqual([]);
  });
});
