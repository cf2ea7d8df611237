/** Runs at most `width` tasks at once; the others wait in the order they came. Whoever's `signal` aborts leaves the line. */
export type Limit = <T>(task: () => Promise<T>, signal?: AbortSignal) => Promise<T>;

export function createLimit(width: number): Limit {
  const waiting = new Set<() => void>();
  let running = 0;

  const turn = (signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(go);
        reject(signal?.reason as Error);
      };
      const go = (): void => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      waiting.add(go);
      signal?.addEventListener("abort", leave, { once: true });
    });

  return async (task, signal) => {
    signal?.throwIfAborted();
    if (running >= width) await turn(signal);
    else running++;
    try {
      return await task();
    } finally {
      // A place is handed over rather than given up, so that nobody who comes now overtakes.
      const [next] = waiting;
      if (next === undefined) running--;
      else {
        waiting.delete(next);
        next();
      }
    }
  };
}
