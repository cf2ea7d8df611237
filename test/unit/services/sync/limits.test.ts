import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Asking,
  type Books,
  bookSpare,
  bookTurns,
  giveBack,
  hold,
  type Limit,
  type Share,
  sharesOf,
} from "../../../../services/sync/limits.ts";

const HOUR = 3_600_000;
const NOON = Date.parse("2026-11-20T12:00:00Z");

function share(options: Partial<Share> = {}): Share {
  return { limit: "minute", calls: 3, windowMs: 60_000, slotMs: 1, cost: 1, ...options };
}
const asking = (shares: readonly Share[], patienceMs = HOUR): Asking => ({ shares, patienceMs });
const times = <T>(n: number, one: T): T[] => new Array<T>(n).fill(one);

/** Waits of calls that ask one after the other, each after so many milliseconds. */
function ask(...calls: readonly (Asking & { readonly afterMs?: number })[]): number[] {
  let books: Books = {};
  let now = NOON;
  return calls.map((call) => {
    now += call.afterMs ?? 0;
    const result = bookTurns(books, [call], now);
    books = result.books;
    return result.turns[0]?.waitMs ?? Number.NaN;
  });
}

describe("sharesOf()", () => {
  const limits: readonly Limit[] = [
    { name: "minute", calls: 640, perMs: 60_000, cost: () => 1 },
    { name: "second", calls: 40, perMs: 1_000, cost: () => 1 },
    { name: "write", calls: 1, perMs: 1_000, cost: ({ method }) => (method === "GET" ? 0 : 1) },
  ];
  const of = (method: string, all = limits) =>
    sharesOf({ account: "a", limits: all }, { method, operation: `${method} /x` });

  test("names what a call takes of each limit that counts it", () => {
    expect(of("GET").map(({ limit }) => limit)).toEqual(["minute", "second"]);
    expect(of("PUT").map(({ limit }) => limit)).toEqual(["minute", "second", "write"]);
  });

  test("makes windows longer for calls that travel slowly, but not a pause between two", () => {
    expect(of("PUT").map(({ windowMs }) => windowMs)).toEqual([60_250, 1_125, 1_000]);
  });

  test("lets a log take few entries, and a pause stay exact", () => {
    for (const { windowMs, slotMs } of of("GET")) expect(windowMs / slotMs).toBeLessThanOrEqual(32);
    expect(of("PUT")[2]?.slotMs).toBe(1);
  });

  test("never asks for more than there ever is", () => {
    const [dear] = of("GET", [{ name: "points", calls: 5, perMs: 60_000, cost: () => 9 }]);
    expect(dear?.cost).toBe(5);
  });

  test("gives calls that nothing counts a name under which they can be held", () => {
    expect(of("GET", [])).toMatchObject([{ limit: "*", cost: 0 }]);
  });
});

describe("bookTurns()", () => {
  test("lets a quiet account use its whole window at once, and then waits for it to pass", () => {
    const call = asking([share()]);
    expect(ask(...times(7, call))).toEqual([0, 0, 0, 60_000, 60_000, 60_000, 120_000]);
  });

  test("gives every call of a paced account a turn of its own", () => {
    const write = asking([share({ calls: 1, windowMs: 10_000 })]);
    expect(ask(write, write, { ...write, afterMs: 4_000 }, { ...write, afterMs: 50_000 })).toEqual([
      0, 10_000, 16_000, 0,
    ]);
  });

  test("books nothing beyond the patience, and says when it would have been", () => {
    const { books } = bookTurns({}, times(3, asking([share()])), NOON);
    const refused = bookTurns(books, [asking([share()], 59_999)], NOON);
    expect(refused.turns).toEqual([{ waitMs: 60_000, booked: false }]);
    expect(refused.books).toBe(books);
  });

  test("finds the first turn that all limits of the call allow", () => {
    const read = asking([share({ calls: 10 })]);
    const write = asking([share({ calls: 10 }), share({ limit: "write", calls: 1, windowMs: 5_000 })]);
    // A write that waits for its turn keeps no read waiting.
    expect(ask(read, write, write, read, write)).toEqual([0, 0, 5_000, 0, 10_000]);
  });

  test("counts a call for as much as it costs", () => {
    const dear = asking([share({ calls: 9, cost: 4 })]);
    const cheap = asking([share({ calls: 9 })]);
    expect(ask(dear, dear, cheap, cheap)).toEqual([0, 0, 0, 60_000]);
  });

  test("keeps no longer a log than its slots", () => {
    const many = share({ calls: 1_000, windowMs: 3_200, slotMs: 100 });
    let books: Books = {};
    for (let i = 0; i < 500; i += 1) books = bookTurns(books, [asking([many])], NOON + i * 37).books;
    expect(books["minute"]?.log).toHaveLength(33);
  });
});

