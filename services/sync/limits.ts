/**
 * What a vendor lets one account do in a span of time, and the books that are kept of it. Adapters declare
 * limits as data; store/allowance.ts shares the books among all processes.
 *
 * A call's turn is the first moment at which no window that holds it holds more than the vendor allows. It is
 * booked at once, also when it lies ahead: nobody overtakes, nobody starves, and an account that was quiet may
 * use its whole window in one go. (A token bucket can do only one of these: a full burst, or no more than the
 * limit in any window.)
 */
import type { OutgoingRequest, OutgoingResponse } from "./ports.ts";

/** As a limit sees a request: the call as documented, without ids. */
export type LimitedCall = Pick<OutgoingRequest, "operation" | "method">;

/** At most `calls` in any `perMs`. A pause between two calls is a limit of one call per pause. */
export interface Limit {
  /** Unique in its account, and stored. */
  readonly name: string;
  readonly calls: number;
  readonly perMs: number;
  /** How many calls this one counts for; 0: it does not count. */
  cost(call: LimitedCall): number;
}

/** One account at a vendor, and what the vendor allows it. */
export interface AccountLimits {
  /** The same text for all who share the limits: vendor, host, account. Stored, so never a credential. */
  readonly account: string;
  /** May be empty: then calls go until the vendor asks to slow down. */
  readonly limits: readonly Limit[];
  /**
   * How long to make no more calls like the one that was answered so, in milliseconds; null: no reason to
   * stop. Left out: 429, 403 with limit headers, and `x-ratelimit-remaining: 0` are understood.
   */
  throttledMs?(response: OutgoingResponse): number | null;
}

// ---------------------------------------------------------------- what a call takes

/** What one call takes of one limit, as it is booked. */
export interface Share {
  readonly limit: string;
  readonly calls: number;
  readonly windowMs: number;
  /** Calls are booked at the end of their slot: neighbours share an entry, so a log stays short. */
  readonly slotMs: number;
  readonly cost: number;
}

/** Entries that one window of a log may take. A full window lasts longer by one slot. */
const SLOTS = 32;
/**
 * A call is booked for when it leaves us, and counted by the vendor when it arrives. So much later than its
 * successors it may arrive without harm, or an eighth of the window if that is less.
 */
const MOST_SLACK_MS = 250;

/** For calls that no limit counts: nothing is used up, but the vendor may have asked to stop. */
const UNCOUNTED: Share = { limit: "*", calls: 1, windowMs: 1, slotMs: 1, cost: 0 };

/** What a call takes of each limit that counts it; never empty. */
export function sharesOf({ limits }: AccountLimits, call: LimitedCall): readonly Share[] {
  const shares = limits.map((limit) => shareOf(limit, limit.cost(call))).filter(({ cost }) => cost > 0);
  return shares.length === 0 ? [UNCOUNTED] : shares;
}

function shareOf({ name, calls, perMs }: Limit, cost: number): Share {
  // Nobody counts a pause to the millisecond; the slack would only make it longer.
  const windowMs = calls === 1 ? perMs : perMs + Math.min(MOST_SLACK_MS, perMs / 8);
  const slotMs = calls <= SLOTS ? 1 : Math.ceil(windowMs / SLOTS);
  // What costs more than there ever is would wait for ever.
  return { limit: name, calls, windowMs, slotMs, cost: Math.min(cost, calls) };
}

// ---------------------------------------------------------------- the books of one account

/** By the limit's name. Times are milliseconds since the epoch, by one clock that all processes share. */
export type Books = Readonly<Record<string, Book>>;

export interface Book {
  /** Calls of the last window, oldest first; may reach into the future. */
  readonly log: readonly Entry[];
  /** The vendor asked for no more calls until then. */
  readonly heldUntil?: number;
}
type Entry = readonly [at: number, calls: number];

/** A call that asks for its turn. */
export interface Asking {
  readonly shares: readonly Share[];
  /** A turn further ahead than this is of no use to it, and is not booked. */
  readonly patienceMs: number;
}

export interface Turn {
  /** Until it comes; 0: now. */
  readonly waitMs: number;
  /** False: further ahead than the patience, and nobody's. */
  readonly booked: boolean;
}

