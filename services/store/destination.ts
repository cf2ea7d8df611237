/** An account at a vendor that we push to. */
import { eq, sql } from "drizzle-orm";
import { integer, jsonb, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { instant } from "./work.ts";

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
