/** Names pass from one binding to the next without a gap: branches made again, rules renamed, targets moved. */
import { afterEach, expect, test } from "vitest";
import { type MemoryBranchOptions, MemoryProject } from "../../services/sources/memory.ts";
import { reconcile } from "../../workers/reconcile.ts";
import type { Settings } from "../../workers/runtime.ts";
import { watch } from "../../workers/watch.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";
import { journalOf, misled, type Write } from "../support/lies.ts";
import { until } from "../support/until.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function byHand(
  projects: readonly MemoryProject[],
  rules = [ruleOf({ name: "web" })],
  settings: Partial<Settings> = {},
): Promise<Hand> {
  const hand = await startByHand({ projects, destinations: { memory: {}, other: {} }, rules, settings });
  ends.push(hand.stop);
  return hand;
}

/** A branch whose value is at the vendor has just been deleted and made again under its name. */
async function madeAgain(options: MemoryBranchOptions = {}) {
  const project = new MemoryProject("p1");
  const lies = misled(project);
  const hand = await byHand([project]);
  const first = project.addBranch("preview/x");
  await hand.look();
  const journal = journalOf(hand.store("memory"));
  project.removeBranch(first);
  const second = project.addBranch("preview/x", options);
  return { project, lies, hand, journal, second };
}

const theTombstone = async (hand: Hand): Promise<void> => {
  await hand.drainUntil("the tombstone", async () => {
    return (await hand.rows("select 1 from branchline.branch where gone_at is not null")).length === 1;
  });
  await hand.drain();
};

const deletes = (journal: readonly Write[]) => journal.filter(({ value }) => value === null);
const passwordIn = async (hand: Hand, branch: string, password: string | undefined) => {
  const live = (await hand.bindings(branch)).filter(({ state }) => state === "synced");
  const value = hand.store("memory").values(live[0]?.target ?? "")["DATABASE_URL"];
  return live.length === 1 && password !== undefined && value?.includes(`:${password}@`) === true;
};

test("a branch that is deleted and made again under its name keeps its value without a gap", async () => {
  const { project, hand, journal, second } = await madeAgain();
  project.rotate(second, "app_owner");
  await hand.look();
  await hand.drainUntil("the new one", () =>
    passwordIn(hand, "preview/x", project.passwordOf(second, "app_owner")),
  );
  await hand.drainUntil("the old one to go", async () => {
    return (
      (await hand.bindings("preview/x"))
        .map(({ state }) => state)
        .sort()
        .join() === "removed,synced"
    );
  });
  expect(deletes(journal)).toEqual([]);
});

test("nor is there one while the new branch cannot be read yet", async () => {
  const { project, lies, hand, journal, second } = await madeAgain();
  project.rotate(second, "app_owner");
  lies.read = () => null;
  await hand.look();
  await theTombstone(hand);
  lies.read = null;
  await hand.drainUntil("the new one", async () => {
    // As if the retry of the one and the patience of the other had passed.
    await hand.rows(
      "update branchline.branch set due_at = least(due_at, now()) where attempts > 0 or gone_at is not null",
    );
    return await passwordIn(hand, "preview/x", project.passwordOf(second, "app_owner"));
  });
  expect(deletes(journal)).toEqual([]);
});

test("nor while the new branch has no compute", async () => {
  const { project, hand, journal, second } = await madeAgain({ compute: false });
  await hand.look();
  await theTombstone(hand);
  expect(deletes(journal)).toEqual([]);
  project.replaceEndpoint(second);
  project.rotate(second, "app_owner");
  await hand.look();
  await hand.drainUntil("the new one", () =>
    passwordIn(hand, "preview/x", project.passwordOf(second, "app_owner")),
  );
  expect(deletes(journal)).toEqual([]);
});

