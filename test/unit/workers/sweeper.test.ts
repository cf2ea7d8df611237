/** How many containers a process looks at side by side, and whose. */
import { describe, expect, test } from "vitest";
import type { Sweep } from "../../../services/store/sweeping.ts";
import { type DueSweeps, openSweeper } from "../../../workers/sweeper.ts";

/** Containers by account that are due, and a sweeper whose looks end when they are told to. */
function scene(due: Readonly<Record<string, number>>, over: Partial<DueSweeps> = {}) {
  const rows = Object.entries(due).flatMap(([account, n]) =>
    Array.from({ length: n }, (_, i): Sweep => {
      return { account, destinationId: account, container: `${account}${i}`, until: "" };
    }),
  );
  const claims: Parameters<DueSweeps["claim"]>[0][] = [];
  const errors: unknown[] = [];
  const begun: string[] = [];
  const finished: string[] = [];
  const ends = new Map<string, (well: boolean | Error) => void>();
  const sweeper = openSweeper(
    {
      claim: async (wanted) => {
        claims.push(wanted);
        const taken: Sweep[] = [];
        const held = new Map(wanted.held);
        for (const row of rows) {
          const mine = held.get(row.account) ?? 0;
          if (taken.length >= wanted.most || mine >= wanted.share) continue;
          held.set(row.account, mine + 1);
          taken.push(row);
        }
        for (const row of taken) rows.splice(rows.indexOf(row), 1);
        return taken;
      },
      finish: async (sweeps) => void finished.push(...sweeps.map(({ container }) => container)),
      ...over,
    },
    (error) => errors.push(error),
  );
  const look = async ({ container }: Sweep): Promise<boolean> => {
    begun.push(container);
    return await new Promise((resolve, reject) => {
      ends.set(container, (well) => (typeof well === "boolean" ? resolve(well) : reject(well)));
    });
  };
  const end = async (container: string, well: boolean | Error = true): Promise<void> => {
    ends.get(container)?.(well);
    ends.delete(container);
    await turns();
  };
  /** Ends what runs, again and again, until nothing begins any more. */
  const endAll = async (): Promise<void> => {
    while (ends.size > 0) for (const container of [...ends.keys()]) await end(container);
  };
  return { sweeper, look, end, endAll, rows, claims, errors, begun, finished };
}

const turns = async (): Promise<void> => {
  for (let n = 0; n < 5; n++) await new Promise(setImmediate);
};

describe("the sweeper of a process", () => {
  test("takes nothing while nobody is employed, and nothing unless somebody wakes it", async () => {
    const idle = scene({ a: 1 });
    idle.sweeper.wake();
    await turns();
    expect(idle.claims).toEqual([]);
    idle.sweeper.employ(idle.look);
    await turns();
    expect(idle.begun).toEqual(["a0"]);

    const asleep = scene({ a: 1 });
    asleep.sweeper.employ(asleep.look);
    await turns();
    expect(asleep.claims).toEqual([]);
  });

  test("looks at a few of an account and at all others beside them, whatever does not end", async () => {
    const { sweeper, look, end, begun } = scene({ hangs: 100, a: 3, b: 3 });
    sweeper.employ(look);
    sweeper.wake();
    await turns();
    const hanging = begun.filter((container) => container.startsWith("hangs"));
    expect(hanging.length).toBeGreaterThan(1);
    expect(hanging.length).toBeLessThan(8);
    for (const container of ["a0", "a1", "a2", "b0", "b1", "b2"]) await end(container);
    expect(begun.filter((container) => /^[ab]/.test(container))).toHaveLength(6);
    expect(begun.filter((container) => container.startsWith("hangs"))).toEqual(hanging);
  });

  test("has no more in hand than it can do, and looks at everything in the end, once", async () => {
    const { sweeper, look, endAll, claims, begun, finished, rows } = scene(
      Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`account${n}-`, 40])),
    );
    sweeper.employ(look);
    sweeper.wake();
    await turns();
    expect(begun.length).toBeLessThan(20);
    expect(360 - rows.length).toBeLessThan(100);
    await endAll();
    expect(new Set(begun).size).toBe(360);
    expect(begun).toHaveLength(360);
    expect(finished.toSorted()).toEqual(begun.toSorted());
    // Not one by one.
    expect(claims.length).toBeLessThan(90);
    expect(rows).toEqual([]);
  });

  test("tells what it has in hand, so that nobody gives it more of that", async () => {
    const { sweeper, look, claims, end } = scene({ a: 100 });
    sweeper.employ(look);
    sweeper.wake();
    await turns();
    await end("a0");
    sweeper.wake();
    await turns();
    const [first, last] = [claims[0], claims.at(-1)];
    expect(first?.held).toEqual(new Map());
    expect(last?.held.get("a")).toBeGreaterThan(2);
    expect(last?.most).toBeLessThan(first?.most ?? 0);
  });

  test("does not call done what came to nothing, or failed", async () => {
    const { sweeper, look, end, errors, finished } = scene({ a: 3 });
    sweeper.employ(look);
    sweeper.wake();
    await turns();
    await end("a0", false);
    await end("a1", new Error("broken"));
    await end("a2");
    expect(finished).toEqual(["a2"]);
    expect(errors).toEqual([new Error("broken")]);
  });

  test("goes on after a claim that failed, when it is woken", async () => {
    let fails = true;
    const { sweeper, look, errors, begun } = scene(
      {},
      {
        claim: async () => {
          if (fails) throw new Error("away");
          return begun.length > 0 ? [] : [{ account: "a", destinationId: "a", container: "a0", until: "" }];
        },
      },
    );
    sweeper.employ(look);
    sweeper.wake();
    await turns();
    expect([errors, begun]).toEqual([[new Error("away")], []]);
    fails = false;
    sweeper.wake();
    await turns();
    expect(begun).toEqual(["a0"]);
  });

  test("resting waits for what runs, and begins nothing more", async () => {
    const { sweeper, look, end, begun } = scene({ a: 100 });
    sweeper.employ(look);
    sweeper.wake();
    await turns();
    const running = [...begun];
    let rested = false;
    const resting = sweeper.rest().then(() => {
      rested = true;
    });
    sweeper.wake();
    for (const container of running) {
      await turns();
      expect(rested).toBe(false);
      await end(container);
    }
    await resting;
    expect(begun).toEqual(running);
  });
});
