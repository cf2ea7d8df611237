import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type BranchContents,
  type Computes,
  type ComputesOptions,
  startComputes,
} from "../../../infra/sandbox/computes/index.ts";
import { until } from "../../support/until.ts";

const DOMAIN = "c-2.eu-central-1.aws.neon.tech";
const OWNER = { name: "shop_owner", password: "pa ss'wörd%41", login: true };
const APP = { name: "shop_app", password: "app", login: true };
const CONTENTS: BranchContents = { roles: [OWNER, APP], databases: [{ name: "shop", owner: "shop_owner" }] };

let folder: string;
let computes: Computes;
const log: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "branchline-computes-"));
  chmodSync(folder, 0o755);
  computes = await start();
  await addBranch("main");
});
afterAll(async () => {
  await computes.close();
  expect(readdirSync(join(folder, "runs"))).toEqual([]);
  rmSync(folder, { recursive: true, force: true });
});

function start(options: ComputesOptions = {}): Promise<Computes> {
  return startComputes({ folder: join(folder, "runs"), log: (line) => log.push(line), ...options });
}

/** A branch `x` with the endpoint `ep-x`. */
async function addBranch(name: string, contents = CONTENTS, to = computes): Promise<void> {
  await to.setBranch(`br-${name}`, contents);
  to.setEndpoint(`ep-${name}`, { branchId: `br-${name}`, disabled: false, host: `ep-${name}.${DOMAIN}` });
}

interface Login {
  readonly host?: string;
  readonly user?: string;
  readonly password?: string;
  readonly database?: string;
  readonly options?: string;
  readonly statement_timeout?: number;
  readonly application_name?: string;
}

async function logIn(login: Login = {}, to = computes): Promise<pg.Client> {
  const { host = `ep-main.${DOMAIN}`, ...rest } = login;
  const client = new pg.Client({
    user: OWNER.name,
    password: OWNER.password,
    database: "shop",
    ...rest,
    host: to.host,
    port: to.port,
    ssl: { ca: to.ca, servername: host, checkServerIdentity: () => undefined },
  });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

async function ask(
  login: Login = {},
  sql = "SELECT current_user || '@' || current_database() AS it",
  to = computes,
) {
  const client = await logIn(login, to);
  try {
    return (await client.query(sql)).rows[0]?.it as unknown;
  } finally {
    await client.end();
  }
}

/** Resolves when the session ends, however. */
function endOf(client: pg.Client): Promise<void> {
  return new Promise((resolve) => void client.once("end", resolve));
}

/** What a bare TLS client gets for a first message of these parameters. */
async function firstAnswer(tls: ConnectionOptions, parameters: Record<string, string>): Promise<string> {
  const plain = connectPlain(computes.port, "127.0.0.1");
  plain.write(Buffer.from("0000000804d2162f", "hex"));
  await once(plain, "data");
  const socket = connectTls({ socket: plain, ca: computes.ca, checkServerIdentity: () => undefined, ...tls });
  const words = Buffer.from(
    `${Object.entries(parameters)
      .flat()
      .map((word) => `${word}\0`)
      .join("")}\0`,
  );
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + words.length, 0);
  head.writeUInt32BE(196_608, 4);
  socket.write(Buffer.concat([head, words]));
  const [answer] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return answer.toString("utf8");
}

