/**
 * What it takes to notice one changed branch among many, and what it costs while nothing happens: calls to Neon
 * and milliseconds, with the real worker on a real database. The calls may grow with the pages of the list and
 * with nothing else.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import pg from "pg";
import { startPostgres } from "../../infra/postgres/index.ts";
import { NEON_TOKEN, type NeonState, startNeon } from "../../infra/sandbox/neon.ts";
import type { Vendor } from "../../infra/sandbox/vendor.ts";
import { createMemoryDestination } from "../../services/destinations/memory.ts";
import { closeConnections } from "../../services/http.ts";
import { createLogger } from "../../services/log.ts";
import { neonBlock, neonSource } from "../../services/sources/neon.ts";
import { configure } from "../../services/store/configure.ts";
import { type Database, openDatabase } from "../../services/store/db.ts";
import { migrate } from "../../services/store/migrate.ts";
import { markDue } from "../../services/store/work.ts";
import { DEFAULT_CONNECTION, type Rule } from "../../services/sync/model.ts";
import { Secret } from "../../services/sync/secret.ts";
import { reconcile } from "../../workers/reconcile.ts";
import { DEFAULT_SETTINGS, type Runtime } from "../../workers/runtime.ts";
import { setup } from "../../workers/setup.ts";
import { watch } from "../../workers/watch.ts";
import { percentile, type Result, rounded } from "./result.ts";

const SIZES = [100, 1_000, 10_000] as const;
/** As the source asks for them. */
const PER_PAGE = 1_000;
const ROUNDS = 5;
/** Looks at rest: two full turns of what comes round only every tenth time. */
const RESTING = 20;

/** Operations twice, endpoints twice, the count; then branch, endpoints, roles, databases, one password. */
const CALLS_BESIDE_PAGES = 10;

interface Measured {
  readonly branches: number;
  readonly calls: number;
  readonly ms: number;
  readonly callsAtRest: number;
  readonly msAtRest: number;
}

