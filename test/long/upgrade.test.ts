/** Two releases on one database: expand, then contract. And clocks that are off, and a process that is told to end. */
import { randomBytes } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { agreeing, expected, holdings } from "../../infra/demo/vendors.ts";
import { type Sandbox, startSandbox } from "../../infra/sandbox/index.ts";
import { packageRoot } from "../../services/paths.ts";
import { expectedMigrations, migrate } from "../../services/store/migrate.ts";
import { gitBranchDelivery, postTo } from "../support/deliveries.ts";
import { createDatabase } from "../support/postgres.ts";
import { endAll, openPlace, ROOT, type Running, run } from "../support/process.ts";
import { writeSandboxFile } from "../support/sandbox-file.ts";
import { until } from "../support/until.ts";

afterAll(endAll);

async function openHouse() {
  const place = openPlace();
  const [sandbox, database] = await Promise.all([startSandbox(), createDatabase({ migrated: true })]);
  const env: Readonly<Record<string, string>> = {
    ...place.env,
    ...writeSandboxFile({ sandbox, folder: place.cwd }),
    DATABASE_URL: database.url,
    BRANCHLINE_MASTER_KEY: randomBytes(32).toString("base64"),
    BRANCHLINE_ADMIN_TOKEN: randomBytes(24).toString("base64url"),
    PORT: "0",
  };
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const clock = join(place.cwd, "clock");
  return {
    sandbox,
    env,
    folder: place.cwd,
    url: database.url,
    rows: async <T>(text: string) => (await client.query(text)).rows as T[],
    /** The command as it is built, on a machine whose clock is off by so much. */
    serve: (offMs = 0): Running => {
      writeFileSync(clock, String(offMs));
      const dist = join(ROOT, "dist");
      const off = `file://${join(dist, "test/chaos/clock.js")}?file=${encodeURIComponent(clock)}`;
      const command = join(dist, "services/cli/main.js");
      return run(process.execPath, ["--import", off, command, "serve"], { cwd: place.cwd, env });
    },
    close: async () => {
      await client.end();
      await sandbox.close();
      await database.drop();
      place.remove();
    },
  };
}
type House = Awaited<ReturnType<typeof openHouse>>;

const apiOf = async (serving: Running): Promise<string> =>
  (await serving.says(/"api":"(http:[^"]+)"/))[1] ?? "";

/** A branch appears and is announced; resolves when all four vendors hold what Neon says of it. */
async function follow({ sandbox, env }: House, api: string, name: string): Promise<void> {
  branchOut(sandbox, name);
  const delivery = gitBranchDelivery(env["GITHUB_WEBHOOK_SECRET"] ?? "", "create", name);
  expect((await postTo(`${api}/webhooks/github`, delivery)).status).toBe(202);
  await until(() => agreeing(holdings(sandbox, name), expected(sandbox, `preview/${name}`)).length === 4, {
    timeoutMs: 60_000,
    what: `all four vendors to hold preview/${name}`,
  });
}

function branchOut({ vercel, neon }: Sandbox, name: string): void {
  vercel.state.addBranch("shop-web", name);
  neon.state.createBranch({ name: `preview/${name}` });
}

/** A migration goes on once nobody holds this advisory lock. */
const GATE = 4_711;

/** The migrations of a later release: ours, and one that takes its time and then only adds. */
function laterMigrations(folder: string): string {
  const later = join(folder, "migrations");
  cpSync(join(packageRoot(), "infra", "migrations"), later, { recursive: true });
  const path = join(later, "meta", "_journal.json");
  const journal = JSON.parse(readFileSync(path, "utf8")) as { entries: { idx: number; when: number }[] };
  const last = journal.entries.at(-1);
  journal.entries.push({
    ...last,
    ...{ idx: journal.entries.length, when: (last?.when ?? 0) + 1_000, tag: "0099_later" },
  } as { idx: number; when: number });
  writeFileSync(path, JSON.stringify(journal));
  const steps = [
    `do $$ begin
      while exists (select from pg_locks where locktype = 'advisory' and objid = ${GATE}) loop
        perform pg_sleep(0.05);
      end loop;
    end $$`,
    ...["source", "branch", "place", "binding", "event", "login"].map(
      (table) => `alter table branchline.${table} add column later text not null default 'later'`,
    ),
    "create table branchline.later (id int primary key)",
    "create index later_place on branchline.place (later)",
  ];
  writeFileSync(join(later, "0099_later.sql"), steps.join(";\n--> statement-breakpoint\n"));
  return later;
}

