/** The promises, one test each and named after it: what a user may rely on, on a real database. */
import { sql } from "drizzle-orm";
import { afterEach, describe, expect, test } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import { ingest } from "../../services/store/ingest.ts";
import { confirmMissing } from "../../services/store/source.ts";
import { SyncError } from "../../services/sync/errors.ts";
import { reconcile } from "../../workers/reconcile.ts";
import { watch } from "../../workers/watch.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";
import { type Hand, type HandOptions, startByHand } from "../support/hand.ts";
import { freezes, journalOf, misled, neverAnswers } from "../support/lies.ts";
import { startLogins } from "../support/logins.ts";
import { until } from "../support/until.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function byHand(options: Partial<HandOptions> & Pick<HandOptions, "projects">): Promise<Hand> {
  const hand = await startByHand({
    destinations: { memory: {} },
    rules: [ruleOf({ name: "web" })],
    ...options,
  });
  ends.push(hand.stop);
  return hand;
}

async function app(options: Parameters<typeof startApp>[0]): Promise<TestApp> {
  const started = await startApp(options);
  ends.push(started.stop);
  return started;
}

const { signal } = new AbortController();
const WRITE_ONLY = { values: "write-only", compareAndSet: false, createOnly: false, mark: false } as const;

/** The values at the one place of a branch. */
async function valuesOf(hand: Hand, branch: string): Promise<Record<string, string>> {
  const { destination, target } = await hand.binding(branch);
  return hand.store(destination).values(target ?? "");
}

/** Reconciles one branch and pushes its place, whatever else is due. */
async function hurry(hand: Hand, branch: string): Promise<void> {
  const [row] = await hand.rows<{ id: string }>(
    `select id from branchline.branch where name = '${branch}' and gone_at is null`,
  );
  await reconcile(hand.runtime, row?.id ?? "", signal);
  const [bound] = await hand.rows<{ place: string }>(
    `select place_id as place from branchline.binding where branch_id = '${row?.id}'`,
  );
  await hand.push(bound?.place ?? "");
}

async function lookOnly(hand: Hand): Promise<void> {
  const [row] = await hand.rows<{ id: string }>(
    "update branchline.source set due_at = now(), revision = revision + 1 returning id",
  );
  await watch(hand.runtime, row?.id ?? "", signal);
}

test("P1 durable: an event that was accepted is acted upon, though its process died right after", async () => {
  const project = new MemoryProject("p1");
  const hand = await byHand({ projects: [project] });
  await hand.look();
  project.addBranch("preview/x");
  const receiver = hand.mortal();
  const [taken] = await ingest(receiver.runtime.database.db, [
    {
      origin: "github",
      deliveryId: "d1",
      kind: "create",
      sources: ["shop"],
      project: null,
      neonBranchId: null,
      wakes: false,
      subject: {},
      ignored: null,
    },
  ]);
  receiver.die();
  expect(taken?.outcome).toBe("accepted");
  await hand.drain();
  expect(await hand.binding("preview/x")).toMatchObject({ state: "synced" });
  const [event] = await hand.rows<{ outcome: string }>(
    "select outcome from branchline.event where delivery_id = 'd1'",
  );
  expect(event?.outcome).toBe("processed");
});

