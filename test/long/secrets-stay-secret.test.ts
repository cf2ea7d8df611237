/**
 * Plays everything that can happen to a secret, errors of every vendor included, and then searches all that
 * Branchline has written and said: it is in the stores that are meant to have it, and nowhere else.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { APP, agreeing, expected, holdings, OWNER } from "../../infra/demo/vendors.ts";
import { type Postgres, startPostgres } from "../../infra/postgres/index.ts";
import { type Sandbox, startSandbox } from "../../infra/sandbox/index.ts";
import { NEON_PROJECT } from "../../infra/sandbox/neon.ts";
import { type Haystack, type Needle, needlesOf, search } from "../support/canary.ts";
import { gitBranchDelivery, neonDelivery, postTo } from "../support/deliveries.ts";
import { type Echo, startEcho } from "../support/echo.ts";
import { branchline, endAll, openPlace, type Place, type Running } from "../support/process.ts";
import { newNeonSecret, writeSandboxFile } from "../support/sandbox-file.ts";
import { until } from "../support/until.ts";

const BRANCH = "preview/checkout";
const VENDORS = ["neon", "vercel", "github", "aws", "vault"] as const;
type VendorName = (typeof VENDORS)[number];

/** Every secret that was ever in play, and all that was written or said. */
const needles: Needle[] = [];
const haystacks: Haystack[] = [];

function secret(what: string, value: string): string {
  needles.push(...needlesOf(what, value));
  return value;
}
const canary = (): string => `cnry${randomBytes(15).toString("hex")}`;
const keep = (where: string, said: string): void => {
  haystacks.push({ where, bytes: Buffer.from(said) });
};

/** A password with all that connection strings choke on. */
const awkward = (what: string): string => secret(what, `${canary()}% @/:#?&=+%41 '"\\ü${canary()}`);

const credentials = {
  NEON_API_KEY: secret("Neon's key", `napi_${canary()}`),
  VERCEL_TOKEN: secret("Vercel's token", `vcp_${canary()}`),
  GITHUB_TOKEN: secret("GitHub's token", `github_pat_${canary()}`),
  GITHUB_WEBHOOK_SECRET: secret("GitHub's webhook secret", canary()),
  NEON_WEBHOOK_SECRET: secret("Neon's webhook secret", newNeonSecret()),
  AWS_ACCESS_KEY_ID: "AKIACANARYCANARY0000",
  AWS_SECRET_ACCESS_KEY: secret("AWS's secret key", `${canary()}/+`),
  VAULT_ROLE_ID: "6a1d7a3e-5b3c-4d2e-9f10-0123456789ab",
  VAULT_SECRET_ID: secret("Vault's secret id", canary()),
  BRANCHLINE_ADMIN_TOKEN: secret("the admin token", canary()),
  BRANCHLINE_MASTER_KEY: secret("the master key", randomBytes(32).toString("base64")),
};

let place: Place;
let server: Postgres;
let sandbox: Sandbox;
let echoes: Record<VendorName, Echo>;
let serving: Running;
let api: string;

beforeAll(async () => {
  place = openPlace();
  const postgresSays: string[] = [];
  const log = (line: string): void => void postgresSays.push(line);
  [server, sandbox] = await Promise.all([
    startPostgres({ dataDir: join(place.cwd, "postgres"), mode: "ephemeral", fsync: false, log }),
    startSandbox({
      computes: true,
      neon: {
        projects: [
          {
            ...NEON_PROJECT,
            roles: [OWNER, APP].map((name) => ({ name, password: awkward(`${name}'s first password`) })),
          },
        ],
        keys: [{ token: credentials.NEON_API_KEY, kind: "org", projects: [NEON_PROJECT.id ?? ""] }],
      },
      vercel: { tokens: [{ token: credentials.VERCEL_TOKEN }] },
      github: { tokens: [{ token: credentials.GITHUB_TOKEN }] },
      aws: {
        keys: [
          { accessKeyId: credentials.AWS_ACCESS_KEY_ID, secretAccessKey: credentials.AWS_SECRET_ACCESS_KEY },
        ],
      },
      vault: {
        logins: [{ method: "approle", role: credentials.VAULT_ROLE_ID, secret: credentials.VAULT_SECRET_ID }],
      },
    }),
  ]);
  secret("the database's password", new URL(server.url).password);
  const fronts = await Promise.all(
    VENDORS.map(async (name) => [name, await startEcho(sandbox[name].url)] as const),
  );
  echoes = Object.fromEntries(fronts) as typeof echoes;
  const fronted = Object.fromEntries(
    VENDORS.map((name) => [name, { ...sandbox[name], url: echoes[name].url }]),
  );
  const folder = join(place.cwd, "file");
  mkdirSync(folder);
  const env = writeSandboxFile({ sandbox: { ...sandbox, ...fronted }, folder, credentials });
  serving = branchline(["serve"], {
    cwd: folder,
    env: { ...place.env, ...env, DATABASE_URL: server.url, PORT: "0", LOG_LEVEL: "trace" },
  });
  api = (await serving.says(/"api":"(http:[^"]+)"/))[1] ?? "";
}, 60_000);

