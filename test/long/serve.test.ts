/** `branchline serve` as real processes on one database: together, apart, ended and killed. */
import { randomBytes } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { APP, agreeing, expected, holdings, OWNER } from "../../infra/demo/vendors.ts";
import { signDelivery } from "../../infra/sandbox/github.ts";
import type { Sandbox } from "../../infra/sandbox/index.ts";
import { gitBranchDelivery, neonDelivery, postTo } from "../support/deliveries.ts";
import { apiOf, type House, openHouse } from "../support/house.ts";
import { processesOf } from "../support/postgres-owner.ts";
import { branchline, endAll, openPlace } from "../support/process.ts";
import { newNeonSecret } from "../support/sandbox-file.ts";
import { until } from "../support/until.ts";

const EVERYONE = ["web", "ci", "runtime", "vault"];
/** A killed worker's lease lapses after half a minute; whoever takes over waits out its last request. */
const TAKEOVER_MS = 75_000;

const announce = async (api: string, { env }: House, event: "create" | "delete", name: string) =>
  await postTo(`${api}/webhooks/github`, gitBranchDelivery(env["GITHUB_WEBHOOK_SECRET"] ?? "", event, name));

/** A git branch, and the Neon branch that CI makes for it. */
function branchOut({ vercel, neon }: Sandbox, name: string): void {
  vercel.state.addBranch("shop-web", name);
  neon.state.createBranch({ name: `preview/${name}` });
}

const allAgree = async ({ sandbox }: House, name: string, timeoutMs = 30_000) =>
  await until(
    () => agreeing(holdings(sandbox, name), expected(sandbox, `preview/${name}`)).length === EVERYONE.length,
    { timeoutMs, what: `all four vendors to hold what Neon says of preview/${name}` },
  );

const allSynced = async ({ database }: House, timeoutMs = 30_000) =>
  await query(database.url, async (client) => {
    await until(
      async () => {
        const { rows } = await client.query<{ state: string }>(
          "select state, code, cause from branchline.binding",
        );
        const states = rows.map((row) => row.state).filter((state) => state !== "removed");
        if (states.length === 5 && states.every((state) => state === "synced")) return true;
        throw new Error(`not every binding is synced: ${JSON.stringify(rows)}`);
      },
      { timeoutMs },
    );
  });

async function query<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** How many rows each of our tables has. */
const rowCounts = async (url: string): Promise<Record<string, number>> =>
  await query(url, async (client) => {
    const { rows } = await client.query<{ table_name: string }>(
      "select table_name from information_schema.tables where table_schema = 'branchline' order by 1",
    );
    const counts: Record<string, number> = {};
    for (const { table_name } of rows) {
      const { rows: counted } = await client.query<{ n: number }>(
        `select count(*)::int n from branchline."${table_name}"`,
      );
      counts[table_name] = counted[0]?.n ?? 0;
    }
    return counts;
  });

afterAll(endAll);

