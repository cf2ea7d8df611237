/** The proof against a real PostgreSQL: SCRAM, real roles, real refusals. */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Tried, tryLogin } from "../../../../services/sources/proof.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { createDatabase, type TestDatabase } from "../../../support/postgres.ts";
import { startTlsFront } from "./stub-postgres.ts";

const PASSWORD = "p%41@/:#? 'ü\\\"$";
const suffix = randomBytes(4).toString("hex");
const role = (name: string): string => `${name}_${suffix}`;
const ROLES = ["app", "owner", "readers", "crowd", "acting"].map(role);

let database: TestDatabase;
let name: string;
let admin: pg.Client;
let front: Awaited<ReturnType<typeof startTlsFront>>;

beforeAll(async () => {
  database = await createDatabase();
  const { hostname, port, pathname } = new URL(database.url);
  name = pathname.slice(1);
  front = await startTlsFront({ host: hostname, port: Number(port) });
  admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
  const password = admin.escapeLiteral(PASSWORD);
  await admin.query(`
    CREATE ROLE ${role("owner")} LOGIN PASSWORD ${password};
    CREATE ROLE ${role("app")} LOGIN PASSWORD ${password};
    CREATE ROLE ${role("readers")} NOLOGIN PASSWORD ${password};
    CREATE ROLE ${role("crowd")} LOGIN PASSWORD ${password} CONNECTION LIMIT 0;
    CREATE ROLE ${role("acting")} LOGIN PASSWORD ${password} IN ROLE ${role("owner")};
    ALTER ROLE ${role("acting")} SET role = '${role("owner")}';
  `);
});
afterAll(async () => {
  await admin.query(ROLES.map((each) => `DROP ROLE IF EXISTS ${each};`).join(""));
  await admin.end();
  await front.close();
  await database.drop();
});

const login = (who: string, more: { database?: string; password?: string } = {}): Promise<Tried> =>
  tryLogin(
    {
      host: "ep-aged-salad-a1b2c3d4.eu-central-1.aws.neon.tech",
      port: 5432,
      role: who,
      database: more.database ?? name,
      password: new Secret(more.password ?? PASSWORD),
    },
    { dial: { host: "127.0.0.1", ...front }, timeoutMs: 10_000, signal: new AbortController().signal },
  );
const refusedAs = (category: string) => ({ ok: false, diagnosis: { category } });

describe("tryLogin() on a real server", () => {
  it("logs in with a password of awkward characters", async () => {
    expect(await login(role("app"))).toMatchObject({
      ok: true,
      proof: { role: role("app"), database: name },
    });
  });

  it("takes a role that acts as another one for who logged in", async () => {
    expect(await login(role("acting"))).toMatchObject({ ok: true, proof: { role: role("acting") } });
  });

  it("diagnoses what the server refuses", async () => {
    expect(await login(role("app"), { password: "stale" })).toMatchObject(refusedAs("authentication"));
    expect(await login(role("nobody"))).toMatchObject(refusedAs("authentication"));
    expect(await login(role("readers"))).toMatchObject(refusedAs("role_without_login"));
    expect(await login(role("crowd"))).toMatchObject(refusedAs("connection_limit"));
    expect(await login(role("app"), { database: "nope" })).toMatchObject(refusedAs("database"));
  });

  it("diagnoses a role that may not connect to the database", async () => {
    await admin.query(`REVOKE CONNECT ON DATABASE ${name} FROM public`);
    expect(await login(role("app"))).toMatchObject(refusedAs("database"));
    await admin.query(`GRANT CONNECT ON DATABASE ${name} TO public`);
  });

  it("leaves no session behind", async () => {
    await login(role("app"));
    const count = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = $1";
    await expect
      .poll(async () => (await admin.query<{ n: number }>(count, [role("app")])).rows[0]?.n, {
        timeout: 20_000,
      })
      .toBe(0);
  });
});