afterAll(async () => {
  endAll();
  await Promise.all(Object.values(echoes ?? {}).map((echo) => echo.close()));
  await sandbox?.close();
  await server?.stop();
  place.remove();
});

// ---------------------------------------------------------------- what happens to the secrets

/** `ALTER ROLE ... PASSWORD` for both roles, and a hint, since no operation tells of it. */
async function rotateBySql(round: string): Promise<void> {
  for (const role of [APP, OWNER]) {
    sandbox.neon.state.changePasswordBySql(BRANCH, role, awkward(`${role}'s password of ${round}`));
  }
  await hint();
}

async function hint(): Promise<void> {
  const message = {
    type: "role.password_reset",
    data: { project_id: NEON_PROJECT.id, branch_id: sandbox.neon.state.branch(BRANCH).id },
  };
  const { status } = await postTo(
    `${api}/webhooks/neon`,
    neonDelivery(credentials.NEON_WEBHOOK_SECRET, message),
  );
  expect(status).toBe(202);
}

const allAgree = async (): Promise<unknown> =>
  await until(
    async () => {
      const agree = agreeing(holdings(sandbox, "checkout"), expected(sandbox, BRANCH));
      if (agree.length === 4) return true;
      const headers = { authorization: `Bearer ${credentials.BRANCHLINE_ADMIN_TOKEN}` };
      const bindings = await (await fetch(`${api}/v1/bindings`, { headers })).text();
      throw new Error(`only ${agree.join(", ")} hold what Neon says: ${bindings}`);
    },
    { timeoutMs: 40_000 },
  );

const WRITES: Record<VendorName, { method?: string; operation?: string; path?: string }> = {
  neon: {},
  vercel: { path: "/env" },
  github: { method: "PUT" },
  aws: { operation: "PutSecretValue" },
  vault: { method: "POST", path: "^/v1/kv/data/" },
};

const FAULTS = [
  { kind: "status", status: 401 },
  { kind: "status", status: 403 },
  { kind: "status", status: 429, retryAfter: "1" },
  { kind: "status", status: 500 },
  { kind: "reset" },
  { kind: "die-after-applying" },
] as const;

/** A rotation on whose way this goes wrong once at each vendor. Neon comes first, or nothing would be written. */
async function rotateInto(fault: (typeof FAULTS)[number], round: string): Promise<void> {
  for (const names of [["neon"], ["vercel", "github", "aws", "vault"]] as const) {
    const struck = (name: VendorName) => sandbox[name].log.filter((line) => line.fault === fault.kind).length;
    const before = new Map(names.map((name) => [name, struck(name)]));
    for (const name of names) sandbox[name].addFault({ ...fault, ...WRITES[name], times: 1 });
    await rotateBySql(`${round}, at ${names.join(" and ")}`);
    await until(() => names.every((name) => struck(name) > (before.get(name) ?? 0)), {
      timeoutMs: 20_000,
      what: `${round} at ${names.join(", ")}; so far ${names.map((name) => struck(name)).join(", ")}`,
    });
    for (const name of names) sandbox[name].clearFaults();
  }
}

/** Neon shows a password with which its database lets nobody in. */
async function rotateUnproven(): Promise<void> {
  const branch = sandbox.neon.state.branch(BRANCH);
  sandbox.neon.state.role(branch, APP).password = awkward("a password that does not log in");
  await hint();
  await serving.says(/"proof_failed"/);
}