describe("a login", () => {
  test("reaches the branch with real roles, over the direct and the pooled host", async () => {
    expect(await ask()).toBe("shop_owner@shop");
    expect(await ask({ host: `ep-main-pooler.${DOMAIN}` })).toBe("shop_owner@shop");
    expect(await ask({ user: "shop_app", password: "app" })).toBe("shop_app@shop");
  });

  test("is refused by the server itself for a wrong password, role or database", async () => {
    await expect(logIn({ password: "wrong" })).rejects.toMatchObject({ code: "28P01" });
    await expect(logIn({ user: "nobody_here" })).rejects.toMatchObject({ code: "28P01" });
    await expect(logIn({ database: "nowhere" })).rejects.toMatchObject({ code: "3D000" });
  });

  test("is refused for a role that may not log in, or has no password", async () => {
    const roles = [
      { ...APP, name: "idle", login: false },
      { ...APP, name: "bare", password: null },
    ];
    await addBranch("roles", { roles: [OWNER, ...roles], databases: CONTENTS.databases });
    const host = `ep-roles.${DOMAIN}`;
    await expect(logIn({ host, user: "idle", password: "app" })).rejects.toMatchObject({ code: "28000" });
    await expect(logIn({ host, user: "bare", password: "" })).rejects.toThrow();
    await expect(logIn({ host, user: "bare", password: "app" })).rejects.toMatchObject({ code: "28P01" });
  });

  test("uses a certificate that its host and the pooled one pass with full verification", async () => {
    for (const servername of [`ep-main.${DOMAIN}`, `ep-main-pooler.${DOMAIN}`]) {
      const socket = connectTls({
        port: computes.port,
        host: "127.0.0.1",
        ca: computes.ca,
        servername,
        ALPNProtocols: ["postgresql"],
      });
      await once(socket, "secureConnect");
      expect(socket.authorized).toBe(true);
      expect(socket.alpnProtocol).toBe("postgresql");
      socket.destroy();
    }
    const stranger = connectTls({ port: computes.port, host: "127.0.0.1", servername: `ep-main.${DOMAIN}` });
    const [error] = (await once(stranger, "error")) as [Error];
    expect(error.message).toMatch(/certificate/);
  });

  test("is found by its option where the client sends no server name", async () => {
    const parameters = { user: "shop_owner", database: "shop" };
    expect(await firstAnswer({}, { ...parameters, options: "endpoint=ep-main" })).toMatch(/SCRAM-SHA-256/);
    expect(await firstAnswer({}, { ...parameters, options: "project=ep-main-pooler" })).toMatch(
      /SCRAM-SHA-256/,
    );
    expect(
      await ask({ options: "endpoint=ep-main -c geqo=off" }, "SELECT current_setting('geqo') AS it"),
    ).toBe("off");
  });

  test("can cancel its query", async () => {
    const client = await logIn();
    const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
    const running = client.query("SELECT pg_sleep(60)");
    let over = false;
    const cancelled = expect(running)
      .rejects.toMatchObject({ code: "57014" })
      .finally(() => {
        over = true;
      });
    const request = Buffer.alloc(16);
    for (const [at, word] of [16, 80_877_102, processID, secretKey].entries())
      request.writeInt32BE(word, at * 4);
    const options = {
      port: computes.port,
      host: "127.0.0.1",
      ca: computes.ca,
      ALPNProtocols: ["postgresql"],
    };
    // A request that overtakes the query cancels nothing.
    await until(() => {
      if (over) return true;
      connectTls({ ...options, servername: `ep-main.${DOMAIN}` })
        .on("error", () => undefined)
        .write(request);
      return false;
    });
    await cancelled;
    await client.end();
  });
});