describe("P2 newest wins", () => {
  test.each([
    ["one secret", { grain: "atomic" }],
    ["name by name", {}],
  ] as const)(
    "under compare-and-set an older value is never there after a newer one, %s",
    async (_, options) => {
      const project = new MemoryProject("p1");
      const hand = await byHand({ projects: [project], destinations: { memory: options } });
      const id = project.addBranch("preview/x");
      await hand.look();
      const journal = journalOf(hand.store("memory"));
      const passwords = [project.rotate(id, "app_owner")];
      await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).wanted === 2);
      const place = await hand.place("memory");
      const frozen = freezes(hand.store("memory"), "apply");
      const older = hand.push(place);
      await until(() => frozen.reached);
      await hand.age("place", place);
      passwords.push(project.rotate(id, "app_owner"));
      await hand.look();
      frozen.goOn();
      await older;
      await hand.drain();
      const written = journal.map(({ value }) => passwords.findIndex((word) => value?.includes(word)));
      expect(written).toEqual([...written].sort());
      expect(Object.values(await valuesOf(hand, "preview/x")).join()).toContain(passwords[1]);
    },
  );

  test("even for a name that somebody took away, where only its absence can be compared", async () => {
    const project = new MemoryProject("p1");
    const hand = await byHand({ projects: [project] });
    const id = project.addBranch("preview/x");
    await hand.look();
    const { target } = await hand.binding("preview/x");
    for (const name of ["DATABASE_URL", "DATABASE_URL_UNPOOLED"])
      hand.store("memory").remove(target ?? "", name, 0);
    project.rotate(id, "app_owner");
    await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).wanted === 2);
    const place = await hand.place("memory");
    const frozen = freezes(hand.store("memory"), "apply");
    const older = hand.push(place);
    await until(() => frozen.reached);
    await hand.age("place", place);
    const newest = project.rotate(id, "app_owner");
    await hand.look();
    const journal = journalOf(hand.store("memory"));
    frozen.goOn();
    await older;
    expect(journal).toEqual([]);
    expect(Object.values(await valuesOf(hand, "preview/x")).join()).toContain(newest);
  });

  test("without it an older value is found and replaced", async () => {
    const project = new MemoryProject("p1");
    const hand = await byHand({ projects: [project], destinations: { memory: WRITE_ONLY } });
    const id = project.addBranch("preview/x");
    await hand.look();
    const { target } = await hand.binding("preview/x");
    const old = hand.store("memory").values(target ?? "")["DATABASE_URL"] ?? "";
    const newest = project.rotate(id, "app_owner");
    await hand.look();
    hand.store("memory").putForeign(target ?? "", "DATABASE_URL", old);
    await hand.sweep();
    expect((await valuesOf(hand, "preview/x"))["DATABASE_URL"]).toContain(newest);
  });
});

test("P3 converges: when every fault has ended all is in step, without a person", async () => {
  const project = new MemoryProject("p1");
  const names = ["memory", "atomic", "blind"];
  const started = await app({
    projects: [project],
    destinations: { memory: {}, atomic: { grain: "atomic" }, blind: WRITE_ONLY },
    rules: names.map((destination) => ruleOf({ name: destination, destination })),
    settings: { settleMs: 100 },
  });
  for (const name of names) {
    started.store(name).fault({ kind: "error", code: "unavailable", times: 2 });
    started.store(name).fault({ kind: "die-after-applying", during: "apply", times: 2 });
    started.store(name).fault({ kind: "hang", during: "apply", times: 1 });
    started.store(name).fault({ kind: "error", code: "rate_limited", retryAfterMs: 50, times: 1 });
  }
  const ids = ["a", "b", "c"].map((name) => project.addBranch(`preview/${name}`));
  await started.settled("preview/a", ["synced", "retrying"]);
  for (const id of ids) project.rotate(id, "app_owner");
  await until(
    async () => {
      const all = await started.bindings();
      return (
        all.length === 9 &&
        all.every(({ state, branch, destination, target }) => {
          const index = ["preview/a", "preview/b", "preview/c"].indexOf(branch.name);
          const password = project.passwordOf(ids[index] ?? "", "app_owner") ?? "-";
          const value = started.store(destination).values(target ?? "")["DATABASE_URL"];
          return state === "synced" && value?.includes(password) === true;
        })
      );
    },
    { timeoutMs: 25_000, what: "all nine to be in step" },
  );
});

describe("P3 what cannot be done is parked with a code, a cause and the next action", () => {
  test("a target that is not there", async () => {
    const project = new MemoryProject("p1");
    const hand = await byHand({ projects: [project] });
    hand.store("memory").token = "another";
    project.addBranch("preview/x");
    await hand.look();
    const parked = await hand.binding("preview/x");
    expect(parked).toMatchObject({ state: "parked", code: "unauthenticated" });
    expect(parked.cause).toBeTruthy();
    expect(parked.next).toBeTruthy();
  });

  test("a credential that the server does not have", async () => {
    const project = new MemoryProject("p1");
    const hand = await byHand({ projects: [project] });
    await hand.configure([ruleOf({ name: "web" })], [project], {
      memory: { store: "anywhere", token: "env:NOWHERE" },
    });
    const resolve = () => {
      throw new SyncError("unauthenticated", "env:NOWHERE is not set");
    };
    const broken = { ...hand.runtime, resolve };
    project.addBranch("preview/x");
    await hand.lookWithoutPushing(async () => (await hand.bindings("preview/x")).length === 1);
    await hand.push(await hand.place("memory"), broken);
    expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "unauthenticated" });
  });
});