describe.concurrent("a rolling upgrade", () => {
  test("a process goes on while a later release migrates, and one that finds the newer schema does, too", async () => {
    const house = await openHouse();
    const old = house.serve();
    const api = await apiOf(old);
    await follow(house, api, "before");

    const gate = new pg.Client({ connectionString: house.url });
    await gate.connect();
    await gate.query(`select pg_advisory_lock(${GATE})`);
    let isDone = false;
    const migrating = migrate(house.url, laterMigrations(house.folder)).then(() => {
      isDone = true;
    });
    await until(
      async () =>
        (
          await house.rows(
            "select 1 from pg_stat_activity where query ilike '%perform pg_sleep%' and pid <> pg_backend_pid()",
          )
        ).length > 0,
      { what: "the migration to run" },
    );
    await follow(house, api, "meanwhile");
    expect(isDone).toBe(false);
    await gate.end();
    await migrating;
    await follow(house, api, "after");

    const [{ n = 0 } = {}] = await house.rows<{ n: number }>(
      "select count(*)::int n from branchline.migration",
    );
    expect(n).toBe(expectedMigrations() + 1);
    const joined = house.serve();
    const second = await apiOf(joined);
    expect(await old.end()).toMatchObject({ code: 0, stderr: "" });
    await until(async () => (await fetch(`${second}/readyz`)).status === 200, { what: "it to be ready" });
    await follow(house, second, "later");
    expect(await joined.end()).toMatchObject({ code: 0, stderr: "" });
    await house.close();
  }, 300_000);

  test("a migration that finds a table held keeps nobody else waiting for it, and begins again", async () => {
    const house = await openHouse();
    const holder = new pg.Client({ connectionString: house.url });
    await holder.connect();
    await holder.query("begin; select 1 from branchline.event limit 1");
    const later = laterMigrations(house.folder);
    const migrating = migrate(house.url, later);
    const waits =
      "select 1 from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'branchline migrate'";
    // It has locked the tables that come before, and waits for this one.
    await until(async () => (await house.rows(waits)).length > 0, { what: "the migration to wait" });
    // Would wait for as long as the holder holds.
    await house.rows("select 1 from branchline.place limit 1");
    await until(async () => (await house.rows(waits)).length === 0, { what: "the migration to give up" });
    await until(async () => (await house.rows(waits)).length > 0, { what: "the migration to begin again" });
    await holder.end();
    await migrating;
    expect(await house.rows("select later from branchline.event")).toEqual([]);
    await house.close();
  }, 300_000);
});

describe.concurrent("SIGTERM", () => {
  test("what is being pushed is finished and written down", async () => {
    const house = await openHouse();
    const { sandbox } = house;
    const serving = house.serve();
    await follow(house, await apiOf(serving), "checkout");
    sandbox.vault.addFault({ kind: "latency", ms: 1_500, method: "POST", path: "^/v1/kv/data/", times: 1 });
    for (const role of ["shop_app", "shop_owner"]) sandbox.neon.state.resetPassword("preview/checkout", role);
    await until(() => sandbox.vault.log.some((line) => line.fault === "latency"), {
      what: "the write at Vault",
      timeoutMs: 60_000,
    });
    expect(await serving.end("SIGTERM")).toMatchObject({ code: 0, stderr: "" });
    expect(agreeing(holdings(sandbox, "checkout"), expected(sandbox, "preview/checkout"))).toContain("vault");
    const left = await house.rows(
      `select p.key from branchline.place p join branchline.destination d on d.id = p.destination_id
       where d.name = 'vault' and (p.lease_until is not null or p.settle_at is not null)`,
    );
    expect(left).toEqual([]);
    await house.close();
  }, 300_000);
});

describe.concurrent("a machine whose clock is off", () => {
  test("by minutes is refused with words, before anything is done", async () => {
    const house = await openHouse();
    const { code, stderr } = await house.serve(-7 * 60_000).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/clock is (6 min 5\d|7 min \d+) s? ?behind the database's/);
    expect(stderr).toContain("NTP");
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(await house.rows("select 1 from branchline.installation")).toEqual([]);
    await house.close();
  }, 120_000);

  test("by less is warned about, shown in the metrics, and does the main job", async () => {
    const house = await openHouse();
    const serving = house.serve(90_000);
    const api = await apiOf(serving);
    await serving.says(/"clock":"this machine's clock is 9\d s ahead of the database's"/);
    await follow(house, api, "checkout");
    const headers = { authorization: `Bearer ${house.env["BRANCHLINE_ADMIN_TOKEN"]}` };
    const metrics = await (await fetch(`${api}/metrics`, { headers })).text();
    const skew = /^branchline_clock_skew_seconds (\S+)$/m.exec(metrics)?.[1];
    expect(Number(skew)).toBeGreaterThan(89);
    expect(Number(skew)).toBeLessThan(91);
    expect(await serving.end()).toMatchObject({ code: 0, stderr: "" });
    await house.close();
  }, 120_000);
});
