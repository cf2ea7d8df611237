/**
 * The limiter that all processes share: one row per account holds the books of its limits (sync/limits.ts).
 * Whoever books writes the books back only if nobody else has meanwhile, so no lock is ever held, and waits for
 * the turn without a connection. Times are Postgres's.
 */
import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { and, eq, sql } from "drizzle-orm";
import { json, text, uuid } from "drizzle-orm/pg-core";
import { type IoOptions, throttledMs } from "../http.ts";
import { SyncError } from "../sync/errors.ts";
import {
  type AccountLimits,
  type Asking,
  type Books,
  bookTurns,
  giveBack,
  hold,
  sharesOf,
  type Turn,
} from "../sync/limits.ts";
import type { OutgoingRequest } from "../sync/ports.ts";
import { inBatches } from "./batch.ts";
import { branchline, type Db } from "./db.ts";
import { bookAhead, openSpareTurns } from "./spare.ts";

export const allowance = branchline.table("allowance", {
  account: text("account").primaryKey(),
  books: json("books").$type<Books>().notNull(),
  /** Another with every change. Not a counter: after a crash of the server two changes could have one number. */
  revision: uuid("revision").notNull(),
});

/** A turn further ahead than this is not taken: better to do something else until then. */
const PATIENCE_MS = 5_000;
/** Work that has begun waits longer, since giving up would mean to make its calls again. */
const PATIENCE_ONCE_BEGUN_MS = 30_000;
/** Who comes this late to a turn has lost it: a frozen process must not call when others are booked. */
const LATE_MS = 1_000;
/** How old the books may be that let a call go which no limit counts. */
const CLEAR_MS = 1_000;
/** How long our clock is trusted to keep pace with Postgres's. */
const CLOCK_MS = 10_000;
/** Every try that fails is another process's that succeeded. */
const MOST_TRIES = 100;

export interface Allowance {
  /**
   * What the calls of one piece of work go through. `admit` resolves when the call may be made; throws
   * `rate_limited` if its turn is too far ahead, `unavailable` if the database does not answer (nobody
   * then calls without limit) or the work was stopped. `onAnswer` keeps all processes from calling while
   * the vendor asks for it; never throws. `begun`: the work has made calls to others already.
   */
  open(
    limits: AccountLimits,
    signal: AbortSignal,
    begun?: boolean,
  ): Required<Pick<IoOptions, "admit" | "onAnswer">>;
}

export function openAllowance(db: Db): Allowance {
  const accounts = new Map<string, Account>();
  const accountOf = (name: string): Account => {
    const account = accounts.get(name) ?? openAccount(db, name);
    accounts.set(name, account);
    return account;
  };
  return {
    open(limits, signal, begun = false) {
      setMaxListeners(0, signal); // any number of its calls may wait at once
      const account = accountOf(limits.account);
      let patienceMs = begun ? PATIENCE_ONCE_BEGUN_MS : PATIENCE_MS;
      return {
        async admit(request) {
          await waitForTurn(account, { shares: sharesOf(limits, request), patienceMs }, request, signal);
          patienceMs = PATIENCE_ONCE_BEGUN_MS;
        },
        async onAnswer(request, response) {
          const ms = (limits.throttledMs ?? throttledMs)(response);
          if (ms === null) return;
          const names = sharesOf(limits, request).map(({ limit }) => limit);
          await account.hold(names, ms).catch(() => undefined);
        },
      };
    },
  };
}

async function waitForTurn(
  account: Account,
  asking: Asking,
  request: OutgoingRequest,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const { waitMs, booked } = await account.book(asking).catch(unanswered);
    if (!booked) throw notYet(request, waitMs);
    if (waitMs === 0) return;
    const from = performance.now();
    await pause(waitMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) throw stopped(request);
    const late = performance.now() - from - waitMs > LATE_MS;
    // While we waited the vendor may have asked somebody to stop.
    if (!late && !(await account.isHeld(asking).catch(unanswered))) return;
  }
}

function notYet({ vendor, operation }: OutgoingRequest, waitMs: number): SyncError {
  const seconds = Math.ceil(waitMs / 1000);
  return new SyncError("rate_limited", `what ${vendor} allows this account is used up for ${seconds} s`, {
    vendor,
    operation,
    retryAfterMs: Math.ceil(waitMs),
    next: "Nothing: it goes on in its turn.",
  });
}

function stopped({ vendor, operation }: OutgoingRequest): SyncError {
  return new SyncError("unavailable", `the call to ${vendor} was stopped with the work it belongs to`, {
    vendor,
    operation,
    next: "Nothing: the work is taken up again.",
  });
}

