/** This installation: who we are in marks, the sealed fingerprint key, and where the state was born. */
import { sql } from "drizzle-orm";
import { boolean, text, uuid } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { instant } from "./work.ts";

export const installation = branchline.table("installation", {
  /** There is one. */
  one: boolean("one").primaryKey().default(true),
  id: uuid("id").notNull().defaultRandom(),
  /** Of fingerprints: random, made once, sealed by the master key. */
  sealedKey: text("sealed_key").notNull(),
  /** Database system identifier, host and name: a restored or cloned state has another. */
  identity: text("identity").notNull(),
  createdAt: instant("created_at").notNull().defaultNow(),
  suspendedAt: instant("suspended_at"),
  suspendedWhy: text("suspended_why"),
});

export type InstallationRow = typeof installation.$inferSelect;

/** Finds the installation or makes it, whichever process comes first. */
export async function ensureInstallation(db: Db, fresh: { sealedKey: string }): Promise<InstallationRow> {
  await db
    .insert(installation)
    .values({ ...fresh, identity: await databaseIdentity(db) })
    .onConflictDoNothing();
  const [row] = await db.select().from(installation);
  if (row === undefined) throw new Error("installation row missing after insert");
  return row;
}

export async function installationRow(db: Db): Promise<InstallationRow> {
  const [row] = await db.select().from(installation);
  if (row === undefined) throw new Error("this database has not been set up");
  return row;
}

/**
 * Tells this database server and database from any copy of it. Where the server does not show its
 * system identifier (managed offerings may not), the database's own id and name have to do. A branch that Neon made of
 * this state has all three, and a timeline of its own, which its computes are started with (`neon.timeline_id`).
 */
export async function databaseIdentity(db: Db): Promise<string> {
  const { rows } = await db.execute<{ name: string; oid: string; timeline: string | null }>(sql`
    select current_database() as name, (select oid::text from pg_database where datname = current_database()) as oid,
      current_setting('neon.timeline_id', true) as timeline`);
  const system = await db
    .execute<{ id: string }>(sql`select system_identifier::text as id from pg_control_system()`)
    .then((result) => result.rows[0]?.id ?? "")
    .catch(() => "");
  const { name = "", oid = "", timeline } = rows[0] ?? {};
  return [system, name, oid, ...(timeline ? [timeline] : [])].join("/");
}

export async function suspendAll(db: Db, why: string): Promise<void> {
  await db.update(installation).set({ suspendedAt: sql`coalesce(suspended_at, now())`, suspendedWhy: why });
}

/** Someone says that this state is the one to go on with, here. Every place is looked at. */
export async function resumeAll(db: Db, known?: string): Promise<void> {
  // A server that does not show its identity fails the question, and would fail a transaction around it.
  const identity = known ?? (await databaseIdentity(db));
  await db.transaction(async (tx) => {
    await tx.update(installation).set({ suspendedAt: null, suspendedWhy: null, identity });
    await tx.execute(
      sql`update branchline.place set due_at = least(coalesce(due_at, now()), now()), revision = revision + 1`,
    );
  });
}