test("P4 no secret at rest: no table, no job and no line of the log holds a password", async () => {
  const project = new MemoryProject("p1");
  const started = await app({
    projects: [project],
    destinations: { memory: {}, broken: {} },
    rules: ["memory", "broken"].map((destination) => ruleOf({ name: destination, destination })),
  });
  started.store("broken").fault({ kind: "error", code: "forbidden" });
  const id = project.addBranch("preview/x");
  await started.settled("preview/x", ["synced", "parked"]);
  const secrets = [project.passwordOf(id, "app_owner") ?? "", project.rotate(id, "app_owner")];
  await until(async () => {
    const [one] = (await started.bindings()).filter(({ rule }) => rule === "memory");
    return one?.state === "synced" && one.applied === 2;
  });
  const { rows: tables } = await started.database.db.execute<{ name: string }>(sql`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')`);
  expect(tables.length).toBeGreaterThan(15);
  for (const { name } of tables) {
    const { rows } = await started.database.db.execute<{ row: string }>(
      sql.raw(`select t::text as row from ${name} t`),
    );
    const text = rows.map(({ row }) => row).join("\n");
    for (const secret of secrets) expect(text.includes(secret), name).toBe(false);
  }
  for (const secret of secrets) expect(started.log.join("\n").includes(secret)).toBe(false);
});

describe("P5 only ours", () => {
  test.each([
    ["name by name", {}],
    ["one secret", { grain: "atomic" }],
    ["write-only", WRITE_ONLY],
  ] as const)("a name that was there before is parked and left as it is, %s", async (_, options) => {
    const project = new MemoryProject("p1");
    const hand = await byHand({ projects: [project], destinations: { memory: options } });
    const store = hand.store("memory");
    project.addBranch("preview/x");
    await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).target !== null);
    const target = (await hand.binding("preview/x")).target ?? "";
    store.putForeign(target, "DATABASE_URL", "theirs");
    await hand.drain();
    expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "not_owned", names: [] });
    expect(store.values(target)).toEqual({ DATABASE_URL: "theirs" });

    await hand.configure([ruleOf({ name: "web", adopt: ["DATABASE_URL", "DATABASE_URL_UNPOOLED"] })]);
    await hand.drain();
    expect(await hand.binding("preview/x")).toMatchObject({ state: "synced" });
    expect(store.values(target)["DATABASE_URL"]).toContain("postgresql://");
  });

  test("what came between our look and our first write is neither overwritten nor taken away", async () => {
    const project = new MemoryProject("p1");
    const hand = await byHand({ projects: [project] });
    const store = hand.store("memory");
    const id = project.addBranch("preview/x");
    await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).target !== null);
    const target = (await hand.binding("preview/x")).target ?? "";
    const frozen = freezes(store, "apply");
    const pushed = hand.push(await hand.place("memory"));
    await until(() => frozen.reached);
    store.putForeign(target, "DATABASE_URL", "theirs");
    frozen.goOn();
    await pushed;
    await hand.drainUntil(
      "it to be parked",
      async () => (await hand.binding("preview/x")).code === "not_owned",
    );
    expect(store.values(target)["DATABASE_URL"]).toBe("theirs");
    project.removeBranch(id);
    await hand.look();
    await hand.drainUntil(
      "it to be removed",
      async () => (await hand.binding("preview/x")).state === "removed",
    );
    expect(store.values(target)).toEqual({ DATABASE_URL: "theirs" });
  });
});