function unanswered(): never {
  throw new SyncError("unavailable", "the database that shares out the calls to vendors did not answer", {
    vendor: "postgres",
    next: "Nothing: it is tried again. If it stays, look at the database.",
  });
}

// ---------------------------------------------------------------- the books of one account

interface Account {
  book(asking: Asking): Promise<Turn>;
  /** Whether the vendor wants no such calls now. */
  isHeld(asking: Asking): Promise<boolean>;
  hold(limits: readonly string[], ms: number): Promise<void>;
}

function openAccount(db: Db, name: string): Account {
  let seen: Seen | null = null;
  const spare = openSpareTurns();

  const read = async (): Promise<Seen> => {
    seen = await readBooks(db, name);
    return seen;
  };
  /** Whoever asks while somebody reads waits for the next reading. */
  const readTogether = inBatches<null, Seen>(async (all) => {
    const now = await read();
    return all.map(() => now);
  });

  /** Usually nobody has changed the books since we saw them, and this is one round trip. */
  const change = async <T>(decide: (seen: Seen) => { books: Books; result: T }): Promise<T> => {
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const before = seen !== null && ageOf(seen) < CLOCK_MS ? seen : await read();
      const { books, result } = decide(before);
      if (books === before.books) return result;
      seen = await writeBooks(db, name, before, books);
      if (seen !== null) return result;
    }
    throw new Error("the books of an account change faster than they can be written");
  };

  const bookTogether = inBatches<Asking, Turn>(
    async (calls) => {
      const { era } = spare;
      const unused = spare.unused();
      const { turns, ahead } = await change((before) => {
        const now = nowBy(before);
        const booked = bookTurns(giveBack(before.books, unused), calls, now);
        const waits = booked.turns.some(({ waitMs }) => waitMs > 0);
        const { books, ahead } = bookAhead(booked.books, waits ? [] : calls, now, spare);
        return { books, result: { turns: booked.turns, ahead } };
      });
      spare.put(ahead, era);
      return turns;
    },
    { atOnce: 1 },
  );

  const look = async (asking: Asking, maxAgeMs: number): Promise<Turn> => {
    const known = seen !== null && ageOf(seen) < maxAgeMs ? seen : await readTogether(null);
    const shares = asking.shares.map((share) => ({ ...share, cost: 0 }));
    const [turn] = bookTurns(known.books, [{ ...asking, shares }], nowBy(known)).turns;
    return turn ?? { waitMs: 0, booked: true };
  };

  return {
    book: async (asking) => {
      if (spare.take(asking)) return { waitMs: 0, booked: true };
      return await (asking.shares.some(({ cost }) => cost > 0)
        ? bookTogether(asking)
        : look(asking, CLEAR_MS));
    },
    isHeld: async (asking) => (await look(asking, 0)).waitMs > 0,
    hold: async (limits, ms) => {
      spare.drop();
      await change((before) => ({
        books: hold(before.books, limits, nowBy(before) + ms),
        result: undefined,
      }));
      spare.drop();
    },
  };
}

/** The books as they were last seen, with Postgres's time and ours at that moment. */
interface Seen {
  readonly books: Books;
  readonly revision: string;
  readonly now: number;
  readonly at: number;
}

const ageOf = ({ at }: Seen): number => performance.now() - at;
const nowBy = (seen: Seen): number => seen.now + ageOf(seen);

const clock = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::float8`;
/** What a crash of the server forgets of this is not worth a wait for its disk with every call. */
const withoutDisk = sql`set_config('synchronous_commit', 'off', true)`;

async function readBooks(db: Db, account: string): Promise<Seen> {
  const from = performance.now();
  const [row] = await db
    .select({ books: allowance.books, revision: allowance.revision, now: clock })
    .from(allowance)
    .where(eq(allowance.account, account));
  if (row !== undefined) return { ...row, at: between(from) };
  await db.insert(allowance).values({ account, books: {}, revision: randomUUID() }).onConflictDoNothing();
  return await readBooks(db, account);
}

/** Null: somebody else has changed them meanwhile, and nothing was written. */
async function writeBooks(db: Db, account: string, before: Seen, books: Books): Promise<Seen | null> {
  const from = performance.now();
  const revision = randomUUID();
  const [row] = await db
    .update(allowance)
    .set({ books, revision })
    .where(and(eq(allowance.account, account), eq(allowance.revision, before.revision)))
    .returning({ now: clock, withoutDisk });
  return row === undefined ? null : { books, revision, now: row.now, at: between(from) };
}

/** When Postgres read its clock, by ours: in the middle of the round trip, as far as we know. */
const between = (from: number): number => (from + performance.now()) / 2;
