import { setTimeout as pause } from "node:timers/promises";

/**
 * Resolves with the first truthy answer of `probe`, asking every few milliseconds. At the deadline it
 * throws the probe's last error, or says what was waited for. Tests wait with this and never sleep.
 */
export async function until<T>(
  probe: () => T | Promise<T>,
  options: { timeoutMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const { timeoutMs = 10_000, what = "the condition" } = options;
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await probe();
      if (answer) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw last ?? new Error(`waited ${timeoutMs} ms for ${what}`);
    await pause(10);
  }
}