export async function run(): Promise<Result[]> {
  const folder = mkdtempSync(join(tmpdir(), "branchline-bench-watch-"));
  const server = await startPostgres({ dataDir: folder, mode: "ephemeral", fsync: false });
  try {
    const measured: Measured[] = [];
    for (const branches of SIZES) measured.push(await measure(server.url, branches));
    return measured.flatMap(results);
  } finally {
    await closeConnections();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const pages = (branches: number): number => Math.ceil(branches / PER_PAGE);

function results(one: Measured): Result[] {
  const name = `watch.${one.branches}`;
  const bar = CALLS_BESIDE_PAGES + pages(one.branches);
  const perMinute = (one.callsAtRest * 60_000) / DEFAULT_SETTINGS.watchEveryMs;
  // One look of ten takes in a whole list: its pages, the count, the endpoints; the others ask once.
  const restBar = ((1 + (pages(one.branches) + 2) / 10) * 60_000) / DEFAULT_SETTINGS.watchEveryMs;
  return [
    {
      name: `${name}.calls`,
      value: one.calls,
      unit: "calls to notice and read one changed branch",
      bar,
      ok: one.calls <= bar,
      detail: { pages: pages(one.branches), callsPerPage: rounded(one.calls / pages(one.branches)) },
    },
    { name: `${name}.ms`, value: one.ms, unit: "ms to notice and read it", bar: null, ok: true },
    {
      name: `${name}.rest`,
      value: rounded(perMinute),
      unit: "calls per minute while nothing happens",
      bar: rounded(restBar),
      ok: perMinute <= restBar + 0.01,
      detail: { msPerLook: one.msAtRest },
    },
  ];
}

async function measure(server: string, branches: number): Promise<Measured> {
  const world = await open(server, branches);
  try {
    return { branches, ...(await notice(world)), ...(await rest(world)) };
  } finally {
    await world.close();
  }
}

interface Opened {
  readonly neon: Vendor<NeonState>;
  readonly database: Database;
  readonly runtime: Runtime;
  readonly sourceId: string;
  /** Runs the source's watch now, as if a look were due. */
  look(hinted: boolean): Promise<void>;
  close(): Promise<void>;
}

const DAY_MS = 86_400_000;
const { signal } = new AbortController();

const RULE: Rule = {
  name: "preview",
  source: "shop",
  destination: "memory",
  branches: { include: ["preview/**"] },
  roles: { default: "shop_app" },
  database: "shop",
  target: { environment: "preview", group: `\${branch.name|slug}` },
  variables: { DATABASE_URL: "pooled" },
  policy: "upsert-only",
  onBranchDelete: "delete",
  exposure: null,
  productionReason: null,
  inheritedPassword: "warn",
  proof: "never",
  onDrift: "repair",
  tier: "ticket",
  adopt: [],
  connection: DEFAULT_CONNECTION,
};

async function open(server: string, branches: number): Promise<Opened> {
  const url = await createDatabase(server, `watch_${branches}`);
  let agoMs = DAY_MS;
  const neon = await startNeon({ now: () => Date.now() - agoMs });
  const { state } = neon;
  // Made one after the other over the last day, as branches are.
  for (let n = 1; n < branches; n++) {
    agoMs = DAY_MS * (1 - n / (branches + 1));
    state.createBranch({ name: `preview/${n}` });
  }
  agoMs = 0;
  const database = openDatabase({ url });
  const prepared = await setup({
    database,
    masterKey: new Uint8Array(32).fill(7),
    sources: new Map([["neon", neonSource]]),
    destinations: new Map([["memory", createMemoryDestination()]]),
    resolve: () => new Secret(NEON_TOKEN),
    // The whole list comes round by time; here it comes round by count, so that a run need not take minutes.
    settings: { ...DEFAULT_SETTINGS, watchEveryMs: 3_600_000 },
    log: createLogger({ level: "silent" }),
  });
  const runtime: Runtime = { ...prepared, kick: () => {} };
  const block = neonBlock.parse({
    project: state.project.id,
    apiKey: "env:NEON_API_KEY",
    api: `${neon.url}/api/v2`,
    privateNetwork: true,
  });
  const source = { name: "shop", kind: "neon", identity: neonSource.identity(block), block };
  const destination = { name: "memory", kind: "memory", block: { store: `bench-${branches}` }, inFlight: 1 };
  await configure(database.db, { sources: [source], destinations: [destination], rules: [RULE] });
  const { rows } = await database.db.execute<{ id: string }>(sql`select id from branchline.source`);
  const sourceId = rows[0]?.id ?? "";
  const look = async (hinted: boolean): Promise<void> => {
    if (hinted) await markDue(database.db, "source", [sourceId]);
    else await database.db.execute(sql`update branchline.source set due_at = now()`);
    await watch(runtime, sourceId, signal);
  };
  await look(true);
  await database.db.execute(sql`update branchline.branch set due_at = null`);
  return {
    neon,
    database,
    runtime,
    sourceId,
    look,
    close: async () => {
      await database.close();
      await neon.close();
    },
  };
}

/** Somebody resets a password and tells nobody; the next look finds the branch, and reading it the password. */
async function notice({ neon, database, runtime, look }: Opened): Promise<Pick<Measured, "calls" | "ms">> {
  const rounds: { calls: number; ms: number }[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const name = `preview/${round}`;
    neon.state.resetPassword(name, "shop_app");
    const before = neon.log.length;
    const started = performance.now();
    await look(false);
    const { rows } = await database.db.execute<{ id: string; name: string }>(
      sql`select id, name from branchline.branch where due_at <= now()`,
    );
    if (rows.length !== 1 || rows[0]?.name !== name) throw new Error(`${rows.length} branches were noticed`);
    await reconcile(runtime, rows[0].id, signal);
    rounds.push({ calls: neon.log.length - before, ms: performance.now() - started });
  }
  return {
    calls: Math.max(...rounds.map((one) => one.calls)),
    ms: rounded(
      percentile(
        rounds.map((one) => one.ms),
        0.5,
      ),
      0,
    ),
  };
}

/** Calls of one look on average, the whole list that comes round every tenth time included. */
async function rest({ neon, database, look }: Opened): Promise<Pick<Measured, "callsAtRest" | "msAtRest">> {
  const before = neon.log.length;
  const started = performance.now();
  for (let n = 1; n <= RESTING; n++) {
    if (n % 10 === 0) await database.db.execute(sql`update branchline.source set listed_at = '2000-01-01'`);
    await look(false);
  }
  const calls = neon.log.length - before;
  return {
    callsAtRest: rounded(calls / RESTING, 3),
    msAtRest: rounded((performance.now() - started) / RESTING, 1),
  };
}

async function createDatabase(server: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  await client.query(`CREATE DATABASE ${name}`);
  await client.end();
  const url = Object.assign(new URL(server), { pathname: `/${name}` }).href;
  await migrate(url);
  return url;
}
