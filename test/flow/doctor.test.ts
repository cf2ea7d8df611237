/** Every row of the error catalogue that the stand-in can produce, with the words that it really says. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Computes, startComputes } from "../../infra/sandbox/computes/index.ts";
import { type NeonState, startNeon } from "../../infra/sandbox/neon.ts";
import type { Vendor } from "../../infra/sandbox/vendor.ts";
import { CATEGORIES, type Category } from "../../services/sources/diagnosis.ts";
import type { Dial } from "../../services/sources/dial.ts";
import { EXIT_OF, type Examined, examine } from "../../services/sources/doctor.ts";
import { readUrl } from "../../services/sources/url.ts";
import { startStubPostgres } from "../unit/services/sources/stub-postgres.ts";

const { signal } = new AbortController();
let computes: Computes;
let neon: Vendor<NeonState>;
let dial: Dial;
const servers: Server[] = [];
const sockets = new Set<Socket>();

beforeAll(async () => {
  computes = await startComputes();
  neon = await startNeon({ computes });
  await neon.state.settled();
  dial = { host: computes.host, port: computes.port, ca: computes.ca };
  await sql(`CREATE ROLE reader PASSWORD 'reader-password' NOLOGIN`);
  await sql(`CREATE ROLE crowd PASSWORD 'crowd-password' LOGIN CONNECTION LIMIT 0`);
  await sql(`CREATE ROLE outsider PASSWORD 'outsider-password' LOGIN`);
  await sql("REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
}, 60_000);
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  await neon.close();
  await computes.close();
});

/** As the owner of the database, who logs in as anybody would. */
async function sql(text: string): Promise<void> {
  const url = new URL(neon.state.connectionStrings("main", "shop_owner", "shop").direct);
  const client = new pg.Client({
    host: dial.host,
    port: dial.port,
    user: url.username,
    password: url.password,
    database: "shop",
    ssl: { ca: computes.ca, servername: url.hostname },
  });
  await client.connect();
  await client.query(text);
  await client.end();
}

