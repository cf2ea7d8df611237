import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { type PgTransactionConfig, pgSchema } from "drizzle-orm/pg-core";
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
  /** One connection for everything that `body` asks: questions that need no answer of each other are one round trip. */
  together<T>(body: (db: Db) => Promise<T>): Promise<T>;
  /**
   * All that `body` writes, or nothing. It may say several things at once; when one fails, those behind it fail for its
   * sake only, so what it said is thrown.
   */
  transaction<T>(body: (tx: Db) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** Connections at most. Each BullMQ worker keeps one for LISTEN. */
  readonly max?: number;
  /** Milliseconds until a server that does not take a connection is given up; default: 5,000. */
  readonly connectMs?: number;
  /** Milliseconds until a statement that nobody answers is given up, with its connection; default: 15,000. */
  readonly answerMs?: number;
  /** False: what is committed may be lost if the server itself dies within a second, and nobody waits for its disk. */
  readonly durable?: boolean;
  readonly onError?: (error: Error) => void;
}

/**
 * Opens one pool. Nothing connects until the first query. Every statement has a deadline, so that a
 * frozen server costs seconds and not for ever.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const { url, max = 16, connectMs = 5_000, answerMs = 15_000, durable = true, onError } = options;
  const pool = new pg.Pool({
    Client: PreparingClient,
    connectionString: url,
    max,
    keepAlive: true,
    // What a transaction asks at once goes out at once, and is answered in that order.
    pipeline: true,
    connectionTimeoutMillis: connectMs,
    idleTimeoutMillis: 30_000,
    query_timeout: answerMs,
    statement_timeout: 14_000,
    application_name: "branchline",
    // A plan is made once per connection: to plan anew for each value costs more than any of ours takes.
    options: `-c search_path=bullmq,public -c plan_cache_mode=force_generic_plan${durable ? "" : " -c synchronous_commit=off"}`,
  });
  // A client that loses its server would otherwise end the process: an idle one by the pool's error, one that
  // somebody holds (a transaction between two statements, a listener) by its own. Its next query tells the holder.
  pool.on("error", (error) => onError?.(error));
  pool.on("connect", (client) => client.on("error", () => undefined));
  const transaction = async <T>(body: Body<T>, config?: PgTransactionConfig): Promise<T> => {
    const ended = await connected(pool, async (client) => await transact(client, body, config));
    if ("thrown" in ended) throw ended.thrown;
    return ended.result;
  };
  return {
    // Drizzle's own keeps the connection for ever if nobody answers its `begin`.
    db: Object.assign(drizzle(pool), { transaction }),
    pool,
    together: async (body) => await connected(pool, async ({ db }) => await body(db)),
    transaction: async (body) => await transaction(body),
    close: () => pool.end(),
  };
}

/** What Drizzle runs in a transaction. */
type Body<T> = Parameters<typeof NodePgDatabase.prototype.transaction<T>>[0];

/** A connection that failed us in any way is given back to nobody: something may still be under way on it. */
async function connected<T>(pool: pg.Pool, use: (client: PreparingClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    // The pool makes no others.
    const result = await use(client as unknown as PreparingClient);
    client.release();
    return result;
  } catch (error) {
    client.release(true);
    throw error;
  }
}

type Ended<T> = { readonly result: T } | { readonly thrown: unknown };

/** Throws only if the connection cannot be used any more; what went wrong in an orderly way is answered. */
async function transact<T>(
  client: PreparingClient,
  body: Body<T>,
  config?: PgTransactionConfig,
): Promise<Ended<T>> {
  const failed: unknown[] = [];
  const noting: Body<T> = async (tx) => {
    client.failedFirst = null;
    try {
      return await body(tx);
    } catch (thrown) {
      failed.push(thrown);
      throw thrown;
    }
  };
  try {
    return { result: await client.db.transaction(noting, config) };
  } catch (error) {
    // What `body` threw comes out again once the rollback is answered, and with it all that was still under way.
    if (!failed.includes(error)) throw error;
    const echo = ECHOES.has(sqlState(error) as string);
    return { thrown: echo ? (client.failedFirst ?? error) : error };
  }
}

/** What is said after a failure is told that the transaction has failed, or that its statement is not prepared. */
const ECHOES = new Set(["25P02", "26000"]);

/** Statements that are prepared at most, and the parameters that one may have: longer ones are lists of any length. */
const MOST_PREPARED = 300;
const MOST_PARAMETERS = 32;
const prepared = new Map<string, string>();

/**
 * Prepares what is said once per connection: it is the same few statements again and again, and PostgreSQL would
 * otherwise spend more time on understanding them than on doing what they say. And what is said in one turn of the event
 * loop is written as one packet.
 */
class PreparingClient extends pg.Client {
  readonly db = drizzle(this as pg.Client);
  /** Since somebody last cleared it. */
  failedFirst: unknown = null;

  override query = ((config: unknown, ...rest: unknown[]): unknown => {
    const { stream } = this.connection;
    stream.cork();
    process.nextTick(() => stream.uncork());
    const asked: unknown = Reflect.apply(pg.Client.prototype.query, this, [named(config, rest[0]), ...rest]);
    if (asked instanceof Promise) {
      asked.catch((error: unknown) => {
        this.failedFirst ??= error;
      });
    }
    return asked;
  }) as pg.Client["query"];
}

/** Several statements in one text cannot be prepared; with parameters there is only one. */
const ALONE = /^\s*(select|with)\b[^;]*$/i;

function named(config: unknown, values: unknown): unknown {
  // BullMQ gives its statements as text, Drizzle as objects.
  const given = typeof config === "string" ? { text: config } : config;
  if (typeof given !== "object" || given === null || !("text" in given)) return config;
  const { text } = given;
  if (typeof text !== "string" || ("name" in given && given.name !== undefined)) return config;
  if (!Array.isArray(values) || values.length > MOST_PARAMETERS) return config;
  if (values.length === 0 && !ALONE.test(text)) return config;
  const name = prepared.get(text) ?? `branchline ${prepared.size}`;
  if (!prepared.has(text)) {
    if (prepared.size >= MOST_PREPARED) return config;
    prepared.set(text, name);
  }
  return { ...given, name };
}

/**
 * What was asked at once, when all of it has been answered, in its order. Throws what the first of them threw, and nothing
 * is under way any more by then.
 */
export async function answered<T extends readonly unknown[] | []>(
  asked: T,
): Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }> {
  const settled = await Promise.allSettled(asked);
  const failed = settled.find((one) => one.status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
  return settled.map((one) => (one as PromiseFulfilledResult<unknown>).value) as {
    -readonly [P in keyof T]: Awaited<T[P]>;
  };
}

/**
 * A push holds its place and then its bindings, a reconcile its bindings and then their places. Where such
 * two meet Postgres ends one of them, and that one begins its transaction again.
 */
export async function withoutDeadlock<T>(transaction: () => Promise<T>, tries = 5): Promise<T> {
  try {
    return await transaction();
  } catch (error) {
    if (tries > 1 && sqlState(error) === "40P01") return await withoutDeadlock(transaction, tries - 1);
    throw error;
  }
}

/** PostgreSQL's code of what went wrong, also inside of Drizzle's error. */
export function sqlState(error: unknown): unknown {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined;
}