test("P6 isolation: destinations that never answer delay no other", async () => {
  const project = new MemoryProject("p1");
  const dead = ["dead1", "dead2", "dead3", "dead4", "dead5", "dead6"];
  const started = await app({
    projects: [project],
    destinations: Object.fromEntries(["memory", ...dead].map((name) => [name, {}])),
    rules: dead.map((destination) => ruleOf({ name: destination, destination })),
  });
  const hanging = dead.map((name) => neverAnswers(started.store(name)));
  for (let n = 0; n < 6; n += 1) project.addBranch(`preview/${n}`);
  const leased = async (): Promise<number> => {
    const { rows } = await started.database.db.execute<{ n: number }>(
      sql`select count(*)::int as n from branchline.place where lease_until > now()`,
    );
    return rows[0]?.n ?? 0;
  };
  await until(async () => (await leased()) >= 16);
  // Every push that can hang does by now; one destination more, and it is as quick as ever.
  await started.configure(
    [...dead, "memory"].map((destination) => ruleOf({ name: destination, destination })),
  );
  await until(
    async () => {
      const mine = (await started.bindings()).filter(({ destination }) => destination === "memory");
      return mine.length === 6 && mine.every(({ state }) => state === "synced");
    },
    { what: "the one that answers" },
  );
  expect(await leased()).toBeGreaterThanOrEqual(16);
  for (const one of hanging) one.stop();
});

test("P6 isolation: a destination that never answers keeps nobody from finding drift at another", async () => {
  const project = new MemoryProject("p1");
  const started = await app({
    projects: [project],
    destinations: { dead: {}, memory: {} },
    rules: ["dead", "memory"].map((destination) => ruleOf({ name: destination, destination })),
  });
  const names = Array.from({ length: 20 }, (_, n) => `preview/${n}`);
  for (const name of names) project.addBranch(name);
  await until(async () => {
    const all = await started.bindings();
    return all.length === 40 && all.every(({ state }) => state === "synced");
  });
  const hanging = neverAnswers(started.store("dead"));
  const { db } = started.database;
  const sweepNow = async (destination: string, seconds: number): Promise<void> => {
    await db.execute(sql`
      update branchline.place p set sweep_at = now() - ${seconds} * interval '1 s'
      from branchline.destination d where d.id = p.destination_id and d.name = ${destination}`);
  };
  await sweepNow("dead", 60);
  await until(async () => {
    const { rows } = await db.execute(sql`select 1 from branchline.place where sweep_tries > 0`);
    return rows.length >= 4;
  });
  const [mine] = (await started.bindings()).filter(({ destination }) => destination === "memory");
  const target = mine?.target ?? "";
  const before = started.store("memory").values(target);
  started.store("memory").putForeign(target, "DATABASE_URL", "postgres://somebody:else@example.com/db");
  await sweepNow("memory", 1);
  await until(() => started.store("memory").values(target)["DATABASE_URL"] === before["DATABASE_URL"], {
    what: "the drift to be repaired",
  });
  hanging.stop();
});

test("P3 a look that came to nothing is made again soon, and then all is as before", async () => {
  const project = new MemoryProject("p1");
  const hand = await byHand({ projects: [project] });
  project.addBranch("preview/x");
  await hand.look();
  const next = async () =>
    await hand.rows(`
      select sweep_tries as tries, sweep_at < now() + interval '6 minutes' as soon from branchline.place`);
  hand.store("memory").fault({ kind: "error", code: "unavailable", during: "observe", times: 1 });
  await hand.sweep();
  expect(await next()).toEqual([{ tries: 1, soon: true }]);
  await hand.sweep();
  expect(await next()).toEqual([{ tries: 0, soon: false }]);
});

