/** An event names the pushes that it led to, and a push the events, also where a thousand became one. */
import { afterEach, expect, test } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import { listPushes } from "../../services/store/history.ts";
import { type Incoming, ingest } from "../../services/store/ingest.ts";
import { getEvent, listEvents } from "../../services/store/views.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";
import { incoming } from "../support/incoming.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function begin(): Promise<{ hand: Hand; project: MemoryProject }> {
  const project = new MemoryProject("p1");
  const hand = await startByHand({
    projects: [project],
    destinations: { memory: {} },
    rules: [ruleOf({ name: "web" })],
  });
  ends.push(hand.stop);
  await hand.look();
  return { hand, project };
}

const aboutBranch = (neonBranchId: string): Incoming =>
  incoming({ origin: "neon", kind: "role.password_reset", project: "p1", neonBranchId, wakes: false });

async function tell(hand: Hand, ...all: readonly Incoming[]): Promise<string[]> {
  const taken = await ingest(hand.database.db, all);
  await hand.drain();
  return taken.map(({ id }) => id);
}

const pushesOf = async (hand: Hand, id: string | undefined) =>
  (await getEvent(hand.database.db, id ?? ""))?.pushes ?? [];
const written = async (hand: Hand, branch: string): Promise<string[]> => {
  const { id } = await hand.binding(branch);
  const query = { limit: 50, after: null, filter: { binding: id } };
  return ((await listPushes(hand.database.db, query))?.items ?? []).map((push) => push.id);
};

test("a thousand events that became one push all name it, and it names them all", async () => {
  const { hand, project } = await begin();
  const quiet = await tell(hand, incoming());
  project.addBranch("preview/x");
  const ids = await tell(hand, ...Array.from({ length: 1_000 }, () => incoming()));
  const [push] = await written(hand, "preview/x");
  for (const id of [ids[0], ids[500], ids[999]]) expect(await pushesOf(hand, id)).toEqual([push]);
  expect(await pushesOf(hand, quiet[0])).toEqual([]);

  const filter = { push: push ?? "" };
  const named = new Set<string>();
  for (let after: string | null = null, more = true; more; more = after !== null) {
    const page = await listEvents(hand.database.db, { limit: 200, after, filter });
    for (const { id } of page?.items ?? []) named.add(id);
    after = page?.next ?? null;
  }
  // The thousand, and the watch's own word that a branch has appeared.
  expect(ids.every((id) => named.has(id))).toBe(true);
  expect(named.size).toBe(1_001);
  const came = await listPushes(hand.database.db, { limit: 9, after: null, filter: { event: ids[7] } });
  expect(came?.items.map(({ id }) => id)).toEqual([push]);
}, 60_000);

test("what was heard before or after a push is not said to have led to it", async () => {
  const { hand, project } = await begin();
  const x = project.addBranch("preview/x");
  const [first] = await tell(hand, incoming());
  const [idle] = await tell(hand, incoming());
  project.rotate(x, "app_owner");
  const [second] = await tell(hand, incoming());
  const [newer, older] = await written(hand, "preview/x");
  expect([await pushesOf(hand, first), await pushesOf(hand, idle), await pushesOf(hand, second)]).toEqual([
    [older],
    [],
    [newer],
  ]);
  // By hand it is pushed without any event.
  await hand.rows("update branchline.binding set inputs = null");
  await hand.rows("update branchline.branch set due_at = now(), revision = revision + 1");
  await hand.drain();
  expect(await written(hand, "preview/x")).toHaveLength(3);
  expect(await pushesOf(hand, second)).toEqual([newer]);
});

test("an event about one branch leads to pushes of that one alone", async () => {
  const { hand, project } = await begin();
  const [x, y] = [project.addBranch("preview/x"), project.addBranch("preview/y")];
  await hand.look();
  for (const id of [x, y]) project.rotate(id, "app_owner");
  const [about] = await tell(hand, aboutBranch(x));
  expect(await pushesOf(hand, about)).toEqual([(await written(hand, "preview/x"))[0]]);
  const appeared = await hand.rows<{ id: string; branch: string }>(
    "select id, subject->>'branch' as branch from branchline.event where kind = 'branch.appeared'",
  );
  for (const { id, branch } of appeared.filter(({ branch }) => branch !== "main")) {
    expect(await pushesOf(hand, String(id))).toEqual([(await written(hand, branch)).at(-1)]);
  }
});

test("a deletion, a git branch that a vendor waited for, and drift lead to what came of them", async () => {
  const { hand, project } = await begin();
  hand.store("memory").fault({ kind: "error", code: "target_missing", during: "check" });
  const x = project.addBranch("preview/x");
  await hand.look();
  expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "target_missing" });
  hand.store("memory").clearFaults();
  const [created] = await tell(hand, incoming({ kind: "create" }));
  const { target } = await hand.binding("preview/x");
  const [arrived] = await written(hand, "preview/x");
  expect(await pushesOf(hand, created)).toEqual([arrived]);

  hand.store("memory").putForeign(target ?? "", "DATABASE_URL", "theirs");
  await hand.sweep();
  const [repaired] = await written(hand, "preview/x");
  expect(repaired).not.toBe(arrived);
  const drifts = await hand.rows<{ id: string; origin: string }>(
    "select id, origin from branchline.event where kind like 'drift%' order by id",
  );
  expect(drifts.map(({ origin }) => origin)).toEqual(["sweep", "push"]);
  for (const { id } of drifts) expect(await pushesOf(hand, String(id))).toEqual([repaired]);

  project.removeBranch(x);
  const [deleted] = await tell(hand, incoming({ kind: "delete", wakes: false }));
  await hand.drainUntil("the names to go", async () => {
    return (await hand.binding("preview/x")).state === "removed";
  });
  expect(await pushesOf(hand, deleted)).toEqual([(await written(hand, "preview/x"))[0]]);
});
