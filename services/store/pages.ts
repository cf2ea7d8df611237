/** Lists that people see, a page at a time, and the look at one of what they list: the same query serves both. */
import { type SQL, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import type { Visible } from "./visible.ts";

export interface PageQuery<Filter> {
  readonly limit: number;
  /** Id of the last item of the page before; null: the first page. */
  readonly after: string | null;
  readonly filter: Filter;
  /** Left out or null: all. */
  readonly visible?: Visible | null;
}

export interface PageOf<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

export type Text = string | undefined;

/** A noun as it is shown: rows of `select`, of which `id` is the column that they are known by. */
export interface Shown {
  readonly select: SQL;
  readonly id: SQL;
  readonly where: readonly (SQL | null)[];
}

type Position = Pick<PageQuery<unknown>, "limit" | "after">;

/** Rows of `select` in a total order, at most `limit`, behind those that `after` leaves out. */
export async function page<Row extends { id: string }>(
  db: Db,
  select: SQL,
  where: readonly (SQL | null)[],
  query: { limit: number; after: SQL | null; order: SQL },
): Promise<PageOf<Row>> {
  const conditions = [sql`true`, ...where, query.after].filter((part) => part !== null);
  const result = await db.execute(
    sql`${select} where ${sql.join(conditions, sql` and `)} order by ${query.order} limit ${query.limit + 1}`,
  );
  // The select above it is what gives the rows this shape.
  const rows = result.rows as unknown as Row[];
  const items = rows.slice(0, query.limit);
  return { items, next: rows.length > query.limit ? (items.at(-1)?.id ?? null) : null };
}

/** A page in the order of UUIDs; null if `after` is none. */
export async function pageByUuid<Row extends { id: string }>(
  db: Db,
  { select, id, where }: Shown,
  { limit, after }: Position,
): Promise<PageOf<Row> | null> {
  if (after !== null && !UUID.test(after)) return null;
  const behind = after === null ? null : sql`${id} > ${after}::uuid`;
  return await page<Row>(db, select, where, { limit, after: behind, order: id });
}

/** A page of what is numbered as it comes, the newest first; null if `after` is no such number. */
export async function pageByNumber<Row extends { id: string }>(
  db: Db,
  { select, id, where }: Shown,
  { limit, after }: Position,
): Promise<PageOf<Row> | null> {
  if (after !== null && !/^\d{1,15}$/.test(after)) return null;
  const behind = after === null ? null : sql`${id} < ${after}::bigint`;
  return await page<Row>(db, select, where, { limit, after: behind, order: sql`${id} desc` });
}

/** One of them: the first in `order` of those that `where` means. */
export async function one<Row extends { id: string }>(
  db: Db,
  select: SQL,
  where: readonly SQL[],
  order: SQL,
): Promise<Row | null> {
  const found = await page<Row>(db, select, where, { limit: 1, after: null, order });
  return found.items[0] ?? null;
}

/** One by its id or its name; by its id rather, and then by `rather`. */
export async function oneCalled<Row extends { id: string }>(
  db: Db,
  { select, id, where }: Shown,
  { idOrName, name, rather }: { idOrName: string; name: SQL; rather?: SQL },
): Promise<Row | null> {
  const called = sql`(${id}::text = ${idOrName} or ${name} = ${idOrName})`;
  const further = rather === undefined ? id : sql`${rather}, ${id}`;
  const conditions = where.filter((part) => part !== null);
  return await one<Row>(db, select, [called, ...conditions], sql`${id}::text = ${idOrName} desc, ${further}`);
}

export const is = (column: SQL, value: Text): SQL | null =>
  value === undefined ? null : sql`${column} = ${value}`;

/** With the alias `b`: a branch by its id or its exact name. */
export const isBranch = (branch: Text): SQL | null =>
  branch === undefined ? null : sql`(b.id::text = ${branch} or b.name = ${branch})`;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const ISO = `YYYY-MM-DD"T"HH24:MI:SS.MS"Z"`;

/** A time as answers have it: UTC, with milliseconds. */
export const iso = (column: SQL): SQL => sql`to_char(${column} at time zone 'utc', ${sql.raw(`'${ISO}'`)})`;
