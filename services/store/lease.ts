/**
 * Who works on a row. A lease is timed by Postgres alone; whoever writes down what he did names its epoch, and an old one
 * writes nothing.
 */
import { type SQL, sql } from "drizzle-orm";
import type { Reason } from "../sync/model.ts";
import type { Db } from "./db.ts";
import { tableOf, type WorkKind } from "./work.ts";

/** A lease that this process holds. */
export interface Lease {
  readonly kind: WorkKind;
  readonly id: string;
  readonly epoch: number;
  readonly revision: number;
  readonly attempts: number;
  /** Of the last run's error; null: it went well. */
  readonly code: string | null;
  readonly deaths: number;
  /** Postgres's clock when the lease was taken: the only clock that times anything. */
  readonly now: Date;
}

export interface LeaseTimes {
  /** How long it lasts. */
  readonly leaseMs: number;
  /** How long what a holder before us has begun at a vendor may still be on its way. */
  readonly settleMs: number;
}

/** Takes the leases of rows that are due and free, by id. Rows that somebody just touches are left out. */
export async function takeLeases(
  db: Db,
  kind: WorkKind,
  ids: readonly string[],
  times: LeaseTimes,
): Promise<Map<string, Lease>> {
  return await take(db, kind, ids, times, sql`skip locked`);
}

/** One, and waits for whoever just touches the row. Null: somebody else has it, or nothing is due any more. */
export async function waitForLease(
  db: Db,
  kind: WorkKind,
  id: string,
  times: LeaseTimes,
): Promise<Lease | null> {
  return (await take(db, kind, [id], times)).get(id) ?? null;
}

async function take(
  db: Db,
  kind: WorkKind,
  ids: readonly string[],
  { leaseMs, settleMs }: LeaseTimes,
  unlessTouched: SQL = sql``,
): Promise<Map<string, Lease>> {
  // What the holder before us wrote last may come after what we write: it is all written again when that has arrived.
  const unsettled =
    kind === "place"
      ? sql`, settle_at = case when takeover then greatest(settle_at, now() + ${settleMs} * interval '1 ms') else settle_at end`
      : sql``;
  const { rows } = await db.execute<{
    id: string;
    epoch: string;
    revision: string;
    attempts: number;
    code: string | null;
    deaths: number;
    now: string;
  }>(sql`
    update ${tableOf(kind)} t set
      lease_until = now() + ${leaseMs} * interval '1 ms',
      epoch = t.epoch + 1,
      queued_until = null,
      deaths = t.deaths + (t.lease_until is not null)::int${unsettled}
    from (
      select id, lease_until is not null as takeover from ${tableOf(kind)}
      where id = any(${sql.param([...ids])}::uuid[]) and due_at <= now() and (lease_until is null or lease_until < now())
      for no key update ${unlessTouched}
    ) free
    where t.id = free.id
    returning t.id, t.epoch, t.revision, t.attempts, t.code, t.deaths, now() as now`);
  return new Map(
    rows.map((row) => {
      const { id, attempts, code, deaths } = row;
      const [epoch, revision] = [Number(row.epoch), Number(row.revision)];
      return [id, { kind, id, epoch, revision, attempts, code, deaths, now: new Date(row.now) }];
    }),
  );
}

/** Extends the lease; false if it was lost, and then nothing more may be written. */
export async function renewLease(db: Db, lease: Lease, leaseMs: number): Promise<boolean> {
  const result = await db.execute(sql`
    update ${tableOf(lease.kind)} set lease_until = now() + ${leaseMs} * interval '1 ms'
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
 * Gives the lease back. A hint that came in meanwhile keeps the row due at once. False if the lease was lost, and
 * nothing was changed.
 */
export async function releaseLease(db: Db, lease: Lease, end: Release): Promise<boolean> {
  const later = end.dueInMs === null ? sql`null` : sql`now() + ${end.dueInMs} * interval '1 ms'`;
  const { rowCount } = await db.execute(sql`
    update ${tableOf(lease.kind)} set
      lease_until = null,
      queued_until = null,
      deaths = ${end.deaths ?? 0},
      attempts = ${end.attempts},
      due_at = case when revision = ${lease.revision} then ${later} else least(due_at, now()) end,
      code = ${end.reason?.code ?? null},
      cause = ${end.reason?.cause ?? null},
      next = ${end.reason?.next ?? null}
    where id = ${lease.id} and epoch = ${lease.epoch}`);
  return rowCount === 1;
}

/** Locks the row for the rest of the transaction; false if the lease is no longer ours. */
export async function holdLease(db: Db, lease: Lease): Promise<boolean> {
  const result = await db.execute(sql`
    select 1 from ${tableOf(lease.kind)} where id = ${lease.id} and epoch = ${lease.epoch} for no key update`);
  return result.rows.length === 1;
}
