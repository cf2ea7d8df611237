import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { pgSchema } from "drizzle-orm/pg-core";
import pg from "pg";

/** All our tables live in one schema, beside BullMQ's own. */
export const branchline = pgSchema("branchline");

/** A connection pool or an open transaction: every query function takes one of these first. */
export type Db = Pick<
  NodePgDatabase,
  "select" | "selectDistinct" | "insert" | "update" | "delete" | "execute" | "transaction"
>;

export interface Database {
  readonly db: NodePgDatabase;
  /** Shared with BullMQ, whose functions are found by the search path. */
  readonly pool: pg.Pool;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** Connections at most. Each BullMQ worker keeps one for LISTEN. */
  readonly max?: number;
  readonly onError?: (error: Error) => void;
}

/**
 * Opens one pool. Nothing connects until the first query. Every statement has a deadline, so that a
 * frozen server costs seconds and not for ever.
 */
export function openDatabase({ url, max = 16, onError }: DatabaseOptions): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    query_timeout: 15_000,
    statement_timeout: 14_000,
    application_name: "branchline",
    options: "-c search_path=bullmq,public",
  });
  // An idle client that loses its server would otherwise end the process.
  pool.on("error", (error) => onError?.(error));
  return { db: drizzle(pool), pool, close: () => pool.end() };
}
