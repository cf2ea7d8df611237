/**
 * Group commit: while one batch is being written, whatever comes in waits and becomes the next one. No
 * timer, so a lone caller pays nothing for it. A failure of a batch is every one of its callers' failure.
 */
export function inBatches<In, Out>(
  write: (batch: readonly In[]) => Promise<readonly Out[]>,
  { most = 200, atOnce = 3 }: { most?: number; atOnce?: number } = {},
): (item: In) => Promise<Out> {
  let waiting: { item: In; resolve: (out: Out) => void; reject: (error: unknown) => void }[] = [];
  let running = 0;

  const flush = async (): Promise<void> => {
    const batch = waiting.slice(0, most);
    waiting = waiting.slice(most);
    running += 1;
    try {
      const results = await write(batch.map((one) => one.item));
      batch.forEach((one, index) => {
        const result = results[index];
        if (result === undefined) one.reject(new Error("the batch gave no result for this item"));
        else one.resolve(result);
      });
    } catch (error) {
      for (const one of batch) one.reject(error);
    } finally {
      running -= 1;
      next();
    }
  };
  const next = (): void => {
    while (waiting.length > 0 && running < atOnce) void flush();
  };

  return async (item) =>
    await new Promise<Out>((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      // All that arrives in this turn of the event loop goes together.
      if (waiting.length === 1) setImmediate(next);
    });
}
