/**
 * The whole state as lines of JSON, and back. What is sealed stays sealed, so that a backup without the master
 * key opens nothing; passwords and connection strings are not in the state at all.
 *
 * A head, one line per row with tables after those that they refer to, and a foot with the number of rows and
 * the SHA-256 of every line before it: a file that was cut off, mixed up or edited is not taken.
 */
import { createHash, type Hash } from "node:crypto";
import pg from "pg";
import { z } from "zod";
import { expectedMigrations } from "./migrate.ts";

/** What is wrong with a backup or with the database that it is for, in words. */
export class BackupError extends Error {}

export interface BackupSummary {
  /** The installation whose state it is. */
  readonly installation: string;
  /** When it was taken, ISO 8601. */
  readonly takenAt: string;
  readonly rows: number;
}

const FORMAT = 1;
const ROWS_AT_ONCE = 500;
/** Of the moment, and of no use anywhere else. */
const LEFT_OUT = ["allowance", "migration"];

const headShape = z.object({
  branchline: z.literal("backup"),
  format: z.number(),
  migrations: z.number(),
  installation: z.string(),
  takenAt: z.string(),
});
const rowShape = z.object({ table: z.string(), row: z.record(z.string(), z.unknown()) });
const footShape = z.object({ rows: z.number(), sha256: z.string() });

/**
 * Hands the lines to `write`, one after the other, of one moment, while everybody else goes on working. Throws
 * `BackupError` if there is no state, and what `write` throws.
 */
export async function backup(url: string, write: (line: string) => Promise<void>): Promise<BackupSummary> {
  const client = await connect(url, "branchline backup");
  try {
    await client.query("begin isolation level repeatable read read only");
    const { rows } = await client
      .query<{ id: string; at: string }>("select id, now()::text as at from branchline.installation")
      .catch(() => ({ rows: [] }));
    const [here] = rows;
    if (here === undefined) throw new BackupError("this database holds no state of Branchline");
    const takenAt = new Date(here.at).toISOString();
    const migrations = await applied(client);
    const lines = new Lines();
    await write(
      lines.add({
        branchline: "backup",
        format: FORMAT,
        migrations,
        installation: here.id,
        takenAt,
      }),
    );
    for (const table of await tablesInOrder(client)) {
      for await (const row of rowsOf(client, table)) await write(lines.addRow(table, row));
    }
    await write(lines.foot());
    return { installation: here.id, takenAt, rows: lines.rows };
  } finally {
    await client.end();
  }
}

/**
 * Fills a migrated database that holds no state, in one transaction: all of it or nothing. What it holds then
 * counts as restored: nothing is written anywhere until somebody resumes it. Throws `BackupError` with the line
 * that is wrong.
 */
export async function restore(url: string, lines: AsyncIterable<string>): Promise<BackupSummary> {
  const client = await connect(url, "branchline restore");
  try {
    await client.query("begin");
    await refuseState(client);
    const summary = await take(client, lines);
    await standStill(client, summary);
    await client.query("commit");
    return summary;
  } finally {
    await client.end();
  }
}

// ---------------------------------------------------------------- writing

class Lines {
  readonly #hash: Hash = createHash("sha256");
  rows = 0;

  add(content: unknown): string {
    return this.#hashed(JSON.stringify(content));
  }

  /** PostgreSQL's own spelling of the row, so that no number loses a digit here. */
  addRow(table: string, row: string): string {
    this.rows += 1;
    return this.#hashed(`{"table":${JSON.stringify(table)},"row":${row}}`);
  }

  foot(): string {
    return `${JSON.stringify({ rows: this.rows, sha256: this.#hash.digest("hex") })}\n`;
  }

  #hashed(text: string): string {
    const line = `${text}\n`;
    this.#hash.update(line);
    return line;
  }
}

async function* rowsOf(client: pg.Client, table: string): AsyncGenerator<string> {
  const name = `branchline.${pg.escapeIdentifier(table)}`;
  await client.query(`declare c no scroll cursor for select to_jsonb(t)::text as row from ${name} t`);
  for (;;) {
    const { rows } = await client.query<{ row: string }>(`fetch ${ROWS_AT_ONCE} from c`);
    for (const { row } of rows) yield row;
    if (rows.length < ROWS_AT_ONCE) break;
  }
  await client.query("close c");
}