test("a branch that was taken for gone and shows itself again keeps its value", async () => {
  const project = new MemoryProject("p1");
  const lies = misled(project);
  const hand = await byHand([project]);
  const id = project.addBranch("preview/x");
  await hand.look();
  const journal = journalOf(hand.store("memory"));
  lies.list = (all) => all.filter((branch) => branch.id !== id);
  lies.one = () => null;
  await hand.lookWithoutPushing(async () =>
    (await hand.bindings("preview/x")).some(({ wanted }) => wanted === 2),
  );
  lies.list = null;
  lies.one = null;
  await hand.drain();
  project.rotate(id, "app_owner");
  await hand.look();
  await hand.drainUntil("the value", () =>
    passwordIn(hand, "preview/x", project.passwordOf(id, "app_owner")),
  );
  expect(deletes(journal)).toEqual([]);
});

test.each(["aaa", "zzz"])("a rule renamed to %s passes on what the old one wrote", async (name) => {
  const project = new MemoryProject("p1");
  const hand = await byHand([project]);
  const id = project.addBranch("preview/x");
  await hand.look();
  const journal = journalOf(hand.store("memory"));
  // A rotation comes at the same moment, so that the old one is asked for more as well.
  project.rotate(id, "app_owner");
  await hand.configure([ruleOf({ name })]);
  await hand.look();
  const states = async () =>
    Object.fromEntries((await hand.bindings("preview/x")).map((b) => [b.rule, b.state]));
  await hand.drainUntil("the new rule", async () => (await states())[name] === "synced");
  expect(await states()).toEqual({ [name]: "synced", web: "removed" });
  expect(await passwordIn(hand, "preview/x", project.passwordOf(id, "app_owner"))).toBe(true);
  expect(deletes(journal)).toEqual([]);
  project.rotate(id, "app_owner");
  await hand.look();
  expect(await states()).toEqual({ [name]: "synced", web: "removed" });
});

test("a source that points at another project takes over the places of the old one", async () => {
  const project = new MemoryProject("p1");
  const another = new MemoryProject("p2");
  const hand = await byHand([project]);
  project.addBranch("preview/x");
  await hand.look();
  const journal = journalOf(hand.store("memory"));
  const id = another.addBranch("preview/x");
  await hand.configure([ruleOf({ name: "web" })], [another]);
  await hand.drain();
  expect(await passwordIn(hand, "preview/x", another.passwordOf(id, "app_owner"))).toBe(true);
  expect(deletes(journal)).toEqual([]);
});

test("two live bindings that want one name are told so, and neither is written over", async () => {
  const project = new MemoryProject("p1");
  const both = ruleOf({ name: "both", target: { environment: "preview", group: "one" } });
  const hand = await byHand([project], [both]);
  project.addBranch("preview/x");
  project.addBranch("preview/y");
  const journal = journalOf(hand.store("memory"));
  await hand.look();
  const bindings = await hand.bindings();
  expect(bindings.map(({ state, code }) => [state, code])).toEqual([
    ["parked", "policy"],
    ["parked", "policy"],
  ]);
  expect(journal).toEqual([]);
});

test("whoever has the name keeps it, and loses it to the other one only by leaving", async () => {
  const project = new MemoryProject("p1");
  const both = ruleOf({ name: "both", target: { environment: "preview", group: "one" } });
  const hand = await byHand([project], [both]);
  const first = project.addBranch("preview/x");
  await hand.look();
  const second = project.addBranch("preview/y");
  await hand.look();
  expect(await hand.binding("preview/x")).toMatchObject({ state: "synced" });
  expect(await hand.binding("preview/y")).toMatchObject({ state: "parked", code: "policy" });
  expect(await passwordIn(hand, "preview/x", project.passwordOf(first, "app_owner"))).toBe(true);
  project.removeBranch(first);
  await hand.look();
  await hand.drainUntil("the first to go", async () => (await hand.binding("preview/x")).state === "removed");
  await hand.rows(
    "update branchline.branch set due_at = now(), revision = revision + 1 where gone_at is null",
  );
  await hand.drain();
  expect(await passwordIn(hand, "preview/y", project.passwordOf(second, "app_owner"))).toBe(true);
});

