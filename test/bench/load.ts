/** Load from this process: as fast as the other side takes it, or at a given rate whatever it does. */

export type Send = (n: number) => Promise<void>;

/** Calls done per second by so many callers that each wait for their answer before they call again. */
export async function closedLoop(callers: number, forMs: number, send: Send): Promise<number> {
  const from = performance.now();
  const end = from + forMs;
  let n = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < end) {
      await send(n++);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return (n / (performance.now() - from)) * 1_000;
}

/** Milliseconds from the moment at which each call was due until its answer, late departures included. */
export async function openLoop(perSecond: number, forMs: number, send: Send): Promise<number[]> {
  const total = Math.round((perSecond * forMs) / 1_000);
  const latencies: number[] = [];
  const underWay: Promise<void>[] = [];
  const from = performance.now();
  const one = async (n: number): Promise<void> => {
    const due = from + (n * 1_000) / perSecond;
    await send(n);
    latencies.push(performance.now() - due);
  };
  await new Promise<void>((resolve) => {
    let n = 0;
    const tick = (): void => {
      const due = Math.min(total, Math.floor(((performance.now() - from) * perSecond) / 1_000) + 1);
      while (n < due) underWay.push(one(n++));
      if (n < total) setTimeout(tick, 1);
      else resolve();
    };
    tick();
  });
  await Promise.all(underWay);
  return latencies;
}