describe("P7 safe reads", () => {
  const twelve = async () => {
    const project = new MemoryProject("p1");
    const lies = misled(project);
    const hand = await byHand({ projects: [project] });
    const ids = Array.from({ length: 12 }, (_, n) => project.addBranch(`preview/${n}`));
    await hand.look();
    expect((await hand.bindings()).filter(({ state }) => state === "synced")).toHaveLength(12);
    const journal = journalOf(hand.store("memory"));
    return { project, lies, hand, ids, journal };
  };

  test.each([
    ["an empty list", () => []],
    ["half a list", (all: readonly unknown[]) => all.slice(0, 6)],
    ["a list without two of them", (all: readonly unknown[]) => all.slice(2)],
  ])("%s deletes nothing, however often it comes", async (_, list) => {
    const { lies, hand, journal } = await twelve();
    lies.list = list as never;
    for (let n = 0; n < 4; n += 1) await hand.look();
    expect(journal).toEqual([]);
    lies.list = null;
    await hand.look();
    const [source] = await hand.rows<{ held: boolean }>(
      "select held_since is not null as held from branchline.source",
    );
    expect(source?.held).toBe(false);
    expect((await hand.bindings()).filter(({ state }) => state === "synced")).toHaveLength(12);
  });

  test("lists and a 404 that lie are found out before anything is deleted", async () => {
    const { lies, hand, journal } = await twelve();
    lies.list = (all) => all.filter(({ name }) => name !== "preview/3");
    lies.one = () => null;
    await hand.lookWithoutPushing(async () => {
      const buried = await hand.rows("select 1 from branchline.branch where gone_at is not null");
      return buried.length === 1;
    });
    lies.list = null;
    lies.one = null;
    await hand.drainUntil("all to be in step", async () => {
      await hand.look();
      const live = (await hand.bindings()).filter(({ state }) => state === "synced");
      return live.length === 12;
    });
    expect(journal.filter(({ value }) => value === null)).toEqual([]);
  });

  test("more than 30 % gone at once holds every delete until someone says so", async () => {
    const { project, hand, ids, journal } = await twelve();
    for (const id of ids.slice(0, 5)) project.removeBranch(id);
    for (let n = 0; n < 4; n += 1) await hand.look();
    expect(journal).toEqual([]);
    const held = await hand.rows("select 1 from branchline.event where kind = 'deletes.held'");
    expect(held).toHaveLength(1);
  });

  test("what somebody has confirmed is forgotten once the branches are back", async () => {
    const { lies, hand, ids, journal } = await twelve();
    const without = (all: readonly { id: string }[]) => all.filter(({ id }) => !ids.slice(0, 7).includes(id));
    lies.list = without as never;
    lies.one = () => null;
    await hand.look();
    const [source] = await hand.rows<{ id: string }>("select id from branchline.source");
    expect(await confirmMissing(hand.runtime.database.db, source?.id ?? "", null)).toHaveLength(7);
    lies.list = null;
    await hand.look();
    lies.list = without as never;
    for (let n = 0; n < 4; n += 1) await hand.look();
    expect(await hand.rows("select 1 from branchline.branch where gone_at is not null")).toEqual([]);
    expect(journal).toEqual([]);
  });

  test("four of twelve are believed, after two lists and a 404 each", async () => {
    const { project, hand, ids, journal } = await twelve();
    for (const id of ids.slice(0, 4)) project.removeBranch(id);
    // No further back than this: a look that drains may find the second one due already.
    await lookOnly(hand);
    await hand.rows("update branchline.source set due_at = null");
    await hand.drain();
    expect(journal).toEqual([]);
    await hand.look();
    await hand.drainUntil("them to be gone", async () => {
      return (await hand.bindings()).filter(({ state }) => state === "removed").length === 4;
    });
    expect(journal.filter(({ value }) => value === null)).toHaveLength(8);
  });

  test("a vendor that shows nothing, or not all, loses nothing", async () => {
    const { hand, journal } = await twelve();
    const store = hand.store("memory");
    for (let n = 0; n < 12; n += 1) store.hiding.add(`${n}`);
    await hand.sweep();
    store.fault({ kind: "error", code: "unavailable", during: "observe", times: 12 });
    await hand.sweep();
    expect(journal).toEqual([]);
  });
});