/** The same with a vendor that repeats in its refusal whatever it was sent. */
async function rotateIntoEcho(status: number): Promise<void> {
  for (const names of [["neon"], ["vercel", "github", "aws", "vault"]] as const) {
    const before = new Map(names.map((name) => [name, echoes[name].echoed]));
    for (const name of names) echoes[name].refuseWith(status, name === "neon" ? "all" : "writes");
    await rotateBySql(`echo of ${status}, at ${names.join(" and ")}`);
    await until(() => names.every((name) => echoes[name].echoed > (before.get(name) ?? 0)), {
      timeoutMs: 20_000,
      what: `an echo of ${status} from ${names.join(", ")}`,
    });
    for (const name of names) echoes[name].refuseWith(null);
  }
}

async function wrongDeliveries(): Promise<void> {
  const stolen = credentials.GITHUB_WEBHOOK_SECRET;
  const wrong = [
    postTo(`${api}/webhooks/github`, gitBranchDelivery(`${stolen}x`, "create", "checkout")),
    postTo(`${api}/webhooks/github?secret=${stolen}`, gitBranchDelivery(stolen, "create", "checkout")),
    postTo(`${api}/webhooks/neon`, neonDelivery(credentials.NEON_WEBHOOK_SECRET, `{"${stolen}": `)),
    fetch(`${api}/v1/bindings?token=${credentials.BRANCHLINE_ADMIN_TOKEN}`),
    fetch(`${api}/${credentials.NEON_API_KEY}`, {
      headers: { authorization: `Bearer ${credentials.NEON_API_KEY}` },
    }),
  ];
  for (const answer of await Promise.all(wrong)) keep(`the answer to a wrong request`, await answer.text());
}

// ---------------------------------------------------------------- what is searched

/** Lists, single items, and refusals, as anybody with a token gets them. */
async function keepAnswers(when: string): Promise<void> {
  const headers = { authorization: `Bearer ${credentials.BRANCHLINE_ADMIN_TOKEN}` };
  const ask = async (path: string): Promise<string> => {
    const text = await (await fetch(`${api}${path}`, { headers })).text();
    keep(`${path} ${when}`, text);
    return text;
  };
  for (const path of ["/healthz", "/readyz", "/metrics", "/v1/nothing", "/v1/bindings?colour=red"])
    await ask(path);
  for (const noun of ["sources", "branches", "bindings", "events"]) {
    const { items = [] } = JSON.parse(await ask(`/v1/${noun}?limit=200`)) as { items?: { id: string }[] };
    for (const { id } of items.slice(0, 20)) await ask(`/v1/${noun}/${id}`);
  }
}

/** The one answer that may hold a secret: it is asked for, and not kept. */
async function reveal(): Promise<void> {
  const headers = { authorization: `Bearer ${credentials.BRANCHLINE_ADMIN_TOKEN}` };
  for (const what of ["connection", "env"]) {
    await (
      await fetch(`${api}/v1/sources/shop/${what}?branch=${BRANCH}&role=${APP}&database=shop`, { headers })
    ).text();
  }
}

/** Every row of every table that is not PostgreSQL's own, the queue's included. */
async function keepRows(when: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    const { rows: tables } = await client.query<{ name: string }>(
      `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
       where table_schema not in ('pg_catalog', 'information_schema') order by 1`,
    );
    for (const { name } of tables) {
      const { rows } = await client.query<{ row: string }>(`select t::text as row from ${name} t`);
      keep(`the rows of ${name} ${when}`, rows.map(({ row }) => row).join("\n"));
    }
    await client.query("checkpoint");
    return tables.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

/** Tables and write-ahead log. The password of the server itself lies beside them, in a file of its own. */
function* databaseFiles(): Generator<Haystack> {
  const folder = join(server.dataDir, "data");
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = stillThere(() => readFileSync(path));
    if (bytes !== null) yield { where: path.slice(folder.length + 1), bytes };
  }
}

/** The server clears up while we look. */
function stillThere<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

