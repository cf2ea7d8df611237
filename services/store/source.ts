/** A Neon project that is watched. */
import { eq, isNull, sql } from "drizzle-orm";
import { index, jsonb, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { counter, instant, markDue, workColumns } from "./work.ts";

export const source = branchline.table(
  "source",
  {
    ...workColumns,
    name: text("name").notNull(),
    kind: text("kind").notNull(),
    /** What makes it another source when it changes: host and project id. */
    identity: text("identity").notNull(),
    /** The block of the file, credentials as references. */
    block: jsonb("block").notNull(),
    /** Opaque, from `Source.moved`. */
    cursor: text("cursor"),
    /** The last complete list of branches. */
    listedAt: instant("listed_at"),
    /** Set when more branches vanished at once than is believed; deletes wait until confirmed. */
    heldSince: instant("held_since"),
    /** Branches that are gone on purpose, as somebody has said: they do not count towards holding. */
    confirmed: uuid("confirmed").array().notNull().default(sql`'{}'`),
    /** The revision of the last watch that took in a complete list: a higher one means a hint since. */
    watchedRevision: counter("watched_revision"),
    removedAt: instant("removed_at"),
  },
  (t) => [
    uniqueIndex("source_name").on(t.name).where(sql`removed_at is null`),
    index("source_due").on(t.dueAt).where(sql`due_at is not null`),
  ],
);

export type SourceRow = typeof source.$inferSelect;

export async function sourceById(db: Db, id: string): Promise<SourceRow | undefined> {
  const [row] = await db.select().from(source).where(eq(source.id, id));
  return row;
}

export async function liveSources(db: Db): Promise<SourceRow[]> {
  return await db.select().from(source).where(isNull(source.removedAt)).orderBy(source.name);
}

/** Stores how far a watch has looked. `listed` says that a complete list was taken in; `again` that the next look lists, too. */
export async function recordWatch(
  db: Db,
  id: string,
  seen: { cursor: string; listed: boolean; held: boolean; again?: boolean; revision?: number },
): Promise<void> {
  await db
    .update(source)
    .set({
      cursor: seen.cursor,
      ...(seen.listed ? { listedAt: seen.again === true ? null : sql`now()` } : {}),
      ...(seen.revision === undefined ? {} : { watchedRevision: seen.revision }),
      heldSince: seen.held ? sql`coalesce(${source.heldSince}, now())` : null,
      // One that came back, or has its tombstone, needs no word of anybody.
      ...(seen.listed
        ? {
            confirmed: sql`array(select id from branchline.branch
              where id = any(${source.confirmed}) and missed > 0 and gone_at is null)`,
          }
        : {}),
    })
    .where(eq(source.id, id));
}

/**
 * Says of branches that are missing that they are gone on purpose: of these, or of all (null). Makes the source
 * due. Null: no deletes are held, or none of these is missing.
 */
export async function confirmMissing(
  db: Db,
  id: string,
  branchIds: readonly string[] | null,
): Promise<{ id: string; name: string }[] | null> {
  const { rows } = await db.execute<{ id: string; name: string }>(sql`
    select b.id, b.name from branchline.branch b join branchline.source s on s.id = b.source_id
    where s.id = ${id} and s.held_since is not null and b.gone_at is null and b.missed > 0
      and (${branchIds === null} or b.id = any(${sql.param([...(branchIds ?? [])])}::uuid[]))
    order by b.name`);
  if (rows.length === 0) return null;
  const ids = sql.param(rows.map((row) => row.id));
  await db.execute(sql`
    update branchline.source set confirmed = array(select distinct unnest(confirmed || ${ids}::uuid[]))
    where id = ${id}`);
  await markDue(db, "source", [id]);
  return rows;
}
