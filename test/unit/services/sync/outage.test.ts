/** An hour in which a vendor does not answer, in virtual time: what its end looks like to the vendor and to the backlog. */
import { describe, expect, test } from "vitest";
import { SyncError } from "../../../../services/sync/errors.ts";
import { verdict } from "../../../../services/sync/outcome.ts";
import { randomOf } from "../../model/clock.ts";

const PLACES = 1_000;
const HOUR_MS = 3_600_000;
/** Of one account at once, over all processes: services/store/due.ts. */
const IN_FLIGHT = 8;
const TIMEOUT_MS = 10_000;
const CALL_MS = 50;

interface Place {
  dueAt: number;
  attempts: number;
}

/** Begun at, by place; the outage lasts from 0 to `HOUR_MS`, and everything is due when it begins. */
function play(seed: number): { tries: number[]; doneAt: number[] } {
  const random = randomOf(seed);
  const waiting: Place[] = Array.from({ length: PLACES }, () => ({ dueAt: 0, attempts: 0 }));
  const lanes = Array.from({ length: IN_FLIGHT }, () => 0);
  const tries: number[] = [];
  const doneAt: number[] = [];
  while (waiting.length > 0) {
    const free = Math.min(...lanes);
    waiting.sort((a, b) => a.dueAt - b.dueAt);
    const place = waiting.shift();
    if (place === undefined) break;
    const begun = Math.max(free, place.dueAt);
    tries.push(begun);
    const isDown = begun < HOUR_MS;
    const ended = begun + (isDown ? TIMEOUT_MS : CALL_MS);
    lanes[lanes.indexOf(free)] = ended;
    if (isDown) {
      const { dueInMs, attempts } = verdict(
        new SyncError("unavailable", "down"),
        { attempts: place.attempts, code: "unavailable" },
        random,
      );
      waiting.push({ dueAt: ended + dueInMs, attempts });
    } else doneAt.push(ended);
  }
  return { tries, doneAt };
}

/** The most of these moments that lie within one span. */
function most(moments: readonly number[], spanMs: number): number {
  const sorted = [...moments].sort((a, b) => a - b);
  return Math.max(
    ...sorted.map((at, n) => sorted.filter((other, m) => m >= n && other < at + spanMs).length),
  );
}

describe("a vendor that is down for an hour", () => {
  const { tries, doneAt } = play(1);

  test("is not asked by more than its share of workers, however much is due", () => {
    const during = tries.filter((at) => at < HOUR_MS);
    expect(most(during, TIMEOUT_MS)).toBeLessThanOrEqual(IN_FLIGHT);
  });

  test("has the whole backlog within the longest wait after it is back, without a person", () => {
    expect(doneAt).toHaveLength(PLACES);
    expect(Math.max(...doneAt) - HOUR_MS).toBeLessThan(5 * 60_000 + TIMEOUT_MS);
  });

  test("is not met by everyone at once: nothing comes faster than it is answered", () => {
    const after = tries.filter((at) => at >= HOUR_MS);
    expect(most(after, 1_000)).toBeLessThanOrEqual((IN_FLIGHT * 1_000) / CALL_MS + IN_FLIGHT);
  });

  test("nor would it be without that cap: not three in a hundred come in the same second", () => {
    const dueAt = Array.from({ length: PLACES }, (_, n) => {
      const random = randomOf(n);
      return verdict(new SyncError("unavailable", "down"), { attempts: 20, code: "unavailable" }, random)
        .dueInMs;
    });
    expect(most(dueAt, 1_000)).toBeLessThan((PLACES * 3) / 100);
    expect(Math.max(...dueAt) - Math.min(...dueAt)).toBeGreaterThan(2 * 60_000);
  });
});