describe("hold()", () => {
  test("keeps the calls of its limits away until then, and no others", () => {
    const books = hold({}, ["minute"], NOON + 20_000);
    const calls = [asking([share()]), asking([share({ limit: "other" })])];
    expect(bookTurns(books, calls, NOON).turns.map(({ waitMs }) => waitMs)).toEqual([20_000, 0]);
    expect(bookTurns(books, calls, NOON + 20_000).turns.map(({ waitMs }) => waitMs)).toEqual([0, 0]);
  });

  test("is not cut short by a later and shorter one", () => {
    const books = hold(hold({}, ["minute"], NOON + 20_000), ["minute"], NOON + 1_000);
    expect(bookTurns(books, [asking([share()])], NOON).turns).toEqual([{ waitMs: 20_000, booked: true }]);
  });

  test("leaves what is booked as it is", () => {
    const { books } = bookTurns({}, times(3, asking([share()])), NOON);
    const held = hold(books, ["minute"], NOON + 1_000);
    expect(bookTurns(held, [asking([share()])], NOON).turns).toEqual([{ waitMs: 60_000, booked: true }]);
  });
});

describe("bookSpare()", () => {
  const shares = [
    share({ limit: "minute", calls: 700, windowMs: 60_250, slotMs: 1_883 }),
    share({ limit: "second", calls: 40, windowMs: 1_125, slotMs: 36 }),
  ];

  test("books a few turns for the last moment at which they may be used", () => {
    const spare = bookSpare({}, shares, NOON);
    const forMs = 1_125 / 2; // half of the shorter window, and less than a second
    expect(spare?.spare).toEqual({ shares, calls: 16, at: NOON + forMs });
    for (const { limit, slotMs } of shares) {
      const [[at, calls] = [0, 0]] = spare?.books[limit]?.log ?? [];
      expect(calls).toBe(16);
      expect(at).toBeGreaterThanOrEqual(NOON + forMs);
      expect(at).toBeLessThan(NOON + forMs + slotMs);
    }
  });

  test("leaves an account alone that is half used up", () => {
    const { books } = bookTurns({}, times(15, asking(shares)), NOON);
    expect(bookSpare(books, shares, NOON)?.spare.calls).toBe(5);
    const { books: half } = bookTurns(books, times(5, asking(shares)), NOON);
    expect(bookSpare(half, shares, NOON)).toBeNull();
  });

  test("books none where a vendor has asked to stop, and few that would be lost for an hour", () => {
    expect(bookSpare(hold({}, ["second"], NOON + 1), shares, NOON)).toBeNull();
    expect(bookSpare({}, [share({ calls: 5_000, windowMs: HOUR })], NOON)?.spare.calls).toBe(4);
    expect(bookSpare({}, [share({ calls: 1_000, windowMs: HOUR })], NOON)).toBeNull();
    expect(bookSpare({}, [share({ calls: 1, windowMs: 1_000 })], NOON)).toBeNull();
  });
});

