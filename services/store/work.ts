/**
 * What a source, a branch and a place have in common: whatever is to be done is a row with `due_at`,
 * and whoever does it holds a lease. All times are Postgres's.
 */
import { type SQL, sql } from "drizzle-orm";
import { bigint, integer, text, timestamp, uuid } from "drizzle-orm/pg-core";
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

/** Its table, as SQL. */
export const tableOf = (kind: WorkKind): SQL => sql.raw(`branchline.${kind}`);

/** Makes rows due at once (or after `delayMs`), also while someone works on them. */
export async function markDue(db: Db, kind: WorkKind, ids: readonly string[], delayMs = 0): Promise<void> {
  if (ids.length === 0) return;
  const when = sql`now() + ${delayMs} * interval '1 ms'`;
  await db.execute(makingDue(kind, sql`${sql.param([...ids])}::uuid[]`, when));
}

/** The statement that does it, with the rows as an expression: an array of ids. `also`: what else is set of `t`, after a comma. */
export function makingDue(kind: WorkKind, ids: SQL, when: SQL = sql`now()`, also: SQL = sql``): SQL {
  // Ordered, so that two callers with the same rows cannot deadlock. And no stronger than the update itself: whoever
  // inserts an event holds a share of the source's key, and two of them could then wait for each other here.
  return sql`
    with locked as (
      select id, queued_until, lease_until from ${tableOf(kind)} where id = any(${ids}) order by id for no key update
    )
    update ${tableOf(kind)} t set
      due_at = least(coalesce(t.due_at, 'infinity'), ${when}),
      revision = t.revision + 1${also}
    from locked where t.id = locked.id`;
}

/** Whether nobody had one of the `locked` rows of `makingDue` in hand: whoever has it looks again by himself. */
export const isFree = (rows: string): SQL => {
  const column = (name: string): SQL => sql.raw(`${rows}.${name}`);
  const passed = (until: SQL): SQL => sql`(${until} is null or ${until} < now())`;
  return sql`(${passed(column("queued_until"))} and ${passed(column("lease_until"))})`;
};

/** Holders that died on these rows count no more. Resolves with whether any had. */
export async function forgiveDeaths(db: Db, kind: WorkKind, ids: readonly string[]): Promise<boolean> {
  if (ids.length === 0) return false;
  const result = await db.execute(sql`
    with locked as (
      select id from ${tableOf(kind)} where id = any(${sql.param([...ids])}::uuid[]) and deaths > 0
      order by id for no key update
    )
    update ${tableOf(kind)} t set deaths = 0 from locked where t.id = locked.id`);
  return (result.rowCount ?? 0) > 0;
}
