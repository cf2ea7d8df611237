import { afterEach, describe, expect, test } from "vitest";
import type { Vendor } from "../../infra/sandbox/vendor.ts";
import { startVercel, VERCEL_DEFAULTS, type VercelState } from "../../infra/sandbox/vercel.ts";
import { vercel } from "../../services/destinations/vercel.ts";
import { createLogger } from "../../services/log.ts";
import { type Database, openDatabase } from "../../services/store/db.ts";
import type { DestinationAdapter } from "../../services/sync/ports.ts";
import { Secret } from "../../services/sync/secret.ts";
import { DEFAULT_SETTINGS, openDestination, type Runtime } from "../../workers/runtime.ts";
import { setup } from "../../workers/setup.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";

/** Vercel's limits, scaled down: a minute is this long, and this many reads of variables fit. */
const WINDOW_MS = 2_000;
const READS = 20;
/** A call is stamped on arrival, and a busy machine delivers late what was sent in time. */
const LATE_MS = 1_000;

let created: TestDatabase;
let vendor: Vendor<VercelState>;
let databases: Database[] = [];
const stop = new AbortController();

afterEach(async () => {
  await Promise.all(databases.map((database) => database.close()));
  databases = [];
  await vendor.close();
  await created.drop();
});

const real: DestinationAdapter = vercel;
const scaled: DestinationAdapter = {
  ...real,
  limits: (block, identify) => {
    const account = real.limits?.(block, identify);
    if (account === undefined) throw new Error("vercel has limits");
    const limits = account.limits.map((limit) => ({ ...limit, calls: READS, perMs: WINDOW_MS }));
    return { ...account, limits };
  },
};

/** What one of several processes has in hand. */
async function startProcess(): Promise<Runtime> {
  const database = openDatabase({ url: created.url, max: 4 });
  databases.push(database);
  const ready = await setup({
    database,
    masterKey: new Uint8Array(32).fill(7),
    sources: new Map(),
    destinations: new Map([["vercel", scaled]]),
    resolve: () => new Secret(VERCEL_DEFAULTS.token),
    settings: DEFAULT_SETTINGS,
    log: createLogger({ level: "silent", destination: { write: () => undefined } }),
  });
  return { ...ready, kick: () => undefined };
}

async function start(processes: number): Promise<Runtime[]> {
  created = await createDatabase({ migrated: true });
  vendor = await startVercel();
  vendor.state.rules.rateLimits = {
    // As much shorter as the log is looked at below: what it is sent in time may arrive late.
    windowMs: WINDOW_MS - LATE_MS,
    read: READS,
    create: READS,
    update: READS,
    delete: READS,
    batchDelete: READS,
  };
  const first = await startProcess();
  return [first, ...(await Promise.all(Array.from({ length: processes - 1 }, startProcess)))];
}

/** One call: the list of a project's variables. Every time as a piece of work of its own. */
async function look(runtime: Runtime): Promise<string> {
  const block = {
    project: VERCEL_DEFAULTS.projectName,
    team: VERCEL_DEFAULTS.teamSlug,
    token: { ref: "env:VERCEL_TOKEN" },
    api: vendor.url,
    privateNetwork: true,
  };
  const target = vercel.parseTarget(block, { environment: "preview" });
  const destination = openDestination(runtime, { kind: "vercel", block }, stop.signal);
  return await destination.observe([target], { contents: true }).then(
    () => "seen",
    (error: { code: string }) => error.code,
  );
}

describe("a vendor that counts", () => {
  test("is called by five processes together as often as it allows, and no oftener", async () => {
    const processes = await start(5);
    const from = performance.now();
    const outcomes = await Promise.all(
      processes.flatMap((one) => Array.from({ length: 12 }, () => look(one))),
    );
    const tookMs = performance.now() - from;
    expect(new Set(outcomes)).toEqual(new Set(["seen"]));
    expect(vendor.log.map(({ status }) => status)).toEqual(new Array(60).fill(200));
    // Sixty calls are three full windows: the last begins when two have passed.
    expect(tookMs).toBeLessThan(2 * WINDOW_MS * 1.15 + 20_000);
    const at = vendor.log.map((call) => call.at);
    for (const start of at) {
      const together = at.filter((each) => each >= start && each < start + WINDOW_MS - LATE_MS);
      expect(together.length).toBeLessThanOrEqual(READS);
    }
  });

  test("refuses one call, whoever makes it, and hears from nobody until it said", async () => {
    const processes = await start(4);
    vendor.addFault({ kind: "status", status: 429, retryAfter: "2", times: 1 });
    const [first] = processes;
    expect(first && (await look(first))).toBe("rate_limited");
    expect(await Promise.all(processes.map(look))).toEqual(new Array(4).fill("seen"));
    const [refused, ...others] = vendor.log;
    expect(refused?.status).toBe(429);
    for (const call of others) expect(call.at - (refused?.at ?? 0)).toBeGreaterThanOrEqual(2_000 - LATE_MS);
  });

  test("is left alone when it asks for long, and the work is told when to come back", async () => {
    const processes = await start(3);
    vendor.addFault({ kind: "status", status: 429, retryAfter: "600", times: 1 });
    const [first] = processes;
    expect(first && (await look(first))).toBe("rate_limited");
    expect(await Promise.all(processes.map(look))).toEqual(new Array(3).fill("rate_limited"));
    expect(vendor.log).toHaveLength(1);
  });

  test("is not called by a process that cannot ask the others", async () => {
    const [one] = await start(1);
    await databases.pop()?.close();
    expect(one && (await look(one))).toBe("unavailable");
    expect(vendor.log).toHaveLength(0);
  });
});