async function loopback(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    serve(socket);
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

interface Over {
  readonly dial?: Dial | null;
  readonly timeoutMs?: number;
}

async function doctor(text: string, over: Over = {}): Promise<Examined> {
  const url = readUrl(text);
  if ("problem" in url) throw new Error(url.problem);
  const { dial: there = dial, timeoutMs = 10_000 } = over;
  return await examine(url, { dial: there, timeoutMs, pauseMs: 1, signal });
}

const owner = (via: "pooled" | "direct" = "direct") =>
  neon.state.connectionStrings("main", "shop_owner", "shop")[via];
const hostOf = (text: string): string => new URL(text).host;
const as = (role: string, password: string): string =>
  `postgresql://${role}:${password}@${hostOf(owner())}/shop?sslmode=require`;

const ROWS: readonly (readonly [Category, string, () => Promise<Examined>])[] = [
  ["authentication", "a wrong password", () => doctor(as("shop_owner", "npg_stale0000000"))],
  ["authentication", "a role that is not there", () => doctor(as("nobody", "npg_stale0000000"))],
  ["authentication", "no password in the string", () => doctor(`postgresql://app@${hostOf(owner())}/shop`)],
  ["role_without_login", "a role without login", () => doctor(as("reader", "reader-password"))],
  ["database", "a database that is not there", () => doctor(owner().replace("/shop?", "/shpo?"))],
  ["database", "a database that the role may not enter", () => doctor(as("outsider", "outsider-password"))],
  ["database", "no database in the string", () => doctor(owner().replace("/shop?", "?"))],
  ["ssl", "sslmode=disable", () => doctor(owner().replace("sslmode=require", "sslmode=disable"))],
  ["ssl", "a certificate that is not trusted", () => doctor(owner(), { dial: { ...dial, ca: "" } })],
  [
    "ssl",
    "a server that knows no TLS",
    async () => {
      const port = await loopback((socket) => socket.once("data", () => socket.end("N")));
      return await doctor(owner(), { dial: { host: "127.0.0.1", port } });
    },
  ],
  [
    "sni",
    "options that name another endpoint than the host",
    () => doctor(`${owner()}&options=endpoint%3Dep-other-branch-a1b2c3d4`),
  ],
  ["sni", "an address instead of a name", () => doctor(owner().replace(hostOf(owner()), "192.0.2.7"))],
  [
    "startup_parameter",
    "options over the pooler",
    () => doctor(`${owner("pooled")}&options=-c%20search_path%3Dshop`),
  ],
  [
    "startup_parameter",
    "a timeout over the pooler",
    () => doctor(`${owner("pooled")}&statement_timeout=5000`),
  ],
  [
    "endpoint_missing",
    "a branch that was deleted",
    async () => {
      neon.state.createBranch({ name: "doomed" });
      const { direct } = neon.state.connectionStrings("doomed", "shop_owner", "shop");
      neon.state.deleteBranch("doomed");
      await neon.state.settled();
      return await doctor(direct);
    },
  ],
  [
    "endpoint_disabled",
    "an endpoint that is disabled",
    async () => {
      neon.state.createBranch({ name: "dark" });
      neon.state.setDisabled(neon.state.endpointOf("dark"), true);
      await neon.state.settled();
      return await doctor(neon.state.connectionStrings("dark", "shop_owner", "shop").direct);
    },
  ],
  [
    "cold_start",
    "a compute that does not come up",
    async () => {
      // Its folder would be below a file, so its server cannot start.
      const broken = await startComputes({ folder: fileURLToPath(import.meta.url) });
      const stuck = await startNeon({ computes: broken });
      await stuck.state.settled();
      const { direct } = stuck.state.connectionStrings("main", "shop_owner", "shop");
      const found = await doctor(direct, { dial: { host: broken.host, port: broken.port, ca: broken.ca } });
      await stuck.close();
      await broken.close();
      return found;
    },
  ],
  ["connection_limit", "a role without a free connection", () => doctor(as("crowd", "crowd-password"))],
  [
    "timeout",
    "a server that says nothing",
    async () => {
      const port = await loopback((socket) => void socket.resume());
      return await doctor(owner(), { dial: { host: "127.0.0.1", port }, timeoutMs: 100 });
    },
  ],
  ["network", "nobody at the port", () => doctor(owner(), { dial: { host: "127.0.0.1", port: 9 } })],
  [
    "dns",
    "a host that does not exist",
    () => doctor(owner().replace(hostOf(owner()), "ep-a-1.nowhere.invalid"), { dial: null }),
  ],
];

/** What only Neon's real proxy, pooler and plans say: texts in the unit test of the catalogue. */
const NOT_PRODUCED: readonly Category[] = ["ip_allow_list", "pooler_mode", "quota", "unknown", "wrong_login"];

describe("examine()", () => {
  test("finds nothing wrong with a string that works, pooled and direct", async () => {
    for (const via of ["pooled", "direct"] as const) {
      const found = await doctor(owner(via));
      expect(found).toMatchObject({ diagnosis: null, pooled: via === "pooled", notes: [] });
      expect(found.ms).toBeGreaterThan(0);
    }
  });

  test.each(ROWS)("%s: %s", async (category, _, look) => {
    const found = await look();
    expect(found.diagnosis).toMatchObject({ category });
    for (const part of ["cause", "evidence", "next"] as const) expect(found.diagnosis?.[part]).not.toBe("");
    const said = JSON.stringify(found);
    for (const secret of [new URL(owner()).password, "npg_", "reader-password", "crowd-password"])
      expect(said).not.toContain(secret);
  });

  test("the rows above and the list of what the stand-in cannot say are all categories", () => {
    const seen = new Set<Category>([...ROWS.map(([category]) => category), ...NOT_PRODUCED]);
    expect(CATEGORIES.filter((category) => !seen.has(category))).toEqual([]);
  });

  test("tries once more where waiting may help, and says so", async () => {
    const stub = await startStubPostgres("s3cret");
    stub.behave(
      { kind: "error", code: "57P03", message: "the database system is starting up" },
      { kind: "login" },
    );
    const text = "postgresql://app:s3cret@ep-a-1.eu-central-1.aws.neon.tech/shop?sslmode=require";
    const found = await doctor(text, { dial: { host: "127.0.0.1", port: stub.port, ca: stub.ca } });
    await stub.close();
    expect(found.diagnosis).toBeNull();
    expect(found.notes).toEqual(["The first login failed (cold_start), the next one worked."]);
  });

  test("a host, port or sslmode that is unusual is noted, not refused", async () => {
    const found = await doctor("postgresql://a:b@db.example.invalid:6543/shop", { dial: null });
    expect(found.notes).toHaveLength(3);
  });
});

describe("EXIT_OF", () => {
  test("gives each category a number of its own, apart from those of the shell and of sysexits.h", () => {
    const codes = CATEGORIES.map((category) => EXIT_OF[category]);
    expect(new Set(codes).size).toBe(CATEGORIES.length);
    for (const code of codes) expect(code >= 10 && code < 64).toBe(true);
  });
});
