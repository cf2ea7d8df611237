/** What goes wrong in the long run: work that kills, other writers, lost queues, doubtful writes, suspension. */
import { sql } from "drizzle-orm";
import { afterEach, describe, expect, test } from "vitest";
import type { Caller } from "../../services/api/ports.ts";
import { createTell } from "../../services/api/tell.ts";
import type { MemoryOptions } from "../../services/destinations/memory.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { withoutDeadlock } from "../../services/store/db.ts";
import { ingest } from "../../services/store/ingest.ts";
import { resumeAll, suspendAll } from "../../services/store/installation.ts";
import { SyncError } from "../../services/sync/errors.ts";
import { ruleOf, startApp } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";
import { freezes, journalOf, misled } from "../support/lies.ts";
import { until } from "../support/until.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const WRITE_ONLY = { values: "write-only", compareAndSet: false, createOnly: false, mark: false } as const;

async function synced(options: MemoryOptions = {}, rules = [ruleOf({ name: "web" })]) {
  const project = new MemoryProject("p1");
  const lies = misled(project);
  const hand = await startByHand({ projects: [project], destinations: { memory: options }, rules });
  ends.push(hand.stop);
  const id = project.addBranch("preview/x");
  await hand.look();
  const [binding] = await hand.bindings("preview/x");
  expect(binding).toMatchObject({ state: "synced" });
  const store = hand.store("memory");
  return { project, lies, hand, id, store, target: binding?.target ?? "" };
}

const events = async (hand: Hand, kind: string) =>
  await hand.rows<{ subject: Record<string, string> }>(
    `select subject from branchline.event where kind like '${kind}'`,
  );

const caller: Caller = {
  principal: { id: "t", name: "a test", limits: null, scopes: new Set(), revealDefault: false },
  requestId: "r1",
  sourceAddress: null,
};

describe("work that kills whoever does it", () => {
  const killsOnce = async (hand: Hand, place: string): Promise<void> => {
    const victim = hand.mortal();
    await hand.push(place, victim.runtime, (step) => {
      if (step !== "apply") return;
      victim.die();
      throw new Error("killed");
    });
    await hand.age("place", place);
  };

  test("ends parked after five deaths, says so, and holds up nobody", async () => {
    const { project, hand, id } = await synced();
    const place = await hand.place("memory");
    project.rotate(id, "app_owner");
    await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).wanted === 2);
    for (let n = 0; n < 5; n += 1) await killsOnce(hand, place);
    await hand.push(place);
    expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "unsafe" });
    const [row] = await hand.rows<{ due: boolean; code: string }>(
      `select due_at > now() + interval '1 minute' as due, code from branchline.place where id = '${place}'`,
    );
    expect(row).toEqual({ due: true, code: "unsafe" });

    project.addBranch("preview/y");
    await hand.look();
    expect(await hand.binding("preview/y")).toMatchObject({ state: "synced" });

    // At the recheck one more death is enough, and a holder that survives ends it.
    await hand.age("place", place);
    await killsOnce(hand, place);
    await hand.push(place);
    expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "unsafe" });
    await hand.age("place", place);
    await hand.drain();
    expect(await hand.binding("preview/x")).toMatchObject({ state: "synced", applied: 2 });
  });

  test("starts from zero when somebody pushes or resumes it, by the very command that is named", async () => {
    const { project, hand, id } = await synced();
    const place = await hand.place("memory");
    const tell = createTell({ db: hand.database.db, traits: () => undefined, kick: () => undefined });
    const deaths = async () =>
      (await hand.rows<{ deaths: number }>(`select deaths from branchline.place where id = '${place}'`))[0]
        ?.deaths;
    project.rotate(id, "app_owner");
    await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).wanted === 2);
    for (const command of ["push", "resume"] as const) {
      for (let n = 0; n < 5; n += 1) await killsOnce(hand, place);
      await hand.push(place);
      const parked = await hand.binding("preview/x");
      expect(parked).toMatchObject({ state: "parked", code: "unsafe" });
      expect(parked.next).toContain("branchline push web/preview/x");

      const answer = await tell(parked.id, { command }, caller);
      expect(answer?.note).toContain("died of it");
      expect(answer?.binding.state).toBe("pending");
      expect(await deaths()).toBe(0);
      // It is due at once, and one more death does not park it.
      await killsOnce(hand, place);
      await hand.drain();
      expect((await hand.binding("preview/x")).state).toBe("synced");
      project.rotate(id, "app_owner");
      await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).state === "pending");
    }
    const told = await hand.rows<{ action: string; details: { deaths?: string } }>(
      "select action, details from branchline.audit where action in ('binding.push', 'binding.resume') order by seq",
    );
    expect(told.map(({ action, details }) => [action, details.deaths])).toEqual([
      ["binding.push", "forgiven"],
      ["binding.resume", "forgiven"],
    ]);
  });
});

