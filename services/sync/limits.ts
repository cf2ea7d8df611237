/**
 * What a vendor lets one account do in a span of time. Adapters declare it as data; all processes together
 * keep to it (store/allowance.ts).
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

/** What one call takes of one limit, as it is booked. */
export interface Share {
  readonly limit: string;
  readonly calls: number;
  readonly windowMs: number;
  /** Calls are booked by the end of their slot: neighbours share an entry, so a log stays short. */
  readonly slotMs: number;
  readonly cost: number;
}

/** Entries that one window of a log may take. More are more exact: a full window lasts a slot longer. */
const SLOTS = 32;
/**
 * A call is booked for when it leaves us, and counted by the vendor when it arrives. So much later than its
 * successors it may arrive without harm; part of the window where windows are short.
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
  const slotMs = calls <= SLOTS ? 1 : windowMs / SLOTS;
  // What costs more than there ever is would wait for ever.
  return { limit: name, calls, windowMs, slotMs, cost: Math.min(cost, calls) };
}

/** How many such calls can be booked in one go: those that fit together into every window. */
export function batchOf(shares: readonly Share[]): number {
  return Math.min(100, ...shares.map(({ calls, cost }) => (cost === 0 ? 100 : Math.floor(calls / cost))));
}
