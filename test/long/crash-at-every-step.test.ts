/** A push is killed before each of its steps in turn, at every class of vendor. The next one must repair. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MemoryOptions } from "../../services/destinations/memory.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { STEPS } from "../../services/sync/push.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";
import { freezes } from "../support/lies.ts";
import { type Logins, startLogins } from "../support/logins.ts";
import { until } from "../support/until.ts";

/** The classes of vendor that there are, each named after one that it resembles. */
const CLASSES: Readonly<Record<string, MemoryOptions>> = {
  "compare-and-set, name by name": {},
  "compare-and-set, one secret (AWS)": { grain: "atomic", values: "write-only" },
  "compare-and-set, one secret without a mark (Vault)": { grain: "atomic", mark: false },
  "readable, name by name (Vercel)": { compareAndSet: false },
  "write-only, to the second (GitHub)": {
    values: "write-only",
    compareAndSet: false,
    createOnly: false,
    mark: false,
    versionGrainMs: 1_000,
  },
};
/** `record` comes after the last write. */
const ALL_STEPS = [...STEPS, "record"] as const;
type Step = (typeof ALL_STEPS)[number];
/** A delete needs no value: nothing is rendered, gated or proven. */
const STEPS_OF_A_DELETE = ALL_STEPS.filter((step) => !["render", "gate", "prove"].includes(step));

interface Branch {
  readonly id: string;
  readonly name: string;
}

