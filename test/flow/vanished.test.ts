/** What vanished at a vendor or left the file: what is beside it goes on, and when it comes back it is known. */
import { afterEach, describe, expect, test } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import type { Rule } from "../../services/sync/model.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";

const BRANCH = "preview/x";
const NAME = "DATABASE_URL";

let hand: Hand;
let project: MemoryProject;
afterEach(async () => await hand.stop());

async function start(...rules: readonly Rule[]): Promise<void> {
  project = new MemoryProject("p1");
  hand = await startByHand({ projects: [project], destinations: { memory: {} }, rules });
  await hand.look();
}

describe("a sweep", () => {
  const rules = ["one", "two"].map((name) =>
    ruleOf({
      name,
      branches: { include: [`preview/${name}`] },
      target: { group: "shared", environment: name },
    }),
  );

  async function startTwo(): Promise<{ keys: readonly [one: string, two: string] }> {
    await start(...rules);
    for (const name of ["one", "two"]) project.addBranch(`preview/${name}`);
    await hand.look();
    const [one, two] = [await hand.binding("preview/one"), await hand.binding("preview/two")];
    return { keys: [one.target ?? "", two.target ?? ""] };
  }

  test("finds what is wrong beside a target that is not there any more, and says that it is not", async () => {
    const { keys } = await startTwo();
    const store = hand.store("memory");
    store.missing.add(keys[0]);
    store.putForeign(keys[1], NAME, "postgres://elsewhere");
    await hand.sweep();
    expect(store.values(keys[1])[NAME]).not.toBe("postgres://elsewhere");
    expect(await hand.binding("preview/one")).toMatchObject({ state: "parked", code: "target_missing" });
    const told = async () =>
      await hand.rows(
        "select subject->>'place' as place from branchline.event where kind = 'target.missing'",
      );
    expect(await told()).toEqual([{ place: keys[0] }]);

    // It is told once, and in step again when it is back.
    await hand.sweep();
    expect(await told()).toHaveLength(1);
    store.missing.clear();
    await hand.age("place", await hand.place("memory", keys[0]));
    await hand.drain();
    expect(await hand.binding("preview/one")).toMatchObject({ state: "synced", code: null });
  });

  test("asks nothing of a place whose names are gone, until it has some again", async () => {
    const { keys } = await startTwo();
    const id = await hand.place("memory", keys[0]);
    const isSwept = async () =>
      (
        await hand.rows<{ swept: boolean }>(
          `select sweep_at is not null as swept from branchline.place where id = '${id}'`,
        )
      )[0]?.swept;
    expect(await isSwept()).toBe(true);
    project.removeBranch(
      (await project.source.branches()).find(({ name }) => name === "preview/one")?.id ?? "",
    );
    await hand.look();
    await hand.look();
    expect(await hand.binding("preview/one")).toMatchObject({ state: "removed" });
    const store = hand.store("memory");
    // Its target went with the branch, and is nobody's business any more.
    store.missing.add(keys[0]);
    const before = store.calls.length;
    await hand.sweep();
    expect(store.calls.slice(before).filter((call) => call.startsWith("observe"))).toHaveLength(1);
    expect(await isSwept()).toBe(false);
    expect(await hand.rows("select 1 from branchline.event where kind = 'target.missing'")).toEqual([]);
    store.missing.clear();
    project.addBranch("preview/one");
    await hand.look();
    expect(await isSwept()).toBe(true);
  });
});

test("a destination that left the file by mistake and comes back knows what it had written", async () => {
  project = new MemoryProject("p1");
  const rule = ruleOf({ name: "web", destination: "blind" });
  const options = { values: "write-only", compareAndSet: false, createOnly: false, mark: false } as const;
  hand = await startByHand({ projects: [project], destinations: { blind: options }, rules: [rule] });
  project.addBranch(BRANCH);
  await hand.look();
  await hand.configure([], undefined, {}, []);
  await hand.look();
  await hand.configure([rule]);
  await hand.look();
  expect((await hand.bindings(BRANCH)).filter(({ state }) => state !== "removed")).toMatchObject([
    { state: "synced" },
  ]);
});