describe("P8 no production in preview", () => {
  const refused = async (hand: Hand, branch: string) => {
    const binding = await hand.binding(branch);
    expect(binding).toMatchObject({ code: "policy", state: "parked" });
    expect(await valuesOf(hand, branch)).toEqual({});
  };

  test("the default branch and a protected one are refused, and pass with a reason in words", async () => {
    const project = new MemoryProject("p1");
    const rule = ruleOf({
      name: "web",
      branches: { include: ["**"] },
      target: { environment: "preview", group: "${branch.name|slug}" },
    });
    const hand = await byHand({ projects: [project], rules: [rule] });
    project.addBranch("release", { protected: true });
    await hand.look();
    await refused(hand, "main");
    await refused(hand, "release");
    await hand.configure([{ ...rule, productionReason: "the demo shows production on purpose" }]);
    await hand.drain();
    expect(await hand.binding("main")).toMatchObject({ state: "synced" });
    expect(await hand.binding("release")).toMatchObject({ state: "synced" });
  });

  test("a password that a protected branch still accepts is refused", async () => {
    const project = new MemoryProject("p1");
    const hand = await byHand({ projects: [project] });
    const release = project.addBranch("release");
    project.addBranch("preview/x", { parent: release });
    project.protect(release);
    await hand.look();
    await hand.drainUntil("the refusal", async () => (await hand.binding("preview/x")).state === "parked");
    await refused(hand, "preview/x");
  });

  test("and before anybody has read that branch's passwords, it waits", async () => {
    const project = new MemoryProject("p1");
    const hand = await byHand({ projects: [project] });
    const release = project.addBranch("release");
    await hand.look();
    // Known as nobody's business and read as such; from now on it is production.
    project.addBranch("preview/x", { parent: release });
    project.protect(release);
    await lookOnly(hand);
    await hurry(hand, "preview/x");
    expect(await valuesOf(hand, "preview/x")).toEqual({});
    expect(await hand.binding("preview/x")).toMatchObject({ state: "retrying", code: "unavailable" });
    await hand.drainUntil("the refusal", async () => (await hand.binding("preview/x")).state === "parked");
    await refused(hand, "preview/x");
  });

  test("nor does a branch pass with a password that production has had since a moment ago", async () => {
    const project = new MemoryProject("p1");
    const hand = await byHand({
      projects: [project],
      rules: [ruleOf({ name: "web", inheritedPassword: "refuse" })],
    });
    await hand.look();
    project.rotate(project.mainId, "app_owner");
    project.addBranch("preview/x");
    await lookOnly(hand);
    await hurry(hand, "preview/x");
    expect(await valuesOf(hand, "preview/x")).toEqual({});
    await hand.drainUntil("the refusal", async () => (await hand.binding("preview/x")).state === "parked");
    await refused(hand, "preview/x");
  });

  test("nor with one that production got, and its child inherited, while we asked what had moved", async () => {
    const project = new MemoryProject("p1");
    const lies = misled(project);
    const hand = await byHand({
      projects: [project],
      rules: [ruleOf({ name: "web", inheritedPassword: "refuse" })],
    });
    await hand.look();
    lies.beforeList = () => {
      lies.beforeList = null;
      project.rotate(project.mainId, "app_owner");
      project.addBranch("preview/x");
    };
    await lookOnly(hand);
    await hurry(hand, "preview/x");
    expect(await valuesOf(hand, "preview/x")).toEqual({});
    await hand.drainUntil("the refusal", async () => (await hand.binding("preview/x")).state === "parked");
    await refused(hand, "preview/x");
  });
  test.each([
    ["a default branch, where the rule refuses", false],
    ["a protected branch, whatever the rule says", true],
  ])("nor with one that %s got by SQL since it was last read", async (_, isProtected) => {
    const project = new MemoryProject("p1");
    const hand = await byHand({
      projects: [project],
      rules: [ruleOf({ name: "web", ...(isProtected ? {} : { inheritedPassword: "refuse" }) })],
    });
    const production = isProtected ? project.addBranch("release", { protected: true }) : project.mainId;
    const preview = project.addBranch("preview/x");
    project.changePasswordBySql(preview, "app_owner", "its-own");
    await hand.look();
    const before = await valuesOf(hand, "preview/x");
    expect(JSON.stringify(before)).toContain("its-own");
    // As a restore would do it. Only the preview is looked at.
    for (const id of [production, preview]) project.changePasswordBySql(id, "app_owner", "taken-over");
    await hand.rows(
      "update branchline.branch set due_at = now(), revision = revision + 1 where name = 'preview/x'",
    );
    await hurry(hand, "preview/x");
    expect(await valuesOf(hand, "preview/x")).toEqual(before);
    expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "policy" });
  });
});