/** Every table after those that its foreign keys point at. */
async function tablesInOrder(client: pg.Client): Promise<string[]> {
  const { rows: tables } = await client.query<{ name: string }>(
    `select table_name as name from information_schema.tables
     where table_schema = 'branchline' and table_type = 'BASE TABLE' order by 1`,
  );
  const { rows: keys } = await client.query<{ of: string; to: string }>(
    `select distinct o.relname as of, t.relname as to from pg_constraint c
       join pg_class o on o.oid = c.conrelid join pg_class t on t.oid = c.confrelid
     where c.contype = 'f' and o.relnamespace = 'branchline'::regnamespace and o.oid <> t.oid`,
  );
  const order: string[] = [];
  const visit = (name: string): void => {
    if (order.includes(name) || LEFT_OUT.includes(name)) return;
    for (const key of keys) if (key.of === name) visit(key.to);
    order.push(name);
  };
  for (const { name } of tables) visit(name);
  return order;
}

// ---------------------------------------------------------------- reading

async function refuseState(client: pg.Client): Promise<void> {
  await client.query("lock table branchline.installation in share row exclusive mode");
  const { rows } = await client.query<{ id: string }>("select id from branchline.installation");
  const [there] = rows;
  if (there === undefined) return;
  throw new BackupError(
    `this database holds the state of the installation ${there.id}\n  Restore into an empty database; a running server makes a new installation in one, so stop it first.`,
  );
}

async function take(client: pg.Client, lines: AsyncIterable<string>): Promise<BackupSummary> {
  const hash = createHash("sha256");
  const known = new Set(await tablesInOrder(client));
  let head: z.output<typeof headShape> | null = null;
  let batch: { table: string; rows: unknown[] } = { table: "", rows: [] };
  let number = 0;
  let rows = 0;
  for await (const line of lines) {
    number += 1;
    const content = decode(line, number);
    const foot = footShape.safeParse(content);
    if (head !== null && foot.success) {
      await insert(client, batch);
      if (foot.data.rows !== rows || foot.data.sha256 !== hash.digest("hex"))
        throw new BackupError("the file is not as it was written: its checksum is another one");
      return { installation: head.installation, takenAt: head.takenAt, rows };
    }
    hash.update(`${line}\n`);
    if (head === null) {
      head = await headOf(client, content);
      continue;
    }
    const row = rowShape.safeParse(content);
    if (!row.success || !known.has(row.data.table)) throw new BackupError(`line ${number} is no row of ours`);
    rows += 1;
    if (row.data.table !== batch.table || batch.rows.length >= ROWS_AT_ONCE) {
      await insert(client, batch);
      batch = { table: row.data.table, rows: [] };
    }
    batch.rows.push(row.data.row);
  }
  throw new BackupError(
    number === 0 ? "the file is empty" : `the file ends after line ${number}, before its foot`,
  );
}

async function headOf(client: pg.Client, content: unknown): Promise<z.output<typeof headShape>> {
  const head = headShape.safeParse(content);
  if (!head.success) throw new BackupError("this is no backup of Branchline");
  const { format, migrations } = head.data;
  const here = await applied(client);
  if (format === FORMAT && migrations === here) return head.data;
  const age = format > FORMAT || migrations > here ? "a later" : "an earlier";
  throw new BackupError(
    `the backup was made by ${age} release (${migrations} migrations, this one has ${here})\n  Restore it with that release; the next start of a later one migrates it.`,
  );
}

async function insert(client: pg.Client, { table, rows }: { table: string; rows: unknown[] }): Promise<void> {
  if (rows.length === 0) return;
  const name = `branchline.${pg.escapeIdentifier(table)}`;
  await client
    .query(`insert into ${name} select * from jsonb_populate_recordset(null::${name}, $1::jsonb)`, [
      JSON.stringify(rows),
    ])
    .catch((error: unknown) => {
      const code = error instanceof pg.DatabaseError ? ` (${error.code})` : "";
      throw new BackupError(`the rows of the table ${table} do not fit${code}`);
    });
}

/**
 * The world has moved on: no write until somebody says that this state is the one. Leases stay as they were and
 * lapse: whatever was under way at that moment counts as unfinished.
 */
async function standStill(client: pg.Client, { takenAt }: BackupSummary): Promise<void> {
  await client.query(
    "update branchline.installation set suspended_at = now(), suspended_why = $1, identity = 'restored'",
    [`restored from a backup of ${takenAt}`],
  );
}

// ---------------------------------------------------------------- both

async function connect(url: string, name: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: name });
  // Told to the query that is running, if any; without a listener it would end the process.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

async function applied(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ n: number }>("select count(*)::int as n from branchline.migration");
  return rows[0]?.n ?? expectedMigrations();
}

function decode(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new BackupError(`line ${number} is not JSON`);
  }
}