test("one that cannot be read does not hold up the other at its place", async () => {
  const project = new MemoryProject("p1");
  const target = { environment: "preview", group: "one" };
  const hand = await byHand(
    [project],
    [
      ruleOf({ name: "app", target, variables: { DATABASE_URL: "pooled" } }),
      ruleOf({ name: "bad", target, variables: { "BAD-NAME": "pooled" } }),
      ruleOf({ name: "reports", target, variables: { REPORTS_URL: "pooled" }, roles: { default: "nobody" } }),
    ],
  );
  project.addBranch("preview/x");
  await hand.look();
  expect(await hand.binding("preview/x", "app")).toMatchObject({ state: "synced" });
  expect(await hand.binding("preview/x", "bad")).toMatchObject({ code: "invalid_secret" });
  expect(await hand.binding("preview/x", "reports")).toMatchObject({ code: "source_unready" });
});

test("a target that moves is filled at the new place before the old one is emptied", async () => {
  const project = new MemoryProject("p1");
  const hand = await byHand([project]);
  project.addBranch("preview/x");
  await hand.look();
  const old = (await hand.binding("preview/x")).target;
  const journal = journalOf(hand.store("memory"));
  await hand.configure([ruleOf({ name: "web", target: { environment: "preview", group: "moved" } })]);
  await hand.drain();
  await hand.drainUntil(
    "the old place to be emptied",
    () => Object.keys(hand.store("memory").values(old ?? "")).length === 0,
  );
  const places = journal.map(({ place, value }) => [place === old, value === null]);
  expect(places).toEqual([
    [false, false],
    [false, false],
    [true, true],
    [true, true],
  ]);
  expect(await hand.binding("preview/x")).toMatchObject({ state: "synced", applied: 2 });
});

test("a target that is gone keeps nobody from leaving it", async () => {
  const project = new MemoryProject("p1");
  const hand = await byHand([project]);
  const id = project.addBranch("preview/x");
  await hand.look();
  hand.store("memory").missing.add((await hand.binding("preview/x")).target ?? "");
  project.removeBranch(id);
  await hand.look();
  await hand.drainUntil(
    "it to be removed",
    async () => (await hand.binding("preview/x")).state === "removed",
  );
});

test("a branch that goes while its first push is about to write leaves nothing behind", async () => {
  const project = new MemoryProject("p1");
  const hand = await byHand([project]);
  const id = project.addBranch("preview/x");
  await hand.lookWithoutPushing(async () => (await hand.binding("preview/x")).wanted === 1);
  const [source] = await hand.rows<{ id: string }>("select id from branchline.source");
  const { signal } = new AbortController();
  const store = hand.store("memory");
  const enter = store.enter.bind(store);
  let once = true;
  store.enter = async (during, where, stop) => {
    if (during === "observe" && once) {
      once = false;
      project.removeBranch(id);
      await hand.rows("update branchline.source set due_at = now(), revision = revision + 1");
      await watch(hand.runtime, source?.id ?? "", signal);
      await hand.rows("update branchline.source set due_at = now()");
      await watch(hand.runtime, source?.id ?? "", signal);
      const [gone] = await hand.rows<{ id: string }>(
        "select id from branchline.branch where gone_at is not null",
      );
      await reconcile(hand.runtime, gone?.id ?? "", signal);
    }
    return await enter(during, where, stop);
  };
  await hand.drain();
  await hand.drainUntil(
    "it to be removed",
    async () => (await hand.binding("preview/x")).state === "removed",
  );
  expect(store.values((await hand.binding("preview/x")).target ?? "")).toEqual({});
  expect((await hand.binding("preview/x")).names).toEqual([]);
});

test("a rule that means branches of a certain age finds them when they have it", async () => {
  const project = new MemoryProject("p1");
  const rule = ruleOf({ name: "web", branches: { include: ["preview/**"], olderThanMs: 12_000 } });
  const hand = await byHand([project], [rule], { rereadEveryMs: 50 });
  project.addBranch("preview/x");
  await hand.look();
  expect(await hand.bindings("preview/x")).toEqual([]);
  await until(
    async () => {
      await hand.drain();
      return (await hand.bindings("preview/x"))[0]?.state === "synced";
    },
    { what: "it to be old enough", timeoutMs: 60_000 },
  );
}, 90_000);
