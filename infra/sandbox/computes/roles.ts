import pg from "pg";

export interface ComputeRole {
  readonly name: string;
  /** Null: there is none, so nobody can log in. */
  readonly password: string | null;
  readonly login: boolean;
}

export interface ComputeDatabase {
  readonly name: string;
  readonly owner: string;
}

/** What a branch should hold. Roles and databases made by SQL are not in it and are left alone. */
export interface BranchContents {
  readonly roles: readonly ComputeRole[];
  readonly databases: readonly ComputeDatabase[];
}

export const NOTHING: BranchContents = { roles: [], databases: [] };
export const ADMIN = "cloud_admin";

/** Opens a session of the administrator. */
export type Connect = (database: string) => Promise<pg.Client>;

/** Brings a server from what it was told last to what is wanted; touches only what differs between the two. */
export async function applyContents(
  connect: Connect,
  from: BranchContents,
  to: BranchContents,
): Promise<void> {
  const had = new Map(from.roles.map((role) => [role.name, role]));
  const gone = from.roles.filter((role) => !to.roles.some(({ name }) => name === role.name));
  await withClient(connect, "postgres", async (client) => {
    for (const role of to.roles) await applyRole(client, had.get(role.name), role);
    await applyDatabases(client, from.databases, to.databases);
  });
  for (const role of gone) await dropRole(connect, role.name);
}

async function applyRole(client: pg.Client, had: ComputeRole | undefined, role: ComputeRole): Promise<void> {
  const name = pg.escapeIdentifier(role.name);
  if (had === undefined) {
    const { rowCount } = await client.query("SELECT FROM pg_roles WHERE rolname = $1", [role.name]);
    if (rowCount === 0) await client.query(`CREATE ROLE ${name} CREATEDB CREATEROLE BYPASSRLS`);
    await client.query(`GRANT pg_read_all_data, pg_write_all_data TO ${name}`);
  }
  if (had?.login !== role.login) await client.query(`ALTER ROLE ${name} ${role.login ? "LOGIN" : "NOLOGIN"}`);
  if (had?.password === role.password) return;
  const password = role.password === null ? "NULL" : pg.escapeLiteral(role.password);
  await client.query(`ALTER ROLE ${name} PASSWORD ${password}`);
  if (had !== undefined) await cutSessions(client, role.name);
}

async function applyDatabases(
  client: pg.Client,
  from: readonly ComputeDatabase[],
  to: readonly ComputeDatabase[],
): Promise<void> {
  const owners = new Map(from.map(({ name, owner }) => [name, owner]));
  for (const { name, owner } of to) {
    const [database, role] = [pg.escapeIdentifier(name), pg.escapeIdentifier(owner)];
    const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = $1", [name]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${database} OWNER ${role}`);
    else if (owners.get(name) !== owner) await client.query(`ALTER DATABASE ${database} OWNER TO ${role}`);
  }
  for (const { name } of from) {
    if (to.some((database) => database.name === name)) continue;
    await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
  }
}

/** What it owns in any database passes to the administrator first, or it could not be dropped. */
async function dropRole(connect: Connect, role: string): Promise<void> {
  const name = pg.escapeIdentifier(role);
  const databases = await withClient(connect, "postgres", async (client) => {
    await client.query(`ALTER ROLE ${name} NOLOGIN`);
    await cutSessions(client, role);
    return client.query<{ datname: string }>(
      "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate",
    );
  });
  for (const { datname } of databases.rows) {
    await withClient(connect, datname, (client) =>
      client.query(`REASSIGN OWNED BY ${name} TO ${ADMIN}; DROP OWNED BY ${name}`),
    );
  }
  await withClient(connect, "postgres", (client) => client.query(`DROP ROLE ${name}`));
}

async function cutSessions(client: pg.Client, role: string): Promise<void> {
  await client.query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1", [
    role,
  ]);
}

async function withClient<T>(
  connect: Connect,
  database: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await connect(database);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
