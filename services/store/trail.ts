/**
 * The trail from events to pushes. What comes of an event is marked with the time of the transaction that took it in or
 * looked into it, which the event carries as well: branch and place take the marks on, a binding inherits them, and a push
 * keeps those that it was loaded with. A thousand events that were looked into at once are one mark.
 */
import { type SQL, sql } from "drizzle-orm";
import { timestamp } from "drizzle-orm/pg-core";

/** As text, since a JavaScript date would lose the microseconds that tell two transactions apart. */
export const trail = (name: string) =>
  timestamp(name, { withTimezone: true, precision: 6, mode: "string" }).array().notNull().default(sql`'{}'`);

/** Marks that are kept, the newest: what waits for long may be hinted at without end. */
const MOST = 32;

/** A trail with this transaction in front. */
export const marked = (column: SQL | { getSQL(): SQL }): SQL =>
  sql`(now() || ${column})[1:${sql.raw(String(MOST))}]`;

/** A trail with these marks and this transaction in front; `fresh`: what it held before is over and done with. */
export const inherited = (column: SQL, marks: readonly string[], fresh: SQL): SQL => sql`
  (now() || ${sql.param([...marks])}::timestamptz[] || case when ${fresh} then '{}' else ${column} end)[1:${sql.raw(String(MOST))}]`;

/** A trail without these marks. */
export const without = (column: SQL | { getSQL(): SQL }, marks: readonly string[]): SQL =>
  sql`array(select mark from unnest(${column}) as mark where mark <> all(${sql.param([...marks])}::timestamptz[]))`;
