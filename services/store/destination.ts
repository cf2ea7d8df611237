/** An account at a vendor that we push to. */
import { eq, isNull, sql } from "drizzle-orm";
import { integer, jsonb, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { instant, markDue } from "./work.ts";

export const destination = branchline.table(
  "destination",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    name: text("name").notNull(),
    kind: text("kind").notNull(),
    /** The block of the file, credentials as references. */
    block: jsonb("block").notNull(),
    /** Whose limits its calls count against; destinations of one account share what it may have in flight. */
    account: text("account"),
    /** Pushes at once, over all processes. */
    inFlight: integer("in_flight").notNull(),
    suspendedAt: instant("suspended_at"),
    removedAt: instant("removed_at"),
  },
  (t) => [uniqueIndex("destination_name").on(t.name).where(sql`removed_at is null`)],
);

export type DestinationRow = typeof destination.$inferSelect;

export async function destinationById(db: Db, id: string): Promise<DestinationRow | undefined> {
  const [row] = await db.select().from(destination).where(eq(destination.id, id));
  return row;
}

export async function liveDestinations(db: Db): Promise<DestinationRow[]> {
  return await db.select().from(destination).where(isNull(destination.removedAt)).orderBy(destination.name);
}

/** Resumed, every place there is looked at: whatever came meanwhile was recorded and not written. */
export async function setDestinationSuspended(db: Db, id: string, suspended: boolean): Promise<void> {
  await db
    .update(destination)
    .set({ suspendedAt: suspended ? sql`coalesce(${destination.suspendedAt}, now())` : null })
    .where(eq(destination.id, id));
  if (suspended) return;
  const { rows } = await db.execute<{ id: string }>(
    sql`select id from branchline.place where destination_id = ${id}`,
  );
  await markDue(
    db,
    "place",
    rows.map((row) => row.id),
  );
}