describe("another writer", () => {
  test("is written over twice, and the third time within a day he is left alone", async () => {
    const { hand, store, target } = await synced();
    for (let n = 1; n <= 2; n += 1) {
      store.putForeign(target, "DATABASE_URL", `theirs ${n}`);
      await hand.sweep();
      expect(store.values(target)["DATABASE_URL"]).toContain("postgresql://");
    }
    store.putForeign(target, "DATABASE_URL", "theirs 3");
    await hand.sweep();
    expect(store.values(target)["DATABASE_URL"]).toBe("theirs 3");
    expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "not_owned" });

    await hand.rows("update branchline.ledger set drifts_since = now() - interval '25 hours'");
    await hand.age("place", await hand.place("memory"));
    await hand.drain();
    expect(store.values(target)["DATABASE_URL"]).toContain("postgresql://");
  });

  test("counts once for each change, however often its repair fails", async () => {
    const rule = ruleOf({ name: "web", variables: { DATABASE_URL: "pooled" } });
    const { hand, store, target } = await synced({}, [rule]);
    await hand.configure([{ ...rule, variables: { DATABASE_URL: "pooled", TAKEN: "direct" } }]);
    store.putForeign(target, "TAKEN", "theirs");
    store.putForeign(target, "DATABASE_URL", "theirs");
    for (let n = 0; n < 4; n += 1) {
      await hand.age("place", await hand.place("memory"));
      await hand.drain();
    }
    expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "not_owned" });
    await hand.configure([rule]);
    await hand.drain();
    expect(store.values(target)["DATABASE_URL"]).toContain("postgresql://");
  });
});

describe("the sweep", () => {
  test("finds what was changed and what was taken away, and repairs it", async () => {
    const { hand, store, target } = await synced();
    const before = store.values(target);
    store.putForeign(target, "DATABASE_URL", "theirs");
    store.remove(target, "DATABASE_URL_UNPOOLED", 0);
    await hand.sweep();
    expect(store.values(target)).toEqual(before);
    expect((await events(hand, "drift")).map(({ subject }) => subject["names"])).toEqual([
      "DATABASE_URL changed, DATABASE_URL_UNPOOLED lost",
    ]);
  });

  test("does not take our own writes for somebody else's where one write moves the version of all", async () => {
    const target = { environment: "preview", group: "one" };
    const { project, hand, id } = await synced({ grain: "atomic" }, [
      ruleOf({ name: "app", target, variables: { DATABASE_URL: "pooled", PGHOST: "text:a" } }),
      ruleOf({ name: "jobs", target, variables: { JOBS: "text:b" } }),
    ]);
    await hand.configure([
      ruleOf({ name: "app", target, variables: { DATABASE_URL: "pooled", PGHOST: "text:changed" } }),
      ruleOf({ name: "jobs", target, variables: { JOBS: "text:b" } }),
    ]);
    await hand.drain();
    project.rotate(id, "app_owner");
    await hand.look();
    const store = hand.store("memory");
    const calls = store.calls.length;
    await hand.sweep();
    expect(await events(hand, "drift%")).toEqual([]);
    expect(store.calls.slice(calls)).toEqual([expect.stringContaining("observe")]);
  });

  test("leaves alone what was left behind on purpose", async () => {
    const { hand, store, target } = await synced();
    await hand.configure([ruleOf({ name: "web", branches: { include: ["other/**"] } })]);
    await hand.drain();
    expect(await hand.binding("preview/x")).toMatchObject({ state: "retained" });
    store.putForeign(target, "DATABASE_URL", "theirs");
    await hand.sweep();
    expect(await events(hand, "drift%")).toEqual([]);
    expect(store.values(target)["DATABASE_URL"]).toBe("theirs");
  });
});