describe.each(Object.entries(CLASSES))("a push to a vendor with %s", (_name, options) => {
  const project = new MemoryProject("p1");
  const atomic = options.grain === "atomic";
  let logins: Logins;
  let hand: Hand;
  let made = 0;
  beforeAll(async () => {
    // So many others that ours may go without looking like a mass loss.
    for (let n = 0; n < 24; n += 1) project.addBranch(`other/${n}`);
    logins = await startLogins([project]);
    hand = await startByHand({
      projects: [project],
      destinations: { memory: options },
      rules: [ruleOf({ name: "web", proof: "onChange" })],
      dial: logins.dial,
    });
  });
  afterAll(async () => {
    await hand.stop();
    await logins.close();
  });

  // One branch per step, all of them at once: what a crash leaves behind is no other branch's business.

  test("creates all the same, killed before any step", async () => {
    const branches = await appeared(ALL_STEPS.length);
    // A secret that somebody else made is not ours to fill; names beside ours are.
    if (!atomic) await putForeign(branches);
    await killed(branches, ALL_STEPS);
    await repaired(branches, "synced");
    await expectCurrent(branches);
    if (!atomic) await expectForeign(branches);
  });

  test("creates all the same, killed before any step and overtaken by a rotation", async () => {
    const branches = await appeared(ALL_STEPS.length);
    await killed(branches, ALL_STEPS);
    rotate(branches);
    await hand.look();
    await repaired(branches, "synced");
    await expectCurrent(branches);
  });

  test("replaces all the same, killed before any step and overtaken by a rotation", async () => {
    const branches = await synced(ALL_STEPS.length);
    rotate(branches);
    await seen(branches);
    await killed(branches, ALL_STEPS);
    rotate(branches);
    await hand.look();
    await repaired(branches, "synced");
    await expectCurrent(branches);
    await expectForeign(branches);
  });

  test("takes away all the same, killed before any step", async () => {
    const branches = await synced(STEPS_OF_A_DELETE.length);
    for (const { id } of branches) project.removeBranch(id);
    await seen(branches);
    await killed(branches, STEPS_OF_A_DELETE);
    await repaired(branches, "removed");
    for (const branch of branches) expect(await values(branch), branch.name).toEqual({});
    await expectForeign(branches);
  });

  test("repairs what a crash left half written", async () => {
    const branches = await synced(1);
    rotate(branches);
    await seen(branches);
    const victim = hand.mortal();
    const undo = diesDuringApply(atomic ? 1 : 2, victim.die);
    const { id } = await placeOf(branches[0]);
    await hand.push(id, victim.runtime);
    undo();
    await hand.age("place", id);
    await repaired(branches, "synced");
    await expectCurrent(branches);
    await expectForeign(branches);
  });

  test.each([
    ["replace", true],
    ["create", true],
    ["replace", false],
  ] as const)("undoes a late %s by a frozen worker (after a rotation: %s)", async (what, rotated) => {
    const branches = what === "replace" ? await synced(1) : await appeared(1);
    if (what === "replace") {
      rotate(branches);
      await seen(branches);
    }
    const { id } = await placeOf(branches[0]);
    const frozen = freezes(hand.store("memory"), "apply");
    const late = hand.push(id);
    await until(() => frozen.reached);
    await hand.age("place", id);
    if (rotated) rotate(branches);
    await hand.look();
    await repaired(branches, "synced");
    await expectCurrent(branches);

    frozen.goOn();
    await late;
    // Where the vendor compares, it never was anything else; where it does not, this is soon over.
    if (options.compareAndSet !== false) await expectCurrent(branches);
    await repaired(branches, "synced");
    await expectCurrent(branches);
  });

  // -------------------------------------------------------------- what happens

  /** Watch and reconcile have seen what happened at Neon; the places are due and nobody has pushed them. */
  const seen = async (branches: readonly Branch[]): Promise<void> => {
    await hand.lookWithoutPushing(async () => {
      const due = await hand.rows(
        `select 1 from branchline.place p
         join branchline.binding n on n.place_id = p.id join branchline.branch b on b.id = n.branch_id
         where b.name in (${listOf(branches)}) and n.wanted > n.applied and p.due_at <= now()`,
      );
      return due.length === branches.length;
    });
  };

  const appeared = async (count: number): Promise<Branch[]> => {
    const branches = Array.from({ length: count }, () => {
      const name = `preview/b${++made}`;
      return { id: project.addBranch(name), name };
    });
    await seen(branches);
    return branches;
  };

  const synced = async (count: number): Promise<Branch[]> => {
    const branches = await appeared(count);
    await hand.drain();
    await repaired(branches, "synced");
    await putForeign(branches);
    return branches;
  };

  const rotate = (branches: readonly Branch[]) => {
    for (const { id } of branches) project.rotate(id, "app_owner");
  };

  /** Kills the push of each branch before a step of its own, and lets the leases lapse. */
  const killed = async (branches: readonly Branch[], steps: readonly Step[]): Promise<void> => {
    for (const [index, step] of steps.entries()) {
      const { id } = await placeOf(branches[index]);
      const victim = hand.mortal();
      let reached = false;
      await hand.push(id, victim.runtime, (at) => {
        if (at !== step) return;
        reached = true;
        victim.die();
        throw new Error("killed");
      });
      expect(reached, step).toBe(true);
      expect(await workOf(id), step).toMatchObject({ leased: true, due: true });
      await hand.age("place", id);
    }
  };

  /** The n-th call that applies something kills the process that makes it. */
  const diesDuringApply = (nth: number, die: () => void) => {
    const store = hand.store("memory");
    const enter = store.enter.bind(store);
    let calls = 0;
    store.enter = async (during, where, signal) => {
      calls += Number(during === "apply");
      if (during === "apply" && calls >= nth) {
        die();
        throw new Error("killed");
      }
      return await enter(during, where, signal);
    };
    return () => void Object.assign(store, { enter });
  };

  const putForeign = async (branches: readonly Branch[]) => {
    for (const branch of branches) {
      hand.store("memory").putForeign((await placeOf(branch)).key, "FOREIGN", "theirs");
    }
  };

  // -------------------------------------------------------------- what is found

  const placeOf = async (branch: Branch | undefined) => {
    const [row] = await hand.rows<{ id: string; key: string }>(
      `select p.id, p.key from branchline.place p join branchline.binding n on n.place_id = p.id
       join branchline.branch b on b.id = n.branch_id where b.name = '${branch?.name}'`,
    );
    if (row === undefined) throw new Error(`no place for ${branch?.name}`);
    return row;
  };

  const workOf = async (id: string) => {
    const [row] = await hand.rows<{ leased: boolean; deaths: number; due: boolean }>(
      `select lease_until is not null as leased, deaths, due_at is not null as due
       from branchline.place where id = '${id}'`,
    );
    return row;
  };

  const values = async (branch: Branch) => {
    const { FOREIGN: _, ...ours } = hand.store("memory").values((await placeOf(branch)).key);
    return ours;
  };

  /** Done for good: nothing more to settle, no death held against it, and the history ends well. */
  const repaired = async (branches: readonly Branch[], state: string) => {
    await hand.drainUntil(`all to be ${state}`, async () => {
      const open = await hand.rows(
        `select 1 from branchline.binding n join branchline.branch b on b.id = n.branch_id
         join branchline.place p on p.id = n.place_id
         where b.name in (${listOf(branches)}) and (n.state <> '${state}' or p.due_at is not null)`,
      );
      return open.length === 0;
    });
    for (const branch of branches) {
      const { id } = await placeOf(branch);
      expect(await workOf(id), branch.name).toMatchObject({ leased: false, deaths: 0 });
      const [last] = await hand.rows<{ outcome: string }>(
        `select outcome from branchline.push where place_id = '${id}' order by finished_at desc limit 1`,
      );
      expect(["synced", "unchanged"], branch.name).toContain(last?.outcome);
    }
  };

  const expectCurrent = async (branches: readonly Branch[]) => {
    for (const branch of branches) {
      const password = project.passwordOf(branch.id, "app_owner") ?? "";
      expect(await values(branch), branch.name).toEqual({
        DATABASE_URL: expect.stringContaining(`:${password}@`),
        DATABASE_URL_UNPOOLED: expect.stringContaining(`:${password}@`),
      });
    }
  };

  const expectForeign = async (branches: readonly Branch[]) => {
    for (const branch of branches) {
      expect(hand.store("memory").values((await placeOf(branch)).key)["FOREIGN"]).toBe("theirs");
    }
  };
});

const listOf = (branches: readonly Branch[]): string => branches.map(({ name }) => `'${name}'`).join(", ");
