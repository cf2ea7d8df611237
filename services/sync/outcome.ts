import { CODES, type Code, type SyncError } from "./errors.ts";

/** What becomes of work that failed. `retry` counts as an attempt, `snooze` does not, `park` waits for a change. */
export type Action = "retry" | "retry_soon" | "retry_few" | "snooze" | "park";

/** The one place that decides. A code without an action does not compile. */
const ACTIONS: Readonly<Record<Code, Action>> = {
  unavailable: "retry",
  conflict: "retry_soon",
  internal: "retry_few",
  rate_limited: "snooze",
  unauthenticated: "park",
  forbidden: "park",
  wrong_account: "park",
  source_unready: "park",
  target_missing: "park",
  invalid_target: "park",
  invalid_secret: "park",
  partial: "retry",
  limit_exceeded: "park",
  not_owned: "park",
  unsafe: "park",
  policy: "park",
  proof_failed: "retry_few",
};

const FEW = 5;
/** So often at least, where what went before was an outage: that says nothing about what is met after it. */
const FEW_AFTER_OUTAGE = 3;
const FIRST_MS = 1_000;
const LONGEST_MS = 5 * 60_000;
const SNOOZE_MS = 30_000;
/** Parked work is looked at again now and then, since a vendor never tells when a permission was given. */
const RECHECK_MS = 10 * 60_000;

export interface Verdict {
  readonly state: "retrying" | "parked";
  readonly dueInMs: number;
  readonly attempts: number;
}

/** How work went before this run. */
export interface Tried {
  /** Failed runs in a row. */
  readonly attempts: number;
  /** Of the last one's error; null: it went well. */
  readonly code: string | null;
}

/**
 * When to try again after the runs that went `before`. `random` in [0, 1) spreads retries, so that a
 * vendor that comes back is not met by everyone at once.
 */
export function verdict(error: SyncError, before: Tried, random: () => number = Math.random): Verdict {
  const { attempts } = before;
  const tried = attempts + 1;
  const spread = (ms: number) => Math.round(ms * (0.5 + random() / 2));
  switch (ACTIONS[error.code]) {
    case "snooze":
      // Never earlier than the vendor said; later by up to a quarter, so that not all come back at once.
      return {
        state: "retrying",
        dueInMs: Math.round((error.retryAfterMs ?? SNOOZE_MS) * (1 + random() / 4)) + 1,
        attempts,
      };
    case "retry":
      return {
        state: "retrying",
        dueInMs: Math.max(error.retryAfterMs ?? 0, spread(backoff(tried))),
        attempts: tried,
      };
    case "retry_soon":
      return {
        state: "retrying",
        dueInMs: Math.max(error.retryAfterMs ?? 0, spread(tried <= FEW ? 50 * tried : backoff(tried))),
        attempts: tried,
      };
    case "retry_few": {
      const counted = followsOutage(before) ? Math.min(tried, FEW + 1 - FEW_AFTER_OUTAGE) : tried;
      return counted <= FEW
        ? { state: "retrying", dueInMs: spread(backoff(counted)), attempts: counted }
        : { state: "parked", dueInMs: spread(RECHECK_MS), attempts: counted };
    }
    case "park":
      // However often it was looked at again: of what else is to be done here it says nothing.
      return { state: "parked", dueInMs: spread(RECHECK_MS), attempts: 1 };
  }
}

const followsOutage = ({ code }: Tried): boolean =>
  CODES.some((known) => known === code && ["retry", "retry_soon"].includes(ACTIONS[known]));

const backoff = (tried: number): number => Math.min(FIRST_MS * 2 ** Math.min(tried - 1, 20), LONGEST_MS);

/** What a person should do when the error itself does not say. */
const NEXT: Readonly<Record<Code, string>> = {
  unavailable: "Nothing: it is tried again by itself.",
  conflict: "Nothing: it is tried again from a fresh observation.",
  internal: "Report this as a bug if it stays; it is tried again.",
  rate_limited: "Nothing: it goes on when the vendor allows.",
  unauthenticated: "Replace the credential that the destination or source names.",
  forbidden: "Give the credential the permission that the operation needs.",
  wrong_account: "Use a credential of the account that the configuration names, or correct the name.",
  source_unready: "Give the branch a compute and the role a password, or change the rule.",
  target_missing: "Create the target, or correct its name in the rule.",
  invalid_target: "Correct the target in the rule.",
  invalid_secret: "Change the variable's name or form so that the vendor accepts it.",
  partial: "Nothing: the rest is tried again.",
  limit_exceeded: "Make room at the vendor or ask it for a higher limit.",
  not_owned: "Adopt the names if they are to be managed here, or choose others.",
  unsafe: "Look into what is said here; branchline push tries it again at once.",
  policy: "Change the rule if this is what you want.",
  proof_failed: "Find out why the login fails before anyone else has to.",
};

export const nextFor = (error: Pick<SyncError, "code" | "next">): string => error.next ?? NEXT[error.code];
