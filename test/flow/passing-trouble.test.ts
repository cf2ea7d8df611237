/** Trouble that passes leaves nothing behind: no state that nobody puts right, no wait that nobody asked for. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import { SyncError } from "../../services/sync/errors.ts";
import type { Rule } from "../../services/sync/model.ts";
import { pushPlace } from "../../workers/push.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";
import { misled } from "../support/lies.ts";
import { until } from "../support/until.ts";

const BRANCH = "preview/x";
const NAME = "DATABASE_URL";

let hand: Hand;
let project: MemoryProject;
afterEach(async () => {
  vi.restoreAllMocks();
  await hand.stop();
});

async function start(...rules: readonly Rule[]): Promise<void> {
  project = new MemoryProject("p1");
  hand = await startByHand({ projects: [project], destinations: { memory: {} }, rules });
  await hand.look();
}

const place = async () => await hand.place("memory", (await hand.binding(BRANCH)).target ?? "");
const dueInMs = async (kind: "source" | "place"): Promise<number | null> =>
  (
    await hand.rows<{ ms: number | null }>(
      `select (extract(epoch from due_at - now()) * 1000)::int as ms from branchline.${kind}
       order by due_at nulls last`,
    )
  )[0]?.ms ?? null;

describe("a binding whose push failed", () => {
  test("is in step again when what it was to repair has been put back by somebody else", async () => {
    await start(ruleOf({ name: "web" }));
    project.addBranch(BRANCH);
    await hand.look();
    const store = hand.store("memory");
    const { target } = await hand.binding(BRANCH);
    const ours = store.values(target ?? "")[NAME] ?? "";
    store.putForeign(target ?? "", NAME, "postgres://elsewhere");
    project.fail(new SyncError("unavailable", "neon is away"));
    await hand.sweep();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "retrying", code: "unavailable" });

    project.fail(null);
    store.putForeign(target ?? "", NAME, ours);
    await hand.age("place", await place());
    await hand.drain();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "synced", code: null, wanted: 1, applied: 1 });
  });

  test("is in step again when its branch is called as before", async () => {
    await start(ruleOf({ name: "web", branches: { include: ["preview/**", "other"] } }));
    const id = project.addBranch(BRANCH);
    await hand.look();
    project.rename(id, "other");
    await hand.look();
    expect(await hand.binding("other")).toMatchObject({ state: "parked", code: "invalid_target" });
    // No push finds that gone: what a rule makes of a name is not asked there.
    await hand.rows("update branchline.place set due_at = now()");
    await hand.drain();
    expect(await hand.binding("other")).toMatchObject({ state: "parked", code: "invalid_target" });
    project.rename(id, BRANCH);
    await hand.look();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "synced", code: null });
  });

  test("stays parked for what Neon does not have, whatever else is pushed at its place, and holds that up no longer", async () => {
    await start(
      ruleOf({ name: "a", variables: { A_URL: "pooled" }, roles: { default: "reader" } }),
      ruleOf({ name: "b", variables: { B_URL: "pooled" } }),
    );
    const id = project.addBranch(BRANCH);
    project.addRole(id, "reader");
    await hand.look();
    expect((await hand.bindings(BRANCH)).map(({ state }) => state)).toEqual(["synced", "synced"]);
    project.dropRole(id, "reader");
    await hand.look();
    expect(await hand.binding(BRANCH, "a")).toMatchObject({ state: "parked", code: "source_unready" });
    project.rotate(id, "app_owner");
    await hand.look();
    expect(await hand.binding(BRANCH, "a")).toMatchObject({ state: "parked", code: "source_unready" });
    expect(await hand.binding(BRANCH, "b")).toMatchObject({ state: "synced" });
    expect(await dueInMs("place")).toBeNull();
  });

  test.each([
    ["forbidden", "parked"],
    // What only reconcile would take back is told of nobody who wants nothing.
    ["policy", "synced"],
  ] as const)("for nothing that it wanted (%s) is %s", async (code, state) => {
    await start(ruleOf({ name: "web" }));
    project.addBranch(BRANCH);
    await hand.look();
    hand.store("memory").fault({ kind: "error", code, during: "observe", times: 1 });
    await hand.rows("update branchline.place set due_at = now()");
    await hand.drain();
    expect((await hand.binding(BRANCH)).state).toBe(state);
  });

  test("is tried as ever beside one that is parked, however often that was looked at again", async () => {
    await start(
      ruleOf({ name: "a", variables: { A_URL: "pooled" } }),
      ruleOf({ name: "b", variables: { B_URL: "pooled" } }),
    );
    const id = project.addBranch(BRANCH);
    await hand.lookWithoutPushing(async () => (await hand.bindings(BRANCH)).length === 2);
    const { target } = await hand.binding(BRANCH, "a");
    const store = hand.store("memory");
    store.putForeign(target ?? "", "A_URL", "theirs");
    const at = await hand.place("memory", target ?? "");
    for (let looks = 0; looks < 8; looks += 1) {
      await hand.age("place", at);
      await hand.drain();
    }
    expect(await hand.binding(BRANCH, "a")).toMatchObject({ state: "parked", code: "not_owned" });
    project.rotate(id, "app_owner");
    store.fault({ kind: "error", code: "internal", during: "apply", times: 1 });
    await hand.look();
    expect(await hand.binding(BRANCH, "b")).toMatchObject({ state: "retrying", code: "internal" });
  });

  test("is not parked for being stopped in the middle of a reading", async () => {
    await start(ruleOf({ name: "web" }));
    project.addBranch(BRANCH);
    await hand.lookWithoutPushing(async () => (await hand.bindings(BRANCH)).length === 1);
    const at = await place();
    await hand.rows("update branchline.place set attempts = 6, code = 'internal'");
    const stopping = new AbortController();
    const reading = vi.spyOn(project.source, "reread").mockReturnValue(new Promise(() => undefined));
    const pushed = pushPlace(hand.runtime, at, stopping.signal);
    await until(() => reading.mock.calls.length > 0, { what: "a reading" });
    stopping.abort();
    await pushed;
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "retrying", code: "unavailable" });
  });
});

describe("a rule that is changed while a branch is read for the first time", () => {
  const rule = ruleOf({ name: "web" });

  /** Does `change` right after Neon has been read, once. */
  const whileRead = (change: () => Promise<void>): void => {
    const read = project.source.read;
    let changed = false;
    vi.spyOn(project.source, "read").mockImplementation(async (...given) => {
      const reading = await read(...given);
      if (!changed) await change();
      changed = true;
      return reading;
    });
  };

  test.each([
    ["taken away", []],
    ["made for other branches", [{ ...rule, branches: { include: ["release/**"] } }]],
  ] as const)("publishes nothing once it was %s", async (_, now) => {
    await start(rule);
    project.addBranch(BRANCH);
    whileRead(async () => await hand.configure(now));
    await hand.look();
    await hand.look();
    expect(await hand.bindings(BRANCH)).toEqual([]);
    expect(await hand.rows("select key from branchline.place")).toEqual([]);
  });

  test("publishes what it says now", async () => {
    await start(rule);
    project.addBranch(BRANCH);
    whileRead(async () => await hand.configure([{ ...rule, variables: { OTHER_URL: "pooled" } }]));
    await hand.drainUntil("it to be in step", async () => {
      await hand.look();
      return (await hand.bindings(BRANCH))[0]?.state === "synced";
    });
    expect((await hand.binding(BRANCH)).names).toEqual(["OTHER_URL"]);
  });
});

