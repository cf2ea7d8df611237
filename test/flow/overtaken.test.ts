/** What somebody says while work is under way counts: what was read before a hint, and what was to be written before a stop. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import { markDue } from "../../services/store/work.ts";
import { reconcile } from "../../workers/reconcile.ts";
import { watch } from "../../workers/watch.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";

let started: Hand | undefined;
afterEach(async () => await started?.stop());

/** One preview that a rule wants at one destination; nothing has looked at it yet. */
async function scene() {
  const project = new MemoryProject("p1");
  const hand = await startByHand({
    projects: [project],
    destinations: { box: {} },
    rules: [ruleOf({ name: "web", destination: "box", exposure: "preview" })],
  });
  started = hand;
  return { hand, project, id: project.addBranch("preview/x") };
}

/** The same, looked at: a push is due. */
async function aboutToPush() {
  const made = await scene();
  await made.hand.lookWithoutPushing(async () =>
    (await made.hand.bindings()).some(({ wanted }) => wanted === 1),
  );
  return made;
}

const writes = ({ store }: Hand): string[] =>
  store("box").calls.filter((call) => !/^(check|observe) /.test(call));

test("hints that come faster than Neon answers keep no branch from being brought, and what is old goes nowhere", async () => {
  const { hand, project, id } = await scene();
  const { runtime, database, rows } = hand;
  const { signal } = new AbortController();
  const [source] = await rows<{ id: string }>("select id from branchline.source");
  await watch(runtime, source?.id ?? "", signal);
  const [{ id: branch } = { id: "" }] = await rows<{ id: string }>(
    `select id from branchline.branch where neon_id = '${id}'`,
  );
  const state = () =>
    rows(`
      select b.due_at <= now() as due, b.read_at is not null as read, b.lease_until is null as free,
        cardinality(b.noticed) as noticed, l.generation::int, n.wanted::int, n.applied::int
      from branchline.branch b, branchline.login l, branchline.binding n
      where b.id = '${branch}' and l.branch_id = b.id and n.branch_id = b.id`);

  // What was read ahead while it appeared does not count after a hint.
  await markDue(database.db, "branch", [branch]);
  const { read } = project.source;
  let newest = "";
  const spy = vi.spyOn(project.source, "read").mockImplementation(async (...asked) => {
    const reading = await read(...asked);
    if (spy.mock.calls.length === 1) newest = project.rotate(id, "app_owner");
    await markDue(database.db, "branch", [branch]);
    await rows(`update branchline.branch set noticed = now() || noticed where id = '${branch}'`);
    return reading;
  });
  await reconcile(runtime, branch, signal);
  const brought = { due: true, read: true, free: true, noticed: 1 };
  expect(await state()).toEqual([{ ...brought, generation: 1, wanted: 1, applied: 0 }]);
  await hand.push(await hand.place("box"));
  expect(writes(hand)).toEqual([]);
  // It waits for the reconcile that it has asked for, which wakes it, instead of asking again and again.
  const wait = await rows(`
    select extract(epoch from p.due_at - h.finished_at) * 1000 >= 500 as half_a_second
    from branchline.place p join branchline.push h on h.place_id = p.id`);
  expect(wait).toEqual([{ half_a_second: true }]);

  await reconcile(runtime, branch, signal);
  expect(await state()).toEqual([{ ...brought, generation: 2, wanted: 2, applied: 0 }]);
  await hand.push(await hand.place("box"));
  expect(await state()).toEqual([{ ...brought, generation: 2, wanted: 2, applied: 2 }]);
  const { target } = await hand.binding("preview/x");
  expect(hand.store("box").values(target ?? "")["DATABASE_URL"]).toContain(newest);

  spy.mockRestore();
  await reconcile(runtime, branch, signal);
  expect(await state()).toEqual([
    { ...brought, due: false, noticed: 0, generation: 2, wanted: 2, applied: 2 },
  ]);
});

describe("a push that is about to write", () => {
  test.each([
    ["its binding is suspended", "update branchline.binding set suspended_at = now()"],
    ["its destination is suspended", "update branchline.destination set suspended_at = now()"],
    ["the installation is suspended", "update branchline.installation set suspended_at = now()"],
    ["its branch is held", "update branchline.branch set held_until = now() + interval '1 minute'"],
    ["its binding is leaving", "update branchline.binding set leaving = true"],
    ["its binding lives elsewhere", "update branchline.binding set place_id = null"],
    ["its binding has been removed", "update branchline.binding set state = 'removed'"],
    ["its binding has been given back", "update branchline.binding set state = 'retained'"],
  ])("does not when meanwhile %s", async (_, said) => {
    const { hand, project } = await aboutToPush();
    const { rows, place, push } = hand;
    const { reread } = project.source;
    const spy = vi.spyOn(project.source, "reread").mockImplementation(async (...asked) => {
      const reading = await reread(...asked);
      await rows(said);
      return reading;
    });
    await push(await place("box"));
    expect(spy).toHaveBeenCalledOnce();
    expect(writes(hand)).toEqual([]);
    expect(await rows("select name from branchline.ledger")).toEqual([]);
  });

  test.each([
    ["protected", (project: MemoryProject, id: string) => project.protect(id)],
    ["the default branch", (project: MemoryProject, id: string) => project.setDefault(id)],
  ])("does not to a preview what Neon has made %s since it was last looked at", async (_, made) => {
    const { hand, project, id } = await aboutToPush();
    made(project, id);
    await hand.push(await hand.place("box"));
    expect(writes(hand)).toEqual([]);
    expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "policy", applied: 0 });
  });
});
