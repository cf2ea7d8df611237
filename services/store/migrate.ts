import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { runMigrations as migrateQueue } from "bullmq";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as migrateTables } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { packageRoot } from "../paths.ts";
import { type Db, sqlState } from "./db.ts";

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
    await client.query(`set lock_timeout = ${LOCK_WAIT_MS}`);
    await withLocks(async () => {
      await migrateTables(drizzle(client), { migrationsFolder: migrations, ...LEDGER });
      await migrateQueue(client);
    });
  } finally {
    await client.end();
  }
}

/**
 * Whoever waits for a table keeps everybody who comes after him waiting, too: a migration gives up soon, with all that it
 * has locked, and begins again.
 */
const LOCK_WAIT_MS = 2_000;
const PAUSE_MS = 500;
const LOCK_TRIES = 60;

async function withLocks(work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (thrown) {
      // lock_not_available, deadlock_detected
      if (!["55P03", "40P01"].includes(String(sqlState(thrown)))) throw thrown;
      if (tries === LOCK_TRIES) throw new Error(HELD, { cause: thrown });
    }
    await pause(PAUSE_MS);
  }
}

const HELD =
  "the tables of Branchline are held by another session: end what has been open for long (pg_stat_activity), then migrate again";

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
