import { setTimeout as pause } from "node:timers/promises";

/** Asking is work too, mostly the database's: the longer it takes, the less often it is asked. */
const PAUSE = { firstMs: 5, growth: 1.3, mostMs: 100 };

/**
 * Resolves with the first truthy answer of `probe`, asking again and again. At the deadline it
 * throws the probe's last error, or says what was waited for. Tests wait with this and never sleep.
 */
export async function until<T>(
  probe: () => T | Promise<T>,
  options: { timeoutMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const { timeoutMs = 20_000, what = "the condition" } = options;
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (let pauseMs = PAUSE.firstMs; ; pauseMs = Math.min(PAUSE.mostMs, pauseMs * PAUSE.growth)) {
    // What was asked in time may answer late: a machine that stands still for seconds is given one more try.
    const late = performance.now() > deadline;
    try {
      const answer = await probe();
      if (answer) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (late) throw last ?? new Error(`waited ${timeoutMs} ms for ${what}`);
    await pause(pauseMs);
  }
}
