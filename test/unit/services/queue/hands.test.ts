import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { startDispatcher } from "../../../../services/queue/dispatcher.ts";
import { openHands } from "../../../../services/queue/hands.ts";
import type { Handlers, JobKind } from "../../../../services/queue/jobs.ts";

function started() {
  const queued: [JobKind, readonly string[]][] = [];
  const begun: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const errors: unknown[] = [];
  const work = async (id: string): Promise<void> => {
    begun.push(id);
    await new Promise<void>((resolve, reject) => {
      ends.set(id, (error) => (error === undefined ? resolve() : reject(error)));
    });
  };
  const handlers: Handlers = { watch: work, reconcile: work, push: work };
  const hands = openHands(
    async (kind, ids) => {
      queued.push([kind, ids]);
    },
    (error) => errors.push(error),
  );
  return { hands, handlers, queued, begun, ends, errors };
}

const ids = (n: number): string[] => Array.from({ length: n }, (_, i) => `id-${i}`);

describe("the hands of a process", () => {
  test("are none until somebody works: all goes into the queue", async () => {
    const { hands, queued, begun } = started();
    await hands.enqueue("push", ["a", "b"]);
    expect(queued).toEqual([["push", ["a", "b"]]]);
    expect(begun).toEqual([]);
  });

  test("begin at once what they are free for, and queue the rest in its order", async () => {
    const { hands, handlers, queued, begun } = started();
    hands.employ(handlers);
    await hands.enqueue("push", ids(20));
    expect(begun).toEqual(ids(20).slice(0, begun.length));
    expect(begun.length).toBeGreaterThan(0);
    expect(queued).toEqual([["push", ids(20).slice(begun.length)]]);
  });

  test("are free again when their work has ended, and of each kind there are some", async () => {
    const { hands, handlers, queued, begun, ends } = started();
    hands.employ(handlers);
    await hands.enqueue("reconcile", ids(20));
    const busy = begun.length;
    await hands.enqueue("watch", ["other"]);
    expect(begun.at(-1)).toBe("other");
    await hands.enqueue("reconcile", ["late"]);
    expect(queued.at(-1)).toEqual(["reconcile", ["late"]]);
    ends.get("id-0")?.();
    await new Promise(setImmediate);
    await hands.enqueue("reconcile", ["later"]);
    expect(begun.slice(busy)).toEqual(["other", "later"]);
  });

  test("a failure is told and frees the hand", async () => {
    const { hands, handlers, begun, ends, errors } = started();
    hands.employ(handlers);
    await hands.enqueue("watch", ids(20));
    const busy = [...begun];
    ends.get("id-0")?.(new Error("broken"));
    await new Promise(setImmediate);
    await hands.enqueue("watch", ["late"]);
    expect(errors).toEqual([new Error("broken")]);
    expect(begun).toEqual([...busy, "late"]);
  });

  test("leave to the queue what failed with them: this process may be the one that cannot do it", async () => {
    const { hands, queued } = started();
    const begun: string[] = [];
    const failing = async (id: string): Promise<boolean> => {
      begun.push(id);
      return begun.length > 2;
    };
    hands.employ({ watch: failing, reconcile: failing, push: failing });
    for (let n = 0; n < 6; n++) {
      await hands.enqueue("push", ["a"]);
      await new Promise(setImmediate);
    }
    expect(begun).toEqual(["a", "a", "a", "a"]);
    expect(queued).toEqual([
      ["push", ["a"]],
      ["push", ["a"]],
    ]);
  });

  test("resting waits for what runs, and leaves what comes to others", async () => {
    const { hands, handlers, queued, ends } = started();
    hands.employ(handlers);
    await hands.enqueue("push", ["a"]);
    let rested = false;
    const resting = hands.rest().then(() => {
      rested = true;
    });
    await hands.enqueue("push", ["b"]);
    expect(queued).toEqual([["push", ["b"]]]);
    await new Promise(setImmediate);
    expect(rested).toBe(false);
    ends.get("a")?.();
    await resting;
    expect(rested).toBe(true);
  });
});

describe("the hands of a process whose queue says nothing", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Of each kind there is always more than one process has hands for. */
  const busy = () => {
    const put: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
    const silent = async (): Promise<void> =>
      await new Promise<void>((resolve, reject) => {
        put.push({ resolve, reject });
      });
    const ran = new Map<JobKind, number>();
    const counting = (kind: JobKind) => async (): Promise<void> => {
      ran.set(kind, (ran.get(kind) ?? 0) + 1);
    };
    const errors: unknown[] = [];
    const onError = (error: unknown): void => void errors.push(error);
    const hands = openHands(silent, onError);
    hands.employ({ watch: counting("watch"), reconcile: counting("reconcile"), push: counting("push") });
    const dispatcher = startDispatcher(
      {
        take: async () => ({
          claimed: new Map([
            ["watch", ids(40)],
            ["reconcile", ids(40)],
          ]),
          kinds: ["push"],
          nextInMs: null,
        }),
        claim: async () => ids(40),
      },
      hands.enqueue,
      onError,
    );
    return { dispatcher, put, ran, errors };
  };

  test("go on with each kind, tell of it, and do not tell the queue more and more", async () => {
    const { dispatcher, put, ran, errors } = busy();
    await vi.advanceTimersByTimeAsync(15_000);
    for (const [kind, atOnce] of [
      ["watch", 2],
      ["reconcile", 4],
      ["push", 16],
    ] as const) {
      expect(ran.get(kind), kind).toBeGreaterThanOrEqual(5 * atOnce);
    }
    expect(errors).toContainEqual(new Error("the queue did not answer within 2000 ms"));
    expect(put.length).toBeLessThanOrEqual(3);
    await dispatcher.stop();
  });

  test("put into it again when it speaks, also if that is a refusal of what nobody waits for any more", async () => {
    const { dispatcher, put } = busy();
    await vi.advanceTimersByTimeAsync(15_000);
    const before = put.length;
    for (const { reject } of put) reject(new Error("gone"));
    await vi.advanceTimersByTimeAsync(1_100);
    expect(put.length).toBeGreaterThan(before);
    const stopped = dispatcher.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    await stopped;
  });
});
