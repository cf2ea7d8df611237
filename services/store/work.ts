/**
 * What a source, a branch and a place have in common: whatever is to be done is a row with `due_at`,
 * and whoever does it holds a lease. All times are Postgres's.
 */
import { type SQL, sql } from "drizzle-orm";
import { bigint, integer, text, timestamp, uuid } from "drizzle-orm/pg-core";
import type { Reason } from "../sync/model.ts";
import type { Db } from "./db.ts";

export const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 6 });
export const counter = (name: string) => bigint(name, { mode: "number" }).notNull().default(0);

/** Columns of a row that can be worked on. */
export const workColumns = {
  id: uuid("id").primaryKey().defaultRandom(),
  /** When there is something to do; null: nothing. */
  dueAt: instant("due_at"),
  /** Raised by every hint. A run that began with an older number leaves the row due. */
  revision: counter("revision"),
  /** A job for it is in the queue until then; later the dispatcher takes the queue for lost. */
  queuedUntil: instant("queued_until"),
  leaseUntil: instant("lease_until"),
  /** +1 with every lease. A record that names an old epoch changes nothing. */
  epoch: counter("epoch"),
  /** Runs in a row that ended in a retry. */
  attempts: integer("attempts").notNull().default(0),
  /** Leases in a row that lapsed: their holder died or froze. */
  deaths: integer("deaths").notNull().default(0),
  code: text("code"),
  cause: text("cause"),
  next: text("next"),
};

export type WorkKind = "source" | "branch" | "place";

/** A lease that this process holds. */
export interface Lease {
  readonly kind: WorkKind;
  readonly id: string;
  readonly epoch: number;
  readonly revision: number;
  readonly attempts: number;
  /** The holder before us never said that it was done: what it began may still happen. */
  readonly takeover: boolean;
  readonly deaths: number;
  /** Postgres's clock when the lease was taken: the only clock that times anything. */
  readonly now: Date;
}

const table = (kind: WorkKind): SQL => sql.raw(`branchline.${kind}`);

/** Makes rows due at once (or after `delayMs`), also while someone works on them. */
export async function markDue(db: Db, kind: WorkKind, ids: readonly string[], delayMs = 0): Promise<void> {
  if (ids.length === 0) return;
  await db.execute(makingDue(kind, sql`${sql.param([...ids])}::uuid[]`, delayMs));
}

/** The statement that does it, with the rows as an expression: an array of ids. `also`: what else is set of `t`, after a comma. */
export function makingDue(kind: WorkKind, ids: SQL, delayMs = 0, also: SQL = sql``): SQL {
  // Ordered, so that two callers with the same rows cannot deadlock. And no stronger than the update itself: whoever
  // inserts an event holds a share of the source's key, and two of them could then wait for each other here.
  return sql`
    with locked as (
      select id, queued_until, lease_until from ${table(kind)} where id = any(${ids}) order by id for no key update
    )
    update ${table(kind)} t set
      due_at = least(coalesce(t.due_at, 'infinity'), now() + ${delayMs} * interval '1 ms'),
      revision = t.revision + 1${also}
    from locked where t.id = locked.id`;
}

/** Whether nobody had one of the `locked` rows of `makingDue` in hand: whoever has it looks again by himself. */
export const isFree = (rows: string): SQL => {
  const column = (name: string): SQL => sql.raw(`${rows}.${name}`);
  const passed = (until: SQL): SQL => sql`(${until} is null or ${until} < now())`;
  return sql`(${passed(column("queued_until"))} and ${passed(column("lease_until"))})`;
};

/**
 * Takes the row's lease if it is due and free; null if somebody else has it or nothing is due any more. Waits
 * for whoever just touches the row: to skip it would mean to drop the job that brought us here.
 */
export async function takeLease(db: Db, kind: WorkKind, id: string, leaseMs: number): Promise<Lease | null> {
  const { rows } = await db.execute<{
    epoch: string;
    revision: string;
    attempts: number;
    deaths: number;
    takeover: boolean;
    now: string;
  }>(sql`
    update ${table(kind)} t set
      lease_until = now() + ${leaseMs} * interval '1 ms',
      epoch = t.epoch + 1,
      queued_until = null,
      deaths = t.deaths + (t.lease_until is not null)::int
    from (
      select id, lease_until is not null as takeover from ${table(kind)}
      where id = ${id} and due_at <= now() and (lease_until is null or lease_until < now())
      for no key update
    ) free
    where t.id = free.id
    returning t.epoch, t.revision, t.attempts, t.deaths, free.takeover, now() as now`);
  const row = rows[0];
  if (row === undefined) return null;
  return {
    kind,
    id,
    epoch: Number(row.epoch),
    revision: Number(row.revision),
    attempts: row.attempts,
    deaths: row.deaths,
    takeover: row.takeover,
    now: new Date(row.now),
  };
}

/** Holders that died on these rows count no more. Resolves with whether any had. */
export async function forgiveDeaths(db: Db, kind: WorkKind, ids: readonly string[]): Promise<boolean> {
  if (ids.length === 0) return false;
  const result = await db.execute(sql`
    with locked as (
      select id from ${table(kind)} where id = any(${sql.param([...ids])}::uuid[]) and deaths > 0
      order by id for no key update
    )
    update ${table(kind)} t set deaths = 0 from locked where t.id = locked.id`);
  return (result.rowCount ?? 0) > 0;
}

/** Extends the lease; false if it was lost, and then nothing more may be written. */
export async function renewLease(db: Db, lease: Lease, leaseMs: number): Promise<boolean> {
  const result = await db.execute(sql`
    update ${table(lease.kind)} set lease_until = now() + ${leaseMs} * interval '1 ms'
    where id = ${lease.id} and epoch = ${lease.epoch} and lease_until > now()`);
  return result.rowCount === 1;
}

/** How a run ends: when to look again (milliseconds from now, null: never by itself), and why. */
export interface Release {
  readonly dueInMs: number | null;
  readonly attempts: number;
  readonly reason: Reason | null;
  /** Deaths that stay held against it; by default none. */
  readonly deaths?: number;
}

/**
 * Gives the lease back. A hint that came in meanwhile keeps the row due at once. Null if the lease was lost, and nothing
 * was changed; else whether such a hint came in.
 */
export async function releaseLease(db: Db, lease: Lease, end: Release): Promise<{ hinted: boolean } | null> {
  const later = end.dueInMs === null ? sql`null` : sql`now() + ${end.dueInMs} * interval '1 ms'`;
  const { rows } = await db.execute<{ hinted: boolean }>(sql`
    update ${table(lease.kind)} set
      lease_until = null,
      queued_until = null,
      deaths = ${end.deaths ?? 0},
      attempts = ${end.attempts},
      due_at = case when revision = ${lease.revision} then ${later} else least(due_at, now()) end,
      code = ${end.reason?.code ?? null},
      cause = ${end.reason?.cause ?? null},
      next = ${end.reason?.next ?? null}
    where id = ${lease.id} and epoch = ${lease.epoch}
    returning revision <> ${lease.revision} as hinted`);
  return rows[0] ?? null;
}

/** Locks the row for the rest of the transaction; false if the lease is no longer ours. */
export async function holdLease(db: Db, lease: Lease): Promise<boolean> {
  const result = await db.execute(sql`
    select 1 from ${table(lease.kind)} where id = ${lease.id} and epoch = ${lease.epoch} for no key update`);
  return result.rows.length === 1;
}
