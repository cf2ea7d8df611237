/** Runs at most `width` tasks at once; the others wait in the order they came. */
export type Limit = <T>(task: () => Promise<T>) => Promise<T>;

export function createLimit(width: number): Limit {
  const waiting: (() => void)[] = [];
  let running = 0;

  return async (task) => {
    if (running >= width) await new Promise<void>((go) => waiting.push(go));
    else running++;
    try {
      return await task();
    } finally {
      // A place is handed over rather than given up, so that nobody who comes now overtakes.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