describe("P9 bundle", () => {
  test.each([
    ["a name that the vendor refuses", "BAD-NAME", null],
    ["a name that somebody else has", "TAKEN", "not_owned"],
  ] as const)("%s parks all of it, and nothing is written", async (_, name, code) => {
    const project = new MemoryProject("p1");
    const rule = ruleOf({ name: "web", variables: { DATABASE_URL: "pooled", [name]: "direct" } });
    const hand = await byHand({ projects: [project], rules: [rule] });
    project.addBranch("preview/x");
    await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).target !== null);
    const target = (await hand.binding("preview/x")).target ?? "";
    hand.store("memory").putForeign(target, "TAKEN", "theirs");
    await hand.drain();
    const binding = await hand.binding("preview/x");
    expect(binding).toMatchObject({ state: "parked", code: code ?? "invalid_secret" });
    expect(binding.cause).toContain(name);
    expect(hand.store("memory").values(target)).toEqual({ TAKEN: "theirs" });
  });

  test("a bundle that is half written is not called synced, and is finished", async () => {
    const project = new MemoryProject("p1");
    const hand = await byHand({ projects: [project] });
    project.addBranch("preview/x");
    await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).target !== null);
    const store = hand.store("memory");
    const enter = store.enter.bind(store);
    let applies = 0;
    store.enter = async (during, where, stop) => {
      applies += Number(during === "apply");
      if (applies === 2) store.fault({ kind: "error", code: "unavailable", during: "apply", times: 1 });
      return await enter(during, where, stop);
    };
    await hand.push(await hand.place("memory"));
    expect(await hand.binding("preview/x")).toMatchObject({ state: "retrying", code: "partial" });
    await hand.drainUntil(
      "it to be finished",
      async () => (await hand.binding("preview/x")).state === "synced",
    );
    expect(Object.keys(await valuesOf(hand, "preview/x"))).toHaveLength(2);
  });

  test("a name that is renamed is there under one of its names at every moment", async () => {
    const project = new MemoryProject("p1");
    const rule = ruleOf({ name: "web", policy: "mirror", variables: { DATABASE_URL: "pooled" } });
    const hand = await byHand({ projects: [project], rules: [rule] });
    project.addBranch("preview/x");
    await hand.look();
    const journal = journalOf(hand.store("memory"));
    await hand.configure([{ ...rule, variables: { DB_URL: "pooled" } }]);
    await hand.drain();
    expect(journal.map(({ name, value }) => [name, value !== null])).toEqual([
      ["DB_URL", true],
      ["DATABASE_URL", false],
    ]);
  });
});

describe("P10 proof", () => {
  test("a login is tried over the pooled and the direct host before its string is published", async () => {
    const project = new MemoryProject("p1");
    const logins = await startLogins([project]);
    ends.push(logins.close);
    const hand = await byHand({
      projects: [project],
      rules: [ruleOf({ name: "web", proof: "onChange" })],
      dial: logins.dial,
    });
    const id = project.addBranch("preview/x");
    const published: { value: string | null; proven: boolean }[] = [];
    const journal = journalOf(hand.store("memory"));
    Object.defineProperty(journal, "push", {
      value: ({ value }: { value: string | null }) => {
        const hosts = logins.tried
          .filter(({ ok, password }) => ok && value?.includes(password))
          .map(({ host }) => host);
        published.push({
          value,
          proven: new Set(hosts).size === 2 && hosts.some((host) => host.includes("-pooler.")),
        });
      },
    });
    await hand.look();
    project.rotate(id, "app_owner");
    await hand.look();
    expect(published).toHaveLength(4);
    expect(published.every(({ proven }) => proven)).toBe(true);
  });

  test("a login that fails is not published, and says why", async () => {
    const project = new MemoryProject("p1");
    const logins = await startLogins([project]);
    ends.push(logins.close);
    const hand = await byHand({
      projects: [project],
      rules: [ruleOf({ name: "web", proof: "onChange" })],
      dial: logins.dial,
    });
    const id = project.addBranch("preview/x");
    await hand.look();
    const before = await valuesOf(hand, "preview/x");
    logins.server.behave({ kind: "error", code: "28P01", message: "password authentication failed" });
    project.rotate(id, "app_owner");
    await hand.look();
    expect(await valuesOf(hand, "preview/x")).toEqual(before);
    expect(await hand.binding("preview/x")).toMatchObject({ code: "proof_failed", applied: 1, wanted: 2 });
    logins.server.behave({ kind: "login" });
    await hand.drainUntil("the new one", async () => (await hand.binding("preview/x")).applied === 2);
    expect(await valuesOf(hand, "preview/x")).not.toEqual(before);
  });
});
