import { randomBytes } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";

/** Longer than the machine that tests run on may stand still. */
export const CONNECT_MS = 30_000;

export interface TestDatabase {
  readonly url: string;
  /** Cuts the sessions that are left and removes the database. */
  drop(): Promise<void>;
}

const TEMPLATE = "branchline_migrated";
/** Any number: who holds this advisory lock makes the template. */
const TEMPLATE_LOCK = 4_201_869;

/**
 * A fresh database on the server of this run: empty, or a copy of a migrated one. One per test file
 * keeps files from seeing each other.
 */
export async function createDatabase(options: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const server = inject("postgresUrl");
  const name = `t_${randomBytes(6).toString("hex")}`;
  const template = options.migrated === true ? await templateDatabase(server) : "template1";
  await run(server, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  return {
    url: urlOf(server, name),
    drop: () =>
      run(server, async (client) => void (await client.query(`DROP DATABASE ${name} WITH (FORCE)`))),
  };
}

/** Migrates one database per server, whoever asks first, and returns its name for `CREATE DATABASE ... TEMPLATE`. */
export async function templateDatabase(server: string): Promise<string> {
  await run(server, async (client) => {
    await client.query("SELECT pg_advisory_lock($1)", [TEMPLATE_LOCK]);
    const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = $1", [TEMPLATE]);
    if (rowCount !== 0) return;
    const draft = `${TEMPLATE}_draft`;
    await client.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${draft}`);
    await migrate(urlOf(server, draft));
    await client.query(`ALTER DATABASE ${draft} RENAME TO ${TEMPLATE}`);
  });
  return TEMPLATE;
}

/** Loaded when it is needed: tests of the launcher run without the store. */
async function migrate(url: string): Promise<void> {
  const module = new URL("../../services/store/migrate.ts", import.meta.url).href;
  const store = (await import(/* @vite-ignore */ module)) as { migrate(url: string): Promise<unknown> };
  await store.migrate(url);
}

async function run<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function urlOf(server: string, database: string): string {
  return Object.assign(new URL(server), { pathname: `/${database}` }).href;
}
