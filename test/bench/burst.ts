/**
 * Hundreds of branches at once, to four destinations each, while the vendors enforce what they publish in windows of
 * a quarter of their length. The time that the limits allow is what the calls that were made need at the least.
 */
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { agreeing, expected, holdings } from "../../infra/demo/vendors.ts";
import type { LoggedRequest } from "../../infra/sandbox/desk.ts";
import type { Sandbox } from "../../infra/sandbox/index.ts";
import { VERCEL_RATE_LIMITS } from "../../infra/sandbox/vercel.ts";
import { destinations } from "../../services/destinations/index.ts";
import { sourceAdapters } from "../../services/sources/index.ts";
import type { AccountLimits } from "../../services/sync/limits.ts";
import { BRANCH_PREFIX, deliver } from "./hooks.ts";
import { type Result, rounded, type Scale } from "./result.ts";
import { openStage, type Stage } from "./stage.ts";

const BRANCHES = 500;
/** What vendors count in a minute they count in a quarter of one. */
const WINDOW_TIMES = 1 / 4;
const LOOK_MS = 250;
const PATIENCE_MS = 600_000;

export async function run({ scale }: Scale): Promise<Result[]> {
  const branches = Math.max(2, Math.round(BRANCHES * scale));
  const minute = 60_000 * WINDOW_TIMES;
  const stage = await openStage({
    sandbox: {
      vercel: { rules: { rateLimits: { ...VERCEL_RATE_LIMITS, windowMs: minute } } },
      github: {
        rules: {
          primary: { limit: 5_000, windowMs: 60 * minute },
          secondary: { points: 900, windowMs: minute },
        },
      },
    },
  });
  try {
    const { sandbox } = stage;
    // The stand-in counts whole minutes and seconds: as many more fit in.
    sandbox.neon.state.limiter.set({ perMinute: 700 / WINDOW_TIMES, perSecondPerRoute: 40 / WINDOW_TIMES });
    const member = await stage.serveWith({ windowTimes: WINDOW_TIMES });
    const names = Array.from({ length: branches }, (_, n) => `burst-${n}`);
    for (const name of names) {
      sandbox.vercel.state.addBranch("shop-web", name);
      sandbox.neon.state.createBranch({ name: `${BRANCH_PREFIX}${name}` });
    }
    const started = performance.now();
    await Promise.all(names.map((name) => deliver(sandbox, member.apiUrl, "create", name)));
    await allArrived(sandbox, names);
    const tookMs = performance.now() - started;
    return results(stage, await limitsOf(stage), branches, tookMs);
  } finally {
    await stage.close();
  }
}

async function allArrived(sandbox: Sandbox, names: readonly string[]): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  let missing = [...names];
  while (missing.length > 0) {
    missing = missing.filter(
      (name) => agreeing(holdings(sandbox, name), expected(sandbox, `${BRANCH_PREFIX}${name}`)).length < 4,
    );
    if (performance.now() > end) throw new Error(`${missing.length} branches did not arrive everywhere`);
    await pause(LOOK_MS);
  }
}

/** Of each account, as its own adapter declares it. */
async function limitsOf({ postgres }: Stage): Promise<AccountLimits[]> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  try {
    const { rows } = await client.query<{ kind: string; block: unknown }>(
      "select kind, block from branchline.source union all select kind, block from branchline.destination",
    );
    const adapters = new Map([...destinations.values(), ...sourceAdapters].map((one) => [one.kind, one]));
    return rows.flatMap(({ kind, block }) => adapters.get(kind)?.limits?.(block, () => "bench") ?? []);
  } finally {
    await client.end();
  }
}

function results(
  { sandbox }: Stage,
  limits: readonly AccountLimits[],
  branches: number,
  tookMs: number,
): Result[] {
  const { neon, vercel, github, aws, vault } = sandbox;
  const vendors = [neon, vercel, github, aws, vault];
  const allowed = limits.flatMap((account) =>
    vendors
      .filter(({ name }) => account.account.startsWith(`${name} `))
      .map(({ log }) => allowedBy(account, log)),
  );
  const longest = allowed.toSorted((a, b) => b.ms - a.ms)[0];
  const ratio = longest === undefined || longest.ms === 0 ? 0 : rounded(tookMs / longest.ms);
  const refused = vendors.map(({ name, log }) => ({
    name,
    refused: log.filter(isRefused).length,
    calls: log.length,
  }));
  const most = Math.max(...refused.map((one) => one.refused));
  return [
    {
      name: "burst.time",
      value: ratio,
      unit: "times what the limits allow",
      bar: 1.15,
      ok: ratio <= 1.15,
      detail: { branches, tookMs: rounded(tookMs, 0), by: longest?.limit, allowedMs: longest?.ms },
    },
    {
      name: "burst.refused",
      value: most,
      unit: "refusals for being too fast, of the account with most",
      bar: 1,
      ok: most <= 1,
      detail: refused,
    },
  ];
}

/** GitHub says it with 403, and has no other reason here. */
const isRefused = ({ status }: LoggedRequest): boolean => status === 429 || status === 403;

/** Full windows that have to pass before the last of these calls may be made. */
function allowedBy(
  { account, limits }: AccountLimits,
  log: readonly LoggedRequest[],
): { limit: string; ms: number } {
  const all = limits.map(({ name, calls, perMs, cost }) => {
    const total = log.reduce(
      (sum, line) => sum + cost({ method: line.method, operation: documented(line) }),
      0,
    );
    const windows = Math.max(0, Math.ceil(total / calls) - 1);
    return { limit: `${account.split(" ")[0]} ${name}`, ms: windows * perMs * WINDOW_TIMES };
  });
  return all.toSorted((a, b) => b.ms - a.ms)[0] ?? { limit: "none", ms: 0 };
}

/** A route as vendors' documents write it. */
const documented = ({ operation }: LoggedRequest): string => operation.replace(/:(\w+)/g, "{$1}");
