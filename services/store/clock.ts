/** How far this machine's wall clock is from Postgres's, which times everything that matters. */
import { sql } from "drizzle-orm";
import { SyncError } from "../sync/errors.ts";
import type { Db } from "./db.ts";

/** Milliseconds. */
export interface Skew {
  /** Positive: this machine is ahead. */
  readonly ms: number;
  /** It may be so much more or less: nobody knows where in its round trip the question was answered. */
  readonly unsureMs: number;
}

/** The clocks of this process; for tests. */
export interface Clocks {
  /** Milliseconds since the epoch, as the machine believes. */
  wall(): number;
  /** Never jumps: what a round trip is measured by. */
  monotonic(): number;
}

const OURS: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() };

/** Vendors compare minutes, people compare log lines: up to here nobody is misled. */
const WARN_MS = 2_000;
/** AWS refuses signatures that are five minutes off, and so does whoever checks the time of a webhook. */
const REFUSE_MS = 5 * 60_000;
/** The quickest of some answers says most: the first one also opens the connection. */
const QUESTIONS = 3;

/** Asks Postgres for its clock some times, one after the other. */
export async function measureSkew(db: Db, clocks: Clocks = OURS): Promise<Skew> {
  let best: Skew | null = null;
  for (let n = 0; n < QUESTIONS; n += 1) {
    const skew = await ask(db, clocks);
    if (best === null || skew.unsureMs < best.unsureMs) best = skew;
  }
  return best ?? (await ask(db, clocks));
}

async function ask(db: Db, { wall, monotonic }: Clocks): Promise<Skew> {
  const asked = wall();
  const from = monotonic();
  const { rows } = await db.execute<{ ms: number }>(
    sql`select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms`,
  );
  const half = (monotonic() - from) / 2;
  return { ms: asked + half - (rows[0]?.ms ?? asked + half), unsureMs: half };
}

/**
 * Null: as good as equal. Else a warning in words. Throws `unsafe` if the clocks are so far apart that certificates,
 * signatures and the times of webhooks would be judged wrongly. What is not sure is not held against anybody.
 */
export function judgeSkew({ ms, unsureMs }: Skew): string | null {
  const sure = Math.max(0, Math.abs(ms) - unsureMs);
  if (sure <= WARN_MS) return null;
  const message = `this machine's clock is ${inWords(Math.abs(ms))} ${ms > 0 ? "ahead of" : "behind"} the database's`;
  if (sure <= REFUSE_MS) return message;
  throw new SyncError("unsafe", message, {
    next: "Set the clock of the one that is wrong, best by NTP, and start again: TLS certificates, AWS signatures and webhook timestamps are judged by it.",
  });
}

/** The same of a process that runs already, which nobody ends for it: null, or how far the clocks are apart. */
export async function clockWarning(db: Db, clocks: Clocks = OURS): Promise<string | null> {
  const skew = await measureSkew(db, clocks);
  try {
    return judgeSkew(skew);
  } catch (error) {
    if (error instanceof SyncError) return error.message;
    throw error;
  }
}

function inWords(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