describe("what Neon says moved", () => {
  test("of a branch that it does not have is not waited for", async () => {
    await start(ruleOf({ name: "web" }));
    const { moved } = project.source;
    vi.spyOn(project.source, "moved").mockImplementation(async (...given) => {
      const told = await moved(...given);
      return { ...told, branchIds: new Set([...told.branchIds, "br-never-made"]) };
    });
    await hand.rows(
      "insert into branchline.event (origin, kind, source_id) select 'github', 'push', id from branchline.source",
    );
    await hand.look();
    expect(await dueInMs("source")).toBeGreaterThan(60_000);
    expect(await hand.rows("select outcome from branchline.event where origin = 'github'")).toEqual([
      { outcome: "processed" },
    ]);
  });

  test("of a branch that came after the list is listed at once", async () => {
    await start(ruleOf({ name: "web" }));
    const lies = misled(project);
    lies.list = (branches) => branches.filter(({ name }) => name !== BRANCH);
    // Something else moves, so that a look by schedule lists, and what comes right after the list is none the wiser.
    project.addBranch("other");
    project.addBranch(BRANCH);
    await hand.rows("update branchline.source set due_at = now()");
    await hand.drain();
    expect(await dueInMs("source")).toBeLessThanOrEqual(500);
    expect(await hand.bindings(BRANCH)).toEqual([]);
    lies.list = null;
    await hand.rows("update branchline.source set due_at = now()");
    await hand.drain();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "synced" });
  });

  test("of branches that are no more is asked of a few only, and of none at first", async () => {
    await start();
    const asked = vi.spyOn(project.source, "branch");
    const { moved } = project.source;
    vi.spyOn(project.source, "moved").mockImplementation(async (...given) => {
      const told = await moved(...given);
      return { ...told, branchIds: new Set(Array.from({ length: 100 }, (_, n) => `br-${n}`)) };
    });
    await hand.look();
    expect(asked.mock.calls.length).toBeGreaterThan(0);
    expect(asked.mock.calls.length).toBeLessThanOrEqual(8);
    asked.mockClear();
    await hand.rows("update branchline.source set cursor = null");
    await hand.look();
    expect(asked).not.toHaveBeenCalled();
  });

  test("is anything, where it cannot say what", async () => {
    await start(ruleOf({ name: "web" }));
    const id = project.addBranch(BRANCH);
    await hand.look();
    const newest = project.rotate(id, "app_owner");
    project.forgetHistory();
    await hand.look();
    const { target } = await hand.binding(BRANCH);
    expect(hand.store("memory").values(target ?? "")[NAME]).toContain(newest);
  });
});