describe("serve with a bad file and a bad environment", () => {
  test("tells every problem at once, exits with 78 and starts nothing", async () => {
    const { cwd, env, remove } = openPlace();
    writeFileSync(
      join(cwd, "branchline.yaml"),
      JSON.stringify({
        sources: { shop: { neon: { project: "wispy-butterfly-25042691", apiKey: "env:NOT_SET_ANYWHERE" } } },
        destinations: { vault: { vault: { address: "https://vault.internal", mount: "kv", auth: {} } } },
        rules: { one: { source: "shap", branches: "preview/[", colour: "red" } },
      }),
    );
    const bad = { BRANCHLINE_CONFIG: "branchline.yaml", PORT: "http", LOG_LEVEL: "loud" };
    const secret = `postgres://user:hunter2-${randomBytes(4).toString("hex")}`;

    const { code, stdout, stderr } = await branchline(["serve"], {
      cwd,
      env: { ...env, ...bad, DATABASE_URL: secret, BRANCHLINE_MASTERKEY: "x" },
    }).ended;

    expect(code).toBe(78);
    expect(stdout).toBe("");
    for (const where of [/PORT/, /LOG_LEVEL/, /DATABASE_URL/, /BRANCHLINE_MASTERKEY.*|MASTER_KEY\?/])
      expect(stderr).toMatch(where);
    for (const where of [/env:NOT_SET_ANYWHERE/, /shap/, /colour/, /preview\/\[|rules\.one\.branches/])
      expect(stderr).toMatch(where);
    expect(stderr).not.toContain("hunter2");
    expect(readdirSync(cwd)).toEqual(["branchline.yaml"]);
    expect(processesOf(cwd)).toEqual([]);
    remove();
  });
});

describe.concurrent("serve", () => {
  test("--api and --worker share the main job; a worker killed in the middle of a push is made up for", async () => {
    const house = await openHouse();
    const { sandbox, database, env } = house;
    const api = await apiOf(house.serve("--api"));

    const before = await rowCounts(database.url);
    await refuseBadDeliveries(api, env);
    expect(await rowCounts(database.url)).toEqual(before);

    const worker = house.serve("--worker");
    branchOut(sandbox, "login");
    expect((await announce(api, house, "create", "login")).status).toBe(202);
    await allAgree(house, "login");
    sandbox.neon.state.deleteBranch("preview/login");
    expect((await announce(api, house, "delete", "login")).status).toBe(202);
    await until(() => Object.values(holdings(sandbox, "login")).every(isEmpty), {
      timeoutMs: 30_000,
      what: "all four vendors to be cleaned up",
    });

    branchOut(sandbox, "checkout");
    await announce(api, house, "create", "checkout");
    await allSynced(house);
    // The worker dies with both requests on their way: Vault's is applied after that, AWS's is lost.
    const { vault, aws, neon } = sandbox;
    vault.addFault({ kind: "latency", ms: 3_000, method: "POST", path: "^/v1/kv/data/", times: 1 });
    aws.addFault({ kind: "hang", operation: "PutSecretValue", times: 1 });
    for (const role of [APP, OWNER]) neon.state.resetPassword("preview/checkout", role);
    await until(() => [vault, aws].every(({ log }) => log.some((line) => line.fault !== null)), {
      what: "the writes at Vault and AWS",
      timeoutMs: 30_000,
    });
    await worker.end("SIGKILL");
    const next = house.serve("--worker");
    await allAgree(house, "checkout", TAKEOVER_MS);
    await allSynced(house, TAKEOVER_MS);
    expect(await next.end()).toMatchObject({ code: 0, stderr: "" });
    await house.close();
  }, 150_000);

  test("ends within 20 seconds of SIGTERM while a vendor hangs, and one that joined goes on", async () => {
    const house = await openHouse();
    const { sandbox } = house;
    const first = house.serve();
    await until(() => sandbox.vault.state.values("production/shop"), {
      what: "production at Vault",
      timeoutMs: 30_000,
    });
    sandbox.vault.addFault({ kind: "hang", method: "POST", path: "^/v1/kv/data/preview/", times: 1 });
    branchOut(sandbox, "checkout");
    await until(() => sandbox.vault.log.some((line) => line.fault === "hang"), {
      what: "the write at Vault",
      timeoutMs: 30_000,
    });

    const second = house.serve();
    const api = await apiOf(second);
    const asked = performance.now();
    const { code, stderr } = await first.end("SIGTERM");

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(performance.now() - asked).toBeLessThan(20_000);
    await allAgree(house, "checkout", TAKEOVER_MS);
    await allSynced(house, TAKEOVER_MS);
    await until(async () => (await fetch(`${api}/readyz`)).status === 200, { what: "it to be ready" });
    expect(await second.end()).toMatchObject({ code: 0, stderr: "" });
    await house.close();
  }, 150_000);
});

/** Each is told why, and none of them leaves a trace in our tables. */
async function refuseBadDeliveries(api: string, env: House["env"]): Promise<void> {
  const github = env["GITHUB_WEBHOOK_SECRET"] ?? "";
  const neon = env["NEON_WEBHOOK_SECRET"] ?? "";
  const hint = { type: "branch.created", data: { project_id: "wispy-butterfly-25042691" } };
  const good = gitBranchDelivery(github, "create", "checkout");
  const refused = [
    { to: "github", delivery: gitBranchDelivery("another secret", "create", "checkout"), status: 401 },
    { to: "github", delivery: { ...good, body: `${good.body} ` }, status: 401 },
    { to: "github", delivery: { ...good, headers: { "content-type": "application/json" } }, status: 401 },
    { to: "github", delivery: signDelivery(github, "create", '{"ref": "checkout"'), status: 400 },
    { to: "neon", delivery: neonDelivery(newNeonSecret(), hint), status: 401 },
    { to: "neon", delivery: neonDelivery(neon, hint, Date.now() - 6 * 60_000), status: 400 },
    { to: "neon", delivery: neonDelivery(neon, hint, Date.now() + 6 * 60_000), status: 400 },
    { to: "neon", delivery: neonDelivery(neon, '{"type": '), status: 400 },
    { to: "neon", delivery: neonDelivery(neon, { ...hint, more: "x".repeat(256 * 1024) }), status: 413 },
  ];
  for (const { to, delivery, status } of refused) {
    expect((await postTo(`${api}/webhooks/${to}`, delivery)).status).toBe(status);
  }
}

const isEmpty = (values: object): boolean => Object.keys(values).length === 0;
