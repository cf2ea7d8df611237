import { describe, expect, test } from "vitest";
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
