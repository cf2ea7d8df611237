/**
 * The hands of this process. Work that one of them is free for begins at once; only what is more than that goes into the
 * queue, for whoever is free elsewhere. A queue is a messenger: whoever can begin by himself needs none.
 */
import type { Enqueue, Handlers, JobKind } from "./jobs.ts";
import { patiently } from "./patience.ts";

export interface Hands {
  /** Begins as much as there are hands for, and puts the rest into the queue. */
  readonly enqueue: Enqueue;
  /** From now on there are hands. */
  employ(handlers: Handlers): void;
  /** No new work; resolves when what runs has ended. */
  rest(): Promise<void>;
}

/** So many of each kind: what comes alone or a few together. A flood is for the queue, which all processes share. */
export const HANDS: Readonly<Record<JobKind, number>> = { watch: 2, reconcile: 4, push: 16 };

/** Ids that are remembered at most. */
const MOST_FAILED = 1_000;

export function openHands(queue: Enqueue, onError: (error: unknown) => void): Hands {
  const put = patiently(queue);
  const busy = new Map<JobKind, Set<Promise<void>>>();
  let employed: Handlers | null = null;
  /** What failed in a hand: the queue has it next time, for this process may be the one that cannot do it. */
  const failed = new Set<string>();

  const begin = (handlers: Handlers, kind: JobKind, id: string): void => {
    const mine = busy.get(kind) ?? new Set();
    busy.set(kind, mine);
    const work = handlers[kind](id)
      .then((well) => {
        if (well !== false) return;
        if (failed.size >= MOST_FAILED) failed.clear();
        failed.add(id);
      })
      .catch(onError)
      .finally(() => mine.delete(work));
    mine.add(work);
  };

  return {
    enqueue: async (kind, ids) => {
      let free = HANDS[kind] - (busy.get(kind)?.size ?? 0);
      const more: string[] = [];
      for (const id of ids) {
        if (employed === null || failed.delete(id) || free-- <= 0) more.push(id);
        else begin(employed, kind, id);
      }
      if (more.length > 0) await put(kind, more);
    },
    employ: (handlers) => {
      employed = handlers;
    },
    rest: async () => {
      employed = null;
      await Promise.all([...busy.values()].flatMap((works) => [...works]));
    },
  };
}
