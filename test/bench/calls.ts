/**
 * How many calls a vendor gets from us, through the whole product, beside the least that its API allows: for the
 * life of a bundle of four variables, and for a sweep of fifty targets. Left out of the count is what is asked
 * once and then remembered (whose account it is, public keys, logins, the version of a mount).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { inArray, sql } from "drizzle-orm";
import { bindings } from "../../infra/demo/story.ts";
import { startWorld, type World } from "../../infra/demo/world.ts";
import { createLogger } from "../../services/log.ts";
import { destination } from "../../services/store/destination.ts";
import { ensurePlaces, place } from "../../services/store/place.ts";
import type { Result } from "./result.ts";

const DESTINATIONS = ["web", "ci", "runtime", "vault"] as const;
type Name = (typeof DESTINATIONS)[number];

/** Variables of the bundle; all of them hold the password. */
const N = 4;
const TARGETS = 50;
const PATIENCE_MS = 60_000;

interface Vendor {
  readonly name: string;
  readonly log: World["sandbox"]["vercel"]["log"];
  /** Asked once for many pushes. */
  readonly remembered: RegExp;
  /** At most so many calls: for a first push, a changed one, one that changes nothing, and for taking away. */
  readonly bars: {
    readonly first: number;
    readonly changed: number;
    readonly unchanged: number;
    readonly gone: number;
  };
  /** Sweep of fifty targets; null: no bar. */
  readonly sweep: number | null;
}

const vendorsOf = ({ vercel, github, aws, vault }: World["sandbox"]): Record<Name, Vendor> => ({
  web: {
    name: "vercel",
    log: vercel.log,
    remembered: /^GET \/v(9\/projects|2\/teams|2\/user)/,
    bars: { first: 2, changed: 2, unchanged: 1, gone: 2 },
    sweep: 1,
  },
  ci: {
    name: "github",
    log: github.log,
    remembered: /public-key$/,
    bars: { first: 2 + N, changed: 2 + N, unchanged: 1, gone: 1 + N },
    sweep: 1,
  },
  runtime: {
    name: "aws",
    log: aws.log,
    remembered: /^STS$/,
    bars: { first: 2, changed: 3, unchanged: 1, gone: 2 },
    sweep: null,
  },
  vault: {
    name: "vault",
    log: vault.log,
    remembered: /^\w+ \/v1\/(auth|sys)\//,
    bars: { first: 3, changed: 2, unchanged: 1, gone: 2 },
    sweep: TARGETS,
  },
});

/** The demo's accounts, with rules of our own. */
function rewritten(demo: string): string {
  const accounts = demo.slice(0, demo.indexOf("\nx-preview:"));
  const rule = (destination: Name, branches: string, target: object, variables: object) => ({
    source: "shop",
    branches: [branches],
    role: "shop_app",
    database: "shop",
    onBranchDelete: "delete",
    destination,
    target,
    variables,
    ...(destination === "runtime" || destination === "vault" ? { exposure: "preview" } : {}),
  });
  const four = {
    DATABASE_URL: "pooled",
    DATABASE_URL_UNPOOLED: "direct",
    DATABASE_URL_JDBC: "direct.jdbc",
    PGPASSWORD: "password",
  };
  const of = (prefix: string) => `\${branch.name|after:${prefix}/}`;
  const one = { WARM_URL: "pooled" };
  const rules = {
    "warm-web": rule("web", "warm", { environment: "preview" }, one),
    "warm-ci": rule("ci", "warm", {}, one),
    "warm-runtime": rule("runtime", "warm", { secretId: "warm" }, one),
    "warm-vault": rule("vault", "warm", { path: "warm" }, one),
    "life-web": rule("web", "life/**", { environment: "preview", gitBranch: of("life") }, four),
    "life-ci": rule("ci", "life/**", {}, four),
    "life-runtime": rule("runtime", "life/**", { secretId: `life/${of("life")}` }, four),
    "life-vault": rule("vault", "life/**", { path: `life/${of("life")}` }, four),
  };
  return `${accounts}\nrules: ${JSON.stringify(rules)}\n`;
}

