/** That a file says what is to be, in this installation: written down by whoever has the file, in force until a person says otherwise. */
import { sql } from "drizzle-orm";
import { boolean, text } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { instant } from "./work.ts";

export const managed = branchline.table("managed", {
  /** There is one, or none: then documents are taken in from whoever may send them. */
  one: boolean("one").primaryKey().default(true),
  /** The file's name, without its folder: for people. */
  file: text("file").notNull(),
  since: instant("since").notNull().defaultNow(),
  /** When a process that has the file last said so. */
  seenAt: instant("seen_at").notNull().defaultNow(),
});

export type ManagedRow = typeof managed.$inferSelect;

/** Undefined: no file manages this installation. */
export async function managedRow(db: Db): Promise<ManagedRow | undefined> {
  const [row] = await db.select().from(managed);
  return row;
}

/** By a process that has the file, when it starts. */
export async function markManaged(db: Db, file: string): Promise<void> {
  await db
    .insert(managed)
    .values({ file })
    .onConflictDoUpdate({ target: managed.one, set: { file, seenAt: sql`now()` } });
}

/** By a process that has the file, now and then while it runs. */
export async function renewManaged(db: Db): Promise<void> {
  await db.update(managed).set({ seenAt: sql`now()` });
}

/** A process that has the file says so at least this often; twice as long without a word, and there is none. */
export const RENEW_MANAGED_MS = 15_000;

export type Unmanaged =
  /** What it was until now; null: no file managed it. */
  | { readonly outcome: "done"; readonly was: ManagedRow | null }
  /** A process that has the file was heard of so many seconds ago. */
  | { readonly outcome: "in-use"; readonly file: string; readonly seconds: number };

/** No file manages the installation any more, unless a process still has one. */
export async function unmanage(tx: Db): Promise<Unmanaged> {
  const [row] = await tx
    .select({ all: managed, seconds: sql<number>`extract(epoch from now() - seen_at)::float8` })
    .from(managed)
    .for("update");
  if (row === undefined) return { outcome: "done", was: null };
  const { all, seconds } = row;
  if (seconds * 1_000 < 2 * RENEW_MANAGED_MS)
    return { outcome: "in-use", file: all.file, seconds: Math.max(0, Math.round(seconds)) };
  await tx.delete(managed);
  return { outcome: "done", was: all };
}
