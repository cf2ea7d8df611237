import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { bookAhead, openSpareTurns } from "../../../../services/store/spare.ts";
import type { Share } from "../../../../services/sync/limits.ts";

const NOON = Date.parse("2026-11-20T12:00:00Z");
const share = (limit: string): Share => ({ limit, calls: 100, windowMs: 60_000, slotMs: 1, cost: 1 });
const GET = { shares: [share("minute")] };
const PUT = { shares: [share("minute"), share("write")] };
const booked = (calls: readonly (typeof GET)[]) => bookAhead({}, calls, NOON, openSpareTurns()).ahead;

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());

describe("turns that were booked ahead", () => {
  test("are as many as were booked, each kind for itself, for a second", () => {
    const turns = openSpareTurns();
    turns.put(booked([GET]), turns.era);
    expect(turns.take(PUT)).toBe(false);
    for (let n = 0; n < 16; n += 1) expect(turns.take(GET)).toBe(true);
    expect(turns.take(GET)).toBe(false);

    turns.put(booked([GET]), turns.era);
    vi.advanceTimersByTime(999);
    expect(turns.take(GET)).toBe(true);
    vi.advanceTimersByTime(1);
    expect([turns.has(GET), turns.take(GET)]).toEqual([false, false]);
  });

  test("are given back when they can be used no more, what is left of them, and once", () => {
    const turns = openSpareTurns();
    turns.put(booked([GET, PUT]), turns.era);
    for (let n = 0; n < 3; n += 1) turns.take(GET);
    for (let n = 0; n < 16; n += 1) turns.take(PUT);
    expect(turns.unused()).toEqual([]);
    vi.advanceTimersByTime(1_000);
    expect(turns.unused()).toEqual([{ shares: GET.shares, calls: 13, at: NOON + 1_000 }]);
    expect(turns.unused()).toEqual([]);
  });

  test("are given back also if others have been booked in their place by then", () => {
    const turns = openSpareTurns();
    turns.put(booked([GET]), turns.era);
    turns.take(GET);
    vi.advanceTimersByTime(1_000);
    turns.put(booked([GET]), turns.era);
    expect(turns.unused()).toEqual([{ shares: GET.shares, calls: 15, at: NOON + 1_000 }]);
    expect(turns.unused()).toEqual([]);
    expect(turns.has(GET)).toBe(true);
  });

  test("are not booked of a kind that there are some of", () => {
    const turns = openSpareTurns();
    turns.put(booked([GET]), turns.era);
    const more = bookAhead({}, [GET, PUT, GET], NOON, turns);
    expect(more.ahead.map(({ booked: { shares } }) => shares)).toEqual([PUT.shares]);
    expect(Object.values(more.books).map(({ log }) => log)).toEqual([
      [[NOON + 1_000, 16]],
      [[NOON + 1_000, 16]],
    ]);
  });

  test("are of no use once the vendor has asked to stop, also those whose booking is answered only then", () => {
    const turns = openSpareTurns();
    const { era } = turns;
    turns.put(booked([GET]), era);
    turns.drop();
    turns.put(booked([PUT]), era);
    expect([turns.has(GET), turns.has(PUT)]).toEqual([false, false]);
    vi.advanceTimersByTime(1_000);
    expect(turns.unused()).toEqual([]);
  });
});