describe("a refusal in Neon's words", () => {
  test.each([
    [
      "an endpoint that nobody knows",
      { host: `ep-gone.${DOMAIN}` },
      "Control plane request failed: endpoint cannot be found",
    ],
    [
      "another region",
      { host: "ep-main.us-east-2.aws.neon.tech" },
      "Common name inferred from SNI ('us-east-2.aws.neon.tech') is not known",
    ],
    [
      "an option that names another endpoint",
      { options: "endpoint=ep-other" },
      "Inconsistent project name inferred from SNI ('ep-main') and project option ('ep-other').",
    ],
    [
      "an option without the pooler's suffix",
      { host: `ep-main-pooler.${DOMAIN}`, options: "endpoint=ep-main" },
      "Inconsistent project name inferred from SNI ('ep-main-pooler') and project option ('ep-main').",
    ],
    [
      "a setting that the pooler does not know",
      { host: `ep-main-pooler.${DOMAIN}`, statement_timeout: 5_000 },
      "unsupported startup parameter: statement_timeout",
    ],
    [
      "such a setting in options",
      { host: `ep-main-pooler.${DOMAIN}`, options: "-c search_path=x" },
      "unsupported startup parameter in options: search_path",
    ],
  ])("for %s", async (_what, login, message) => {
    await expect(logIn(login)).rejects.toMatchObject({ message, severity: "FATAL" });
  });

  test("for a disabled endpoint, until it is enabled", async () => {
    await addBranch("off");
    const endpoint = { branchId: "br-off", host: `ep-off.${DOMAIN}` };
    computes.setEndpoint("ep-off", { ...endpoint, disabled: true });
    await expect(logIn({ host: endpoint.host })).rejects.toThrow(
      /^Control plane request failed: endpoint is disabled$/,
    );
    computes.setEndpoint("ep-off", { ...endpoint, disabled: false });
    expect(await ask({ host: endpoint.host })).toBe("shop_owner@shop");
  });

  test("for no TLS", async () => {
    const login = { host: computes.host, port: computes.port, user: "shop_owner", database: "shop" };
    const client = new pg.Client({ ...login, ssl: false });
    await expect(client.connect()).rejects.toThrow("connection is insecure (try using `sslmode=require`)");
  });

  test("for no server name and no option", async () => {
    const parameters = { user: "shop_owner", database: "shop" };
    expect(await firstAnswer({}, parameters)).toContain(
      "MEndpoint ID is not specified. Either please upgrade",
    );
    const both = { ...parameters, options: "endpoint=ep-main endpoint=ep-main" };
    expect(await firstAnswer({}, both)).toContain("MEndpoint ID is not specified.");
  });

  test("does not let a client slip words in before TLS", async () => {
    const socket = connectPlain(computes.port, "127.0.0.1");
    socket.write(Buffer.from("0000000804d2162f00000008", "hex"));
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk));
    await once(socket, "close");
    expect(answer).toBe("");
  });

  test("allows on the pooler what PgBouncer follows", async () => {
    const pooled = { host: `ep-main-pooler.${DOMAIN}`, application_name: "shop", options: "-c timezone=UTC" };
    expect(await ask(pooled, "SELECT current_setting('application_name') AS it")).toBe("shop");
  });
});

