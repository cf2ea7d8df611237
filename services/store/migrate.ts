import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runMigrations as migrateQueue } from "bullmq";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as migrateTables } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { packageRoot } from "../paths.ts";
import type { Db } from "./db.ts";

/** Any number that no one else is likely to use: "branchli" in ASCII. */
const LOCK = "7093010092906114153";
const LEDGER = { migrationsSchema: "branchline", migrationsTable: "migration" };

/** Of this release. */
const folder = (): string => join(packageRoot(), "infra", "migrations");

/**
 * Brings tables and queue to this release's version. Any number of processes may call it at once: one
 * works, the others wait and find nothing to do. Migrations only ever add (expand), so that a process of
 * the release before goes on working; one that finds more migrations than it knows does so, too.
 */
export async function migrate(url: string, migrations = folder()): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: "branchline migrate" });
  // Told to the query that is running, if any; without a listener it would end the process.
  client.on("error", () => undefined);
  await client.connect();
  try {
    await client.query(`select pg_advisory_lock(${LOCK})`);
    await migrateTables(drizzle(client), { migrationsFolder: migrations, ...LEDGER });
    await migrateQueue(client);
  } finally {
    await client.end();
  }
}

/** How many of our migrations the database has. */
export async function migrationsApplied(db: Db): Promise<number> {
  const { rows } = await db.execute<{ n: number }>(sql`select count(*)::int as n from branchline.migration`);
  return rows[0]?.n ?? 0;
}

/** How many of our migrations this release has; the database is ready when it has as many or more. */
export function expectedMigrations(): number {
  const journal: unknown = JSON.parse(readFileSync(join(folder(), "meta", "_journal.json"), "utf8"));
  const entries =
    typeof journal === "object" && journal !== null && "entries" in journal ? journal.entries : [];
  return Array.isArray(entries) ? entries.length : 0;
}
