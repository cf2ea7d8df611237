/**
 * A queue that says nothing is not waited for: the hands of this process can work without it, and what it was to have is due
 * again when its mark in the row has passed.
 */
import type { Enqueue } from "./jobs.ts";

/** Longer than a queue takes that is merely slow. */
const PATIENCE_MS = 2_000;
/** Each thing that a silent queue is told is kept in memory until it answers: it is told no more than this often. */
const SILENCE_MS = 30_000;

/** Rejects when `queue` has not answered in time; as long as it has not, at once. */
export function patiently(queue: Enqueue): Enqueue {
  let silentUntil = 0;
  const heard = (): void => {
    silentUntil = 0;
  };
  return async (kind, ids) => {
    if (performance.now() < silentUntil) throw new Error("the queue still does not answer");
    const put = queue(kind, ids);
    put.then(heard, heard);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        silentUntil = performance.now() + SILENCE_MS;
        reject(new Error(`the queue did not answer within ${PATIENCE_MS} ms`));
      }, PATIENCE_MS);
      put.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  };
}
