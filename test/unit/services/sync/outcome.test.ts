import { describe, expect, test } from "vitest";
import { CODES, type Code, SyncError, type SyncErrorOptions } from "../../../../services/sync/errors.ts";
import { nextFor, verdict } from "../../../../services/sync/outcome.ts";

const verdictOf = (code: Code, attempts: number, options: SyncErrorOptions = {}, random = () => 0.5) =>
  verdict(new SyncError(code, "x", options), { attempts, code }, random);

describe("verdict()", () => {
  test.each([
    ["unavailable", "retrying", 1],
    ["conflict", "retrying", 1],
    ["internal", "retrying", 1],
    ["rate_limited", "retrying", 0],
    ["unauthenticated", "parked", 1],
    ["forbidden", "parked", 1],
    ["wrong_account", "parked", 1],
    ["source_unready", "parked", 1],
    ["target_missing", "parked", 1],
    ["invalid_target", "parked", 1],
    ["invalid_secret", "parked", 1],
    ["partial", "retrying", 1],
    ["limit_exceeded", "parked", 1],
    ["not_owned", "parked", 1],
    ["unsafe", "parked", 1],
    ["policy", "parked", 1],
    ["proof_failed", "retrying", 1],
  ] as const)("%s at first: %s, counted as %i", (code, state, attempts) => {
    expect(verdictOf(code, 0)).toMatchObject({ state, attempts });
    expect(verdictOf(code, 0).dueInMs).toBeGreaterThan(0);
  });

  test("backs off up to five minutes, and never gives up on what may come back", () => {
    const waits = [0, 1, 2, 3, 8, 9, 100, 10_000].map((attempts) =>
      verdictOf("unavailable", attempts, {}, () => 0.999_999),
    );
    expect(waits.map(({ dueInMs }) => dueInMs)).toEqual([
      1_000, 2_000, 4_000, 8_000, 256_000, 300_000, 300_000, 300_000,
    ]);
    expect(waits.every(({ state }) => state === "retrying")).toBe(true);
  });

  test("spreads what comes back over half of its wait", () => {
    expect(verdictOf("unavailable", 3, {}, () => 0).dueInMs).toBe(4_000);
    expect(verdictOf("unavailable", 3, {}, () => 0.999_999).dueInMs).toBe(8_000);
  });

  test("never comes earlier than the vendor asked", () => {
    for (const random of [() => 0, () => 0.999_999]) {
      expect(verdictOf("rate_limited", 0, { retryAfterMs: 7_000 }, random).dueInMs).toBeGreaterThanOrEqual(
        7_000,
      );
      expect(verdictOf("unavailable", 0, { retryAfterMs: 7_000 }, random).dueInMs).toBeGreaterThanOrEqual(
        7_000,
      );
    }
  });

  test("a limit is no attempt, however often it is met", () => {
    expect(verdictOf("rate_limited", 4)).toMatchObject({ state: "retrying", attempts: 4 });
  });

  test("a lost comparison is made again at once, a few times", () => {
    expect(verdictOf("conflict", 0).dueInMs).toBeLessThan(60);
    expect(verdictOf("conflict", 4).dueInMs).toBeLessThan(260);
    expect(verdictOf("conflict", 5).dueInMs).toBeGreaterThan(10_000);
    expect(verdictOf("conflict", 0, { retryAfterMs: 500 }).dueInMs).toBe(500);
  });

  test("what is tried few times is parked then", () => {
    for (const code of ["internal", "proof_failed"] as const) {
      expect(verdictOf(code, 4).state).toBe("retrying");
      expect(verdictOf(code, 5).state).toBe("parked");
    }
  });

  describe.each(["internal", "proof_failed"] as const)("%s after others", (code) => {
    /** How often it is tried again until it is parked, after so many attempts that ended otherwise. */
    const triesAfter = (before: string | null, attempts: number): number => {
      let tried: { attempts: number; code: string | null } = { attempts, code: before };
      for (let tries = 0; tries < 100; tries += 1) {
        const { state, attempts: now } = verdict(new SyncError(code, "x"), tried, () => 0.5);
        if (state === "parked") return tries;
        tried = { attempts: now, code };
      }
      return Number.POSITIVE_INFINITY;
    };

    test.each(["unavailable", "conflict", "partial"])("of an outage (%s) is tried all the same", (before) => {
      expect([0, 1, 2, 5, 1_000].map((attempts) => triesAfter(before, attempts))).toEqual([5, 4, 3, 3, 3]);
    });

    test.each(["rate_limited", "internal", "proof_failed", "forbidden"])(
      "that were none (%s) counts on",
      (before) => {
        expect([0, 2, 5, 6].map((attempts) => triesAfter(before, attempts))).toEqual([5, 3, 0, 0]);
      },
    );

    test("after nothing is tried as often as ever", () => {
      expect(triesAfter(null, 0)).toBe(5);
    });
  });

  test("what is parked is one failed run, however often it is looked at again: beside it others are tried as ever", () => {
    const parked = verdictOf("not_owned", 50);
    expect(parked.attempts).toBe(1);
    const beside = { attempts: parked.attempts, code: "not_owned" };
    expect(verdict(new SyncError("conflict", "x"), beside, () => 0.999_999).dueInMs).toBeLessThanOrEqual(100);
    expect(verdict(new SyncError("internal", "x"), beside).state).toBe("retrying");
  });

  test("parked work is looked at again now and then", () => {
    expect(verdictOf("forbidden", 50, {}, () => 0.999_999).dueInMs).toBe(600_000);
  });
});

describe("nextFor()", () => {
  test.each(CODES)("%s says what a person should do", (code) => {
    expect(nextFor(new SyncError(code, "x"))).toMatch(/^[A-Z].+\.$/);
  });

  test("prefers what the error itself says", () => {
    expect(nextFor(new SyncError("forbidden", "x", { next: "Ask Ada." }))).toBe("Ask Ada.");
  });
});