describe("doubt", () => {
  test("a push that read Neon at a bad moment is owed still, though reconcile finds nothing new", async () => {
    const { project, lies, hand, id, store, target } = await synced();
    project.rotate(id, "app_owner");
    await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).wanted === 2);
    lies.read = () => null;
    await hand.push(await hand.place("memory"));
    lies.read = null;
    await hand.drainUntil("the new value", () => {
      return store.values(target)["DATABASE_URL"]?.includes(project.passwordOf(id, "app_owner") ?? "-");
    });
    expect(await hand.binding("preview/x")).toMatchObject({ state: "synced", applied: 2 });
  });

  test("what could not be written again when it was to settle is written when Neon is back", async () => {
    const { project, hand, store } = await synced(WRITE_ONLY);
    const place = await hand.place("memory");
    await hand.rows("update branchline.place set settle_at = now(), due_at = now()");
    project.fail(new SyncError("unavailable", "down"));
    await hand.drain();
    project.fail(null);
    const journal = journalOf(store);
    await hand.age("place", place);
    await hand.drain();
    expect(journal.map(({ name }) => name).sort()).toEqual(["DATABASE_URL", "DATABASE_URL_UNPOOLED"]);
  });

  test("a write that was not answered is made again when it can no longer be overtaken", async () => {
    const { project, hand, id, store, target } = await synced(WRITE_ONLY);
    store.fault({ kind: "hang", during: "apply", times: 1 });
    project.rotate(id, "app_owner");
    await hand.look();
    await hand.drainUntil("all to be settled", async () => {
      const [row] = await hand.rows<{ open: boolean }>(
        "select due_at is not null or settle_at is not null as open from branchline.place",
      );
      return row?.open === false;
    });
    const pushes = await hand.rows<{ outcome: string; written: number }>(
      "select outcome, written from branchline.push order by finished_at desc limit 1",
    );
    expect(pushes).toEqual([{ outcome: "synced", written: 2 }]);
    expect(store.values(target)["DATABASE_URL"]).toContain(project.passwordOf(id, "app_owner"));
  });
});

describe("a suspended installation", () => {
  test("writes nothing, records events, and catches up when it is resumed", async () => {
    const { project, hand, id, store } = await synced();
    await suspendAll(hand.database.db, "a test");
    const journal = journalOf(store);
    project.rotate(id, "app_owner");
    project.addBranch("preview/y");
    const [taken] = await ingest(hand.database.db, [
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
    expect(taken?.outcome).toBe("accepted");
    await hand.look();
    store.putForeign((await hand.binding("preview/x")).target ?? "", "DATABASE_URL", "theirs");
    await hand.sweep();
    expect(journal.filter(({ value }) => value !== "theirs")).toEqual([]);
    expect(await hand.binding("preview/y")).toMatchObject({ wanted: 1, applied: 0 });

    await resumeAll(hand.database.db);
    await hand.drain();
    expect(await hand.binding("preview/x")).toMatchObject({ state: "synced", applied: 2 });
    expect(await hand.binding("preview/y")).toMatchObject({ state: "synced" });
    expect(store.values((await hand.binding("preview/x")).target ?? "")["DATABASE_URL"]).toContain(
      "postgresql://",
    );
  });

  test("stops a push that has not written yet", async () => {
    const { project, hand, id, store } = await synced();
    project.rotate(id, "app_owner");
    await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).wanted === 2);
    const frozen = freezes(store, "observe");
    const pushed = hand.push(await hand.place("memory"));
    await until(() => frozen.reached);
    await suspendAll(hand.database.db, "a test");
    const journal = journalOf(store);
    frozen.goOn();
    await pushed;
    await hand.drain();
    expect(journal).toEqual([]);
    await resumeAll(hand.database.db);
    await hand.drainUntil("it to go on", async () => (await hand.binding("preview/x")).applied === 2);
  });
});

describe("the queue", () => {
  test("may be lost whole, which costs nothing but time", async () => {
    const project = new MemoryProject("p1");
    const app = await startApp({
      projects: [project],
      destinations: { memory: {} },
      rules: [ruleOf({ name: "web" })],
    });
    ends.push(app.stop);
    const id = project.addBranch("preview/x");
    await app.settled("preview/x");
    const { db } = app.database;
    const { rows: tables } = await db.execute<{ name: string }>(sql`
      select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname = 'bullmq' and tablename like '%job%'`);
    expect(tables.length).toBeGreaterThan(0);
    project.rotate(id, "app_owner");
    const names = tables.map(({ name }) => name).join(", ");
    // Every row that waits in the queue is lost with it, also those that are put there right now.
    const lost = ["source", "branch", "place"].map(
      (table) => `update branchline.${table} set queued_until = now() + interval '2 seconds', due_at = now()`,
    );
    await withoutDeadlock(
      async () => await db.execute(sql.raw([`truncate ${names} cascade`, ...lost].join("; "))),
    );
    await until(
      async () => {
        const [binding] = await app.bindings();
        const value = app.store("memory").values(binding?.target ?? "")["DATABASE_URL"];
        return binding?.state === "synced" && value?.includes(project.passwordOf(id, "app_owner") ?? "-");
      },
      { timeoutMs: 25_000 },
    );
  });
});