/** Gives every call its turn, in the order given. `books` comes back as the same object if none was booked. */
export function bookTurns(
  books: Books,
  calls: readonly Asking[],
  now: number,
): { readonly turns: readonly Turn[]; readonly books: Books } {
  let after = books;
  const turns = calls.map(({ shares, patienceMs }) => {
    const at = Math.max(now, ...shares.map((share) => soonest(after[share.limit], share)));
    const turn = { waitMs: at - now, booked: at - now <= patienceMs };
    const taken = shares.filter(({ cost }) => cost > 0);
    if (turn.booked && taken.length > 0) {
      const booked = taken.map((share) => [share.limit, enter(after[share.limit], share, at, now)]);
      after = { ...after, ...Object.fromEntries(booked) };
    }
    return turn;
  });
  return { turns, books: after };
}

/** Turns in advance that one process takes at most, and for how long they are its own. */
const MOST_SPARE = 16;
const SPARE_MS = 1_000;
/** A process that dies gives nothing back: of what it could lose for longer than this, few are taken. */
const SHORT_WINDOW_MS = 90_000;
const CALLS_PER_SPARE = 1_250;

/** Turns in advance for calls of one kind. */
export interface Spare {
  readonly shares: readonly Share[];
  readonly calls: number;
  /** What they are booked for: the last moment at which they may be used, so that no window ever holds too many. */
  readonly at: number;
}

/**
 * Turns in advance for more calls of the same kind, which may be made without asking until `at`. Null: none, since an
 * account that is half used up is shared out call by call.
 */
export function bookSpare(
  books: Books,
  shares: readonly Share[],
  now: number,
): { readonly spare: Spare; readonly books: Books } | null {
  if (shares.some(({ cost }) => cost === 0)) return null;
  const calls = Math.min(...shares.map((share) => roomIn(books[share.limit], share, now)));
  if (calls < 1) return null;
  const at = now + Math.min(SPARE_MS, ...shares.map(({ windowMs }) => windowMs / 2));
  const booked = shares.map((share) => [
    share.limit,
    enter(books[share.limit], { ...share, cost: share.cost * calls }, at, now),
  ]);
  return { spare: { shares, calls, at }, books: { ...books, ...Object.fromEntries(booked) } };
}

/** Takes out of the books what was booked ahead, was not used, and cannot be any more. */
export function giveBack(books: Books, unused: readonly Spare[]): Books {
  let after = books;
  for (const { shares, calls, at } of unused) {
    for (const { limit, slotMs, cost } of shares) {
      const book = after[limit];
      if (book === undefined) continue;
      const slot = slotOf(at, slotMs);
      const log = book.log.flatMap(([end, n]): Entry[] => {
        const left = end === slot ? n - cost * calls : n;
        return left > 0 ? [[end, left]] : [];
      });
      after = { ...after, [limit]: { ...book, log } };
    }
  }
  return after;
}

/** Turns in advance until half of the window is used up. */
function roomIn(book: Book | undefined, { calls, windowMs, cost }: Share, now: number): number {
  const { log = [], heldUntil = 0 } = book ?? {};
  if (heldUntil > now) return 0;
  const used = log.reduce((sum, [at, n]) => (at + windowMs > now ? sum + n : sum), 0);
  const most = windowMs <= SHORT_WINDOW_MS ? MOST_SPARE : Math.floor(calls / CALLS_PER_SPARE);
  return Math.min(most, Math.floor((calls / 2 - used) / cost));
}

/** Nobody makes calls under these limits before `until`. A later moment that was asked for before stands. */
export function hold(books: Books, limits: readonly string[], until: number): Books {
  const held = limits.map((limit) => {
    const { log = [], heldUntil = 0 } = books[limit] ?? {};
    return [limit, { log, heldUntil: Math.max(heldUntil, until) }];
  });
  return { ...books, ...Object.fromEntries(held) };
}

/** When the newest entry leaves the window that has so many calls after it that one more would be too many. */
function soonest(book: Book | undefined, { calls, cost, windowMs }: Share): number {
  const { log = [], heldUntil = 0 } = book ?? {};
  let since = 0;
  for (let i = log.length - 1; i >= 0 && cost > 0; i -= 1) {
    const [at, n] = log[i] ?? [0, 0];
    since += n;
    if (since + cost > calls) return Math.max(heldUntil, at + windowMs);
  }
  return heldUntil;
}

function enter(book: Book | undefined, { windowMs, slotMs, cost }: Share, at: number, now: number): Book {
  const slotEnd = slotOf(at, slotMs);
  const log = new Map((book?.log ?? []).filter(([end]) => end + windowMs > now));
  log.set(slotEnd, (log.get(slotEnd) ?? 0) + cost);
  return { ...book, log: [...log].sort(([a], [b]) => a - b) };
}

const slotOf = (at: number, slotMs: number): number => Math.ceil(at / slotMs) * slotMs;