export async function run(): Promise<Result[]> {
  const folder = mkdtempSync(join(tmpdir(), "branchline-bench-"));
  const log = createLogger({ level: "silent" });
  const world = await startWorld({ log, folder, port: 0, computes: false, rewrite: rewritten });
  try {
    await warm(world);
    return [...(await life(world)), ...(await sweep(world))];
  } finally {
    await world.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Another branch comes first, so that whose accounts these are is known. */
async function warm(world: World): Promise<void> {
  world.sandbox.neon.state.createBranch({ name: "warm" });
  await until(world, "the first branch", async () => {
    const mine = (await bindings(world)).filter((one) => one.branch.name === "warm");
    return mine.length === DESTINATIONS.length && mine.every((one) => one.state === "synced");
  });
}

// ---------------------------------------------------------------- the life of one bundle

async function life(world: World): Promise<Result[]> {
  const { neon, vercel } = world.sandbox;
  const vendors = vendorsOf(world.sandbox);
  vercel.state.addBranch("shop-web", "one");
  const play = async (phase: keyof Vendor["bars"], state: string, act: () => unknown): Promise<Result[]> => {
    const from = lengths(vendors);
    const before = await generations(world, "life/one");
    await act();
    await until(world, `${phase} of the bundle`, async () => {
      const mine = (await bindings(world)).filter((one) => one.branch.name === "life/one");
      return (
        mine.length === DESTINATIONS.length &&
        mine.every((one) => one.state === state && one.applied > (before.get(one.id) ?? 0))
      );
    });
    return DESTINATIONS.map((name) => result(vendors[name], from[name], phase, vendors[name].bars[phase]));
  };
  return [
    ...(await play("first", "synced", () => neon.state.createBranch({ name: "life/one" }))),
    ...(await play("changed", "synced", () => rotate(world, "life/one"))),
    ...(await play("unchanged", "synced", () => pushByHand(world, "life/one"))),
    ...(await play("gone", "removed", () => removeBranch(world, "life/one"))),
  ];
}

const generations = async (world: World, branch: string): Promise<Map<string, number>> =>
  new Map(
    (await bindings(world)).filter((one) => one.branch.name === branch).map((one) => [one.id, one.applied]),
  );

async function rotate({ sandbox }: World, branch: string): Promise<void> {
  const { id } = sandbox.neon.state.branch(branch);
  await askNeon(sandbox, "POST", `/branches/${id}/roles/shop_app/reset_password`);
}

async function removeBranch({ sandbox }: World, branch: string): Promise<void> {
  await askNeon(sandbox, "DELETE", `/branches/${sandbox.neon.state.branch(branch).id}`);
}

async function askNeon({ neon, credentials }: World["sandbox"], method: string, path: string): Promise<void> {
  const response = await fetch(`${neon.url}/api/v2/projects/${credentials.neon.project}${path}`, {
    method,
    headers: { authorization: `Bearer ${credentials.neon.apiKey}` },
  });
  if (!response.ok) throw new Error(`the stand-in for Neon answered ${response.status}`);
}

async function pushByHand(world: World, branch: string): Promise<void> {
  for (const { id, branch: of } of await bindings(world)) {
    if (of.name !== branch) continue;
    const response = await fetch(`${world.apiUrl}/v1/bindings/${id}/push`, {
      method: "POST",
      headers: { authorization: `Bearer ${world.adminToken}` },
    });
    if (!response.ok) throw new Error(`a push by hand was answered ${response.status}`);
  }
}

// ---------------------------------------------------------------- a sweep of many targets

/** Where the nth of many targets lies, in each destination's own terms. At GitHub all names of a repository are one. */
const nth: Record<Name, (n: number) => object> = {
  web: (n) => ({ environment: "preview", gitBranch: `many-${n}` }),
  ci: () => ({}),
  runtime: (n) => ({ secretId: `many/${n}` }),
  vault: (n) => ({ path: `many/${n}` }),
};

/** The places alone, without branches behind them: a sweep asks the vendor all the same. */
async function sweep(world: World): Promise<Result[]> {
  const { vercel, github } = world.sandbox;
  const vendors = vendorsOf(world.sandbox);
  for (let n = 0; n < TARGETS; n += 1) {
    vercel.state.seed("shop-web", { key: "URL", value: "x", target: ["preview"], gitBranch: `many-${n}` });
    const now = github.state.now();
    const record = {
      value: "x",
      createdAt: now,
      updatedAt: now,
      visibility: "all" as const,
      selected: new Set<number>(),
    };
    github.state.level("acme/shop").secrets.set(`URL_${n}`, { name: `URL_${n}`, ...record });
  }
  const { runtime } = world.service;
  const { db } = runtime.database;
  const rows = await db
    .select()
    .from(destination)
    .where(inArray(destination.name, [...DESTINATIONS]));
  const ids: string[] = [];
  for (const { id, name, kind, block } of rows) {
    const adapter = runtime.destinations.get(kind);
    if (adapter === undefined) throw new Error(`no adapter for ${kind}`);
    const places = Array.from({ length: TARGETS }, (_, n) => {
      const target = adapter.parseTarget(block, nth[name as Name](n));
      return { destinationId: id, key: adapter.place(target), container: adapter.container(target), target };
    });
    ids.push(...(await ensurePlaces(db, places, 3_600_000)).filter((one) => one !== undefined));
  }
  const from = lengths(vendors);
  await db.update(place).set({ sweepAt: sql`now()` }).where(inArray(place.id, ids));
  runtime.kick();
  await quiet(vendors, from);
  return DESTINATIONS.map((name) =>
    result(vendors[name], from[name], `sweep of ${TARGETS}`, vendors[name].sweep),
  );
}

/** Every vendor was asked, and nobody asks any more. */
async function quiet(vendors: Record<Name, Vendor>, from: Record<Name, number>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  let seen = "";
  for (;;) {
    await pause(750);
    const now = JSON.stringify(lengths(vendors));
    const all = DESTINATIONS.every((name) => vendors[name].log.length > from[name]);
    if (all && now === seen) return;
    if (performance.now() > end) throw new Error("the sweep did not come to an end");
    seen = now;
  }
}

// ---------------------------------------------------------------- counting

const lengths = (vendors: Record<Name, Vendor>): Record<Name, number> => {
  const entries = DESTINATIONS.map((name) => [name, vendors[name].log.length]);
  return Object.fromEntries(entries) as Record<Name, number>;
};

function result(vendor: Vendor, from: number, phase: string, bar: number | null): Result {
  const lines = vendor.log
    .slice(from)
    .map(({ operation, method, path }) => (vendor.name === "aws" ? operation : `${method} ${path}`));
  const counted = lines.filter((line) => !vendor.remembered.test(line));
  const remembered = lines.filter((line) => vendor.remembered.test(line));
  return {
    name: `calls.${vendor.name}.${phase}`,
    value: counted.length,
    unit: "calls",
    bar,
    ok: bar === null || counted.length <= bar,
    detail: { calls: tally(counted), remembered: tally(remembered) },
  };
}

function tally(lines: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of lines) {
    const call = line.replace(/\b(many|life)\/\w+/g, "$1/...").replace(/(secrets)\/\w+$/, "$1/...");
    counts[call] = (counts[call] ?? 0) + 1;
  }
  return counts;
}

async function until(world: World, what: string, probe: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await probe())) {
    if (performance.now() < end) await pause(20);
    else {
      const states = (await bindings(world)).map(
        (one) => `${one.rule} ${one.branch.name} ${one.state} ${one.cause}`,
      );
      throw new Error(`waited in vain for ${what}:\n${states.slice(0, 20).join("\n")}`);
    }
  }
}