describe("a secret", () => {
  test("is in no file of the database, no table, no queue, no log, no answer and no metric", async () => {
    sandbox.vercel.state.addBranch("shop-web", "checkout");
    sandbox.neon.state.createBranch({ name: BRANCH });
    const { status } = await postTo(
      `${api}/webhooks/github`,
      gitBranchDelivery(credentials.GITHUB_WEBHOOK_SECRET, "create", "checkout"),
    );
    expect(status).toBe(202);
    await allAgree();

    for (const role of [APP, OWNER]) {
      sandbox.neon.state.resetPassword(BRANCH, role);
      secret(`${role}'s password by Neon`, sandbox.neon.state.passwordOf(BRANCH, role) ?? "");
    }
    await allAgree();

    for (const fault of FAULTS)
      await rotateInto(fault, "status" in fault ? String(fault.status) : fault.kind);
    for (const status of [400, 500]) await rotateIntoEcho(status);
    await rotateUnproven();
    await wrongDeliveries();
    await keepAnswers("in trouble");
    await rotateBySql("the last round");
    await allAgree();
    await reveal();
    await keepAnswers("in step");
    await keepRows("in step");

    sandbox.neon.state.deleteBranch(BRANCH);
    await postTo(
      `${api}/webhooks/github`,
      gitBranchDelivery(credentials.GITHUB_WEBHOOK_SECRET, "delete", "checkout"),
    );
    await until(
      () => Object.values(holdings(sandbox, "checkout")).every((held) => Object.keys(held).length === 0),
      {
        timeoutMs: 40_000,
        what: "all four vendors to be cleaned up",
      },
    );
    await keepAnswers("at the end");
    const { code, stdout, stderr } = await serving.end("SIGTERM");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    keep("standard output", stdout);
    const tables = await keepRows("at the end");
    for (const name of VENDORS)
      keep(`the log of ${name}`, await (await fetch(`${sandbox[name].url}/__sandbox/log`)).text());

    // What was searched is what it should be: all kinds of trouble were told, and the queue was there.
    for (const code of ["unauthenticated", "forbidden", "rate_limited", "unavailable"])
      expect(stdout).toContain(`"${code}"`);
    expect(tables).toContain("branchline.binding");
    expect(tables.some((name) => /bull/i.test(name))).toBe(true);
    expect(search(haystacks, needles)).toEqual([]);
    expect(search(databaseFiles(), needles)).toEqual([]);
  }, 180_000);

  test("would have been found", async () => {
    const value = canary();
    const planted = needlesOf("a planted canary", value);
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    await client.query("create table planted as select $1::text as note", [
      `${value} and ${Buffer.from(`?${value}`).toString("base64")}`,
    ]);
    await client.query("checkpoint");
    await client.end();

    const found = search(databaseFiles(), planted);

    expect(found.some((where) => /plain: in base\//.test(where))).toBe(true);
    expect(found.some((where) => /plain: in pg_wal\//.test(where))).toBe(true);
    expect(found.some((where) => /base64 after 1: in base\//.test(where))).toBe(true);
  });

  test.each([
    ["in a text", (value: string) => `password ${value}!`, "plain"],
    [
      "in a URL",
      (value: string) => new URL(`postgres://u:${encodeURIComponent(value)}@h/`).href,
      "URL-encoded",
    ],
    ["in a form", (value: string) => String(new URLSearchParams({ value })), "form-encoded"],
    ["in JSON", (value: string) => JSON.stringify({ value }), "JSON"],
    ["in JSON in JSON", (value: string) => JSON.stringify(JSON.stringify({ value })), "JSON in JSON"],
    ["in hexadecimal", (value: string) => Buffer.from(`x${value}x`).toString("hex"), "hexadecimal"],
    ["in base64", (value: string) => Buffer.from(`${value}x`).toString("base64"), "base64 after 0"],
    [
      "in base64 after one byte",
      (value: string) => Buffer.from(`x${value}x`).toString("base64"),
      "base64 after 1",
    ],
    [
      "in base64url after five",
      (value: string) => Buffer.from(`xxxxx${value}`).toString("base64url"),
      "base64",
    ],
  ])("would be found %s", (_, write, form) => {
    const value = `${canary()}% @/:#?&=+ '"\\ü>>>???`;
    const found = search([{ where: "here", bytes: Buffer.from(write(value)) }], needlesOf("it", value));
    expect(found.join()).toContain(form);
  });
});