describe("setBranch()", () => {
  test("starts nothing", async () => {
    const lazy = await start({ folder: join(folder, "lazy") });
    await addBranch("x", CONTENTS, lazy);
    lazy.setEndpoint("ep-none", { branchId: "br-none", disabled: false, host: `ep-none.${DOMAIN}` });
    await expect(logIn({ host: `ep-none.${DOMAIN}` }, lazy)).rejects.toThrow("endpoint cannot be found");
    expect(lazy.alive).toEqual([]);
    expect(existsSync(join(folder, "lazy"))).toBe(false);
    await lazy.close();
  });

  test("changes a password at once and cuts that role's sessions, and no other's", async () => {
    await addBranch("rotate");
    const host = `ep-rotate.${DOMAIN}`;
    const [owner, app] = [await logIn({ host }), await logIn({ host, user: "shop_app", password: "app" })];
    const cut = endOf(app);
    await computes.setBranch("br-rotate", { ...CONTENTS, roles: [OWNER, { ...APP, password: "new" }] });
    await cut;
    await expect(logIn({ host, user: "shop_app", password: "app" })).rejects.toMatchObject({ code: "28P01" });
    expect(await ask({ host, user: "shop_app", password: "new" })).toBe("shop_app@shop");
    expect((await owner.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await owner.end();
  });

  test("leaves a password alone that was changed by SQL", async () => {
    await addBranch("sql");
    const host = `ep-sql.${DOMAIN}`;
    await ask({ host, user: "shop_app", password: "app" }, "ALTER ROLE shop_app PASSWORD 'by-sql'");
    await computes.setBranch("br-sql", {
      ...CONTENTS,
      databases: [...CONTENTS.databases, { name: "more", owner: "shop_app" }],
    });
    expect(await ask({ host, user: "shop_app", password: "by-sql", database: "more" })).toBe("shop_app@more");
  });

  test("adds, renames owners of, and removes databases and roles", async () => {
    await addBranch("change");
    const host = `ep-change.${DOMAIN}`;
    await ask(
      { host, user: "shop_app", password: "app" },
      "CREATE SCHEMA mine CREATE TABLE kept (n int)",
    ).catch(() => undefined);
    await ask({ host }, "CREATE TABLE kept AS SELECT 42 AS it");
    const heir = { name: 'we"ird', password: "heir", login: true };
    const databases = [
      { name: "shop", owner: heir.name },
      { name: 'o"dd', owner: heir.name },
    ];
    await computes.setBranch("br-change", { roles: [heir], databases });
    await expect(logIn({ host })).rejects.toMatchObject({ code: "28P01" });
    expect(await ask({ host, user: heir.name, password: "heir", database: 'o"dd' })).toBe('we"ird@o"dd');
    expect(await ask({ host, user: heir.name, password: "heir" }, "SELECT it FROM kept")).toBe(42);
    await computes.setBranch("br-change", { roles: [heir], databases: databases.slice(1) });
    await expect(logIn({ host, user: heir.name, password: "heir" })).rejects.toMatchObject({ code: "3D000" });
  });
});

describe("endpoints and branches", () => {
  test("take their sessions with them when they go, and the data", async () => {
    await addBranch("gone");
    const host = `ep-gone-soon.${DOMAIN}`;
    computes.setEndpoint("ep-gone-soon", { branchId: "br-gone", disabled: false, host });
    const client = await logIn({ host });
    const cut = endOf(client);
    computes.removeEndpoint("ep-gone-soon");
    await cut;
    await computes.removeBranch("br-gone");
    expect(computes.alive).not.toContain("br-gone");
    await expect(logIn({ host: `ep-gone.${DOMAIN}` })).rejects.toThrow("endpoint cannot be found");
  });

  test("move: sessions are cut and the next ones see the other branch", async () => {
    await addBranch("old", { roles: [OWNER], databases: CONTENTS.databases });
    await addBranch("new", { roles: [{ ...OWNER, password: "other" }], databases: CONTENTS.databases });
    const host = `ep-old.${DOMAIN}`;
    const client = await logIn({ host });
    const cut = endOf(client);
    computes.setEndpoint("ep-old", { branchId: "br-new", disabled: false, host });
    await cut;
    await expect(logIn({ host })).rejects.toMatchObject({ code: "28P01" });
    expect(await ask({ host, password: "other" })).toBe("shop_owner@shop");
  });

  test("at most so many run; the one unused for longest stops, and comes back with its data", async () => {
    const few = await start({ mostAlive: 2, folder: join(folder, "few") });
    for (const name of ["a", "b", "c"]) await addBranch(name, CONTENTS, few);
    await ask({ host: `ep-a.${DOMAIN}` }, "CREATE TABLE kept AS SELECT 42 AS it", few);
    await ask({ host: `ep-b.${DOMAIN}` }, undefined, few);
    const waiting = await logIn({ host: `ep-a.${DOMAIN}` }, few);
    await ask({ host: `ep-c.${DOMAIN}` }, undefined, few);
    expect(few.alive).toEqual(["br-a", "br-c"]);
    const told = until(() => few.alive.join() === "br-b,br-c");
    const ended = endOf(waiting);
    await ask({ host: `ep-b.${DOMAIN}` }, undefined, few);
    await Promise.all([told, ended]);
    expect(await ask({ host: `ep-a.${DOMAIN}` }, "SELECT it FROM kept", few)).toBe(42);
    await few.close();
    expect(readdirSync(join(folder, "few"))).toEqual([]);
  });
});

test("libpq agrees, with full verification", async ({ skip }) => {
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, computes.ca);
  const host = `ep-main.${DOMAIN}`;
  const parts = `host=${host} hostaddr=127.0.0.1 port=${computes.port} user=shop_app dbname=shop`;
  const args = [`${parts} sslmode=verify-full sslrootcert=${ca}`, "-Atc", "SELECT current_user"];
  const said = await new Promise<string>((resolve) => {
    execFile("psql", args, { env: { ...process.env, PGPASSWORD: "app" } }, (error, stdout, stderr) => {
      resolve(error?.code === "ENOENT" ? "" : stdout + stderr);
    });
  });
  skip(said === "", "no psql on this machine");
  expect(said).toBe("shop_app\n");
});

test("the log holds no password", () => {
  expect(log.join("\n")).toContain("br-main: LOG:");
  expect(log.join("\n")).not.toMatch(/wörd|by-sql|PASSWORD/);
});