describe("giveBack()", () => {
  const minute = share({ limit: "minute", calls: 700, windowMs: 60_250, slotMs: 1_883 });
  const dear = share({ limit: "points", calls: 900, windowMs: 60_250, slotMs: 1_883, cost: 5 });

  test("leaves the books as if what nobody used had never been booked", () => {
    const { books: before } = bookTurns({}, times(2, asking([minute, dear])), NOON);
    const { spare, books } = bookSpare(before, [minute, dear], NOON) ?? expect.unreachable();
    expect(giveBack(books, [spare])).toEqual(before);
    const used = giveBack(books, [{ ...spare, calls: spare.calls - 3 }]);
    expect(used).toEqual(bookTurns(before, times(3, asking([minute, dear])), spare.at).books);
  });

  test("takes nothing from others that were booked for the same moment, and nothing twice", () => {
    const { spare, books } = bookSpare({}, [minute], NOON) ?? expect.unreachable();
    const { books: others } = bookTurns(books, times(4, asking([minute])), spare.at);
    expect(giveBack(others, [spare])["minute"]?.log).toMatchObject([[expect.anything(), 4]]);
    const later = bookTurns(others, [asking([minute])], NOON + 120_000).books;
    expect(giveBack(later, [spare])).toEqual(later);
  });
});

describe("whatever is asked for, in any order and at any pace", () => {
  const limit = fc.record({
    calls: fc.integer({ min: 1, max: 70 }),
    windowMs: fc.integer({ min: 1_000, max: 60_000 }),
    slots: fc.constantFrom(4, 32),
  });
  const step = fc.record({
    afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 20_000 })),
    write: fc.boolean(),
    cost: fc.integer({ min: 1, max: 4 }),
    times: fc.integer({ min: 1, max: 40 }),
    patienceMs: fc.constantFrom(0, 5_000, 30_000, HOUR),
  });
  interface Made {
    readonly at: number;
    readonly n: number;
  }

  test("no window holds more than its limit, and no call waits longer than by an exact log", () => {
    fc.assert(
      fc.property(limit, limit, fc.array(step, { minLength: 1, maxLength: 20 }), (a, b, steps) => {
        const limits = [
          { share: share({ limit: "all", ...a, slotMs: a.windowMs / a.slots }), made: [] as Made[] },
          { share: share({ limit: "writes", ...b, slotMs: b.windowMs / b.slots }), made: [] as Made[] },
        ];
        let books: Books = {};
        let now = NOON;
        for (const { afterMs, write, cost, times: n, patienceMs } of steps) {
          now += afterMs;
          const mine = limits.slice(0, write ? 2 : 1);
          const shares = mine.map((each) => ({ ...each.share, cost: Math.min(cost, each.share.calls) }));
          const result = bookTurns(books, times(n, asking(shares, patienceMs)), now);
          books = result.books;
          for (const { waitMs, booked } of result.turns) {
            const exact = Math.max(now, ...mine.map(({ made }, k) => soonest(made, shares[k] ?? share())));
            const slotMs = Math.max(...shares.map((each) => each.slotMs));
            expect(now + waitMs).toBeGreaterThanOrEqual(exact);
            expect(now + waitMs).toBeLessThanOrEqual(exact + slotMs);
            expect(booked).toBe(waitMs <= patienceMs);
            if (booked)
              mine.forEach(({ made }, k) => void made.push({ at: now + waitMs, n: shares[k]?.cost ?? 0 }));
          }
        }
        for (const { share: each, made } of limits)
          expect(fullest(made, each.windowMs)).toBeLessThanOrEqual(each.calls);
      }),
      { numRuns: 500 },
    );
  });

  /** When the newest call leaves that has so many after it that one more would be too many. */
  function soonest(made: readonly Made[], { calls, cost, windowMs }: Share): number {
    let since = 0;
    for (const { at, n } of [...made].sort((x, y) => y.at - x.at)) {
      since += n;
      if (since + cost > calls) return at + windowMs;
    }
    return 0;
  }

  function fullest(made: readonly Made[], windowMs: number): number {
    const from = (start: number) =>
      made.reduce((sum, { at, n }) => (at >= start && at < start + windowMs ? sum + n : sum), 0);
    return Math.max(0, ...made.map(({ at }) => from(at)));
  }
});
