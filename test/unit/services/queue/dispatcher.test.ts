import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type DueRows, startDispatcher } from "../../../../services/queue/dispatcher.ts";
import type { JobKind } from "../../../../services/queue/jobs.ts";

/** Rows in memory: what is due is claimed at most once. */
function rowsOf() {
  const due = new Map<JobKind, string[]>();
  const looks: number[] = [];
  const rows: DueRows = {
    take: async () => {
      looks.push(Date.now());
      const watches = due.get("watch");
      due.delete("watch");
      const claimed = new Map<JobKind, string[]>(watches === undefined ? [] : [["watch", watches]]);
      return { claimed, kinds: [...due.keys()], nextInMs: null };
    },
    claim: async (kind) => {
      const ids = due.get(kind) ?? [];
      due.delete(kind);
      return ids;
    },
  };
  return { rows, due, looks };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const started = () => {
  const { rows, due, looks } = rowsOf();
  const jobs: [JobKind, readonly string[]][] = [];
  const enqueue = async (kind: JobKind, ids: readonly string[]): Promise<void> => {
    jobs.push([kind, ids]);
  };
  return { dispatcher: startDispatcher(rows, enqueue, () => undefined), due, looks, jobs };
};

describe("the dispatcher", () => {
  test("claims only kinds that are due, all ids of one kind as one", async () => {
    const { dispatcher, due, jobs } = started();
    await vi.advanceTimersByTimeAsync(10);
    due.set("push", ["a", "b"]).set("watch", ["c"]);
    dispatcher.kick();
    await vi.advanceTimersByTimeAsync(10);
    expect(jobs).toEqual([
      ["watch", ["c"]],
      ["push", ["a", "b"]],
    ]);
    await dispatcher.stop();
  });

  test("looks at once after a rest, and not with each of a flood of kicks that find nothing", async () => {
    const { dispatcher, due, looks, jobs } = started();
    await vi.advanceTimersByTimeAsync(10);
    const before = looks.length;
    for (let n = 0; n < 100; n++) {
      dispatcher.kick();
      await vi.advanceTimersByTimeAsync(0.1);
    }
    expect(looks.length - before).toBeLessThanOrEqual(5);
    due.set("push", ["a"]);
    dispatcher.kick();
    await vi.advanceTimersByTimeAsync(5);
    expect(jobs).toEqual([["push", ["a"]]]);
    await dispatcher.stop();
  });

  test("takes what is known to be there at once, and looks at the rest right after it", async () => {
    const { dispatcher, due, looks, jobs } = started();
    await vi.advanceTimersByTimeAsync(10);
    const before = looks.length;
    due.set("push", ["a"]).set("watch", ["b"]);
    dispatcher.kick("push");
    await vi.advanceTimersByTimeAsync(0);
    expect(jobs).toEqual([["push", ["a"]]]);
    expect(looks).toHaveLength(before);
    await vi.advanceTimersByTimeAsync(5);
    expect(jobs).toEqual([
      ["push", ["a"]],
      ["watch", ["b"]],
    ]);
    await dispatcher.stop();
  });

  test("looks at the rest however much is known", async () => {
    const { dispatcher, due, looks, jobs } = started();
    await vi.advanceTimersByTimeAsync(10);
    const before = looks.length;
    due.set("watch", ["b"]);
    for (let n = 0; n < 20; n++) {
      due.set("push", [`a${n}`]);
      dispatcher.kick("push");
      await vi.advanceTimersByTimeAsync(0.1);
    }
    expect(jobs).toContainEqual(["watch", ["b"]]);
    expect(looks.length - before).toBeGreaterThanOrEqual(9);
    await dispatcher.stop();
  });

  test("gives what it has claimed although the queue refuses something else", async () => {
    const given: JobKind[] = [];
    const errors: unknown[] = [];
    const dispatcher = startDispatcher(
      {
        take: async () => ({
          claimed: new Map([
            ["watch", ["a"]],
            ["reconcile", ["b"]],
          ]),
          kinds: ["push"],
          nextInMs: null,
        }),
        claim: async () => ["c"],
      },
      async (kind) => {
        if (kind === "watch") throw new Error("refused");
        given.push(kind);
      },
      (error) => errors.push(error),
    );
    await vi.advanceTimersByTimeAsync(10);
    expect(given).toEqual(["reconcile", "push"]);
    expect(errors).toEqual([new Error("refused")]);
    await dispatcher.stop();
  });

  test("looks by itself every second, whatever was lost", async () => {
    const { dispatcher, due, jobs } = started();
    await vi.advanceTimersByTimeAsync(10);
    due.set("reconcile", ["a"]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(jobs).toEqual([["reconcile", ["a"]]]);
    await dispatcher.stop();
  });
});
