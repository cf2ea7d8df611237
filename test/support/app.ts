/** A whole Branchline in this process: workers and queue on a real database, memory or sandbox vendors. */

import { createMemoryDestination, type MemoryOptions } from "../../services/destinations/memory.ts";
import { type MemoryStore, memoryStore } from "../../services/destinations/memory-store.ts";
import { createLogger } from "../../services/log.ts";
import { type MemoryProject, memorySource } from "../../services/sources/memory.ts";
import { neonBlock, neonSource } from "../../services/sources/neon.ts";
import { configure } from "../../services/store/configure.ts";
import { type Database, openDatabase } from "../../services/store/db.ts";
import { type BindingItem, listBindings } from "../../services/store/views.ts";
import { DEFAULT_CONNECTION, type Rule } from "../../services/sync/model.ts";
import type { DestinationAdapter, SourceAdapter } from "../../services/sync/ports.ts";
import { Secret } from "../../services/sync/secret.ts";
import { startDispatching, startWorking } from "../../workers/main.ts";
import type { OnStep } from "../../workers/push.ts";
import { DEFAULT_SETTINGS, type Runtime, type Settings } from "../../workers/runtime.ts";
import { setup } from "../../workers/setup.ts";
import { CONNECT_MS, createDatabase } from "./postgres.ts";
import { until } from "./until.ts";

export interface TestAppOptions {
  readonly projects: readonly MemoryProject[];
  /** A stand-in of Neon as the source "shop", instead of a project in memory. */
  readonly neon?: { readonly url: string; readonly apiKey: string; readonly project: string };
  /** Destination names, each a store of its own, with the class of vendor that it plays. */
  readonly destinations: Readonly<Record<string, MemoryOptions>>;
  readonly rules: readonly Rule[];
  readonly settings?: Partial<Settings>;
  readonly onStep?: OnStep;
  /** The queue in Redis; default: in PostgreSQL. */
  readonly redisUrl?: string;
}

export interface TestApp {
  readonly database: Database;
  readonly databaseUrl: string;
  readonly runtime: Runtime;
  /** Lines of the log so far. */
  readonly log: readonly string[];
  store(destination: string): MemoryStore;
  configure(rules: readonly Rule[]): Promise<void>;
  bindings(): Promise<readonly BindingItem[]>;
  /** Waits until every binding of the branch (that is not removed) is in one of these states. */
  settled(branch: string, states?: readonly string[]): Promise<readonly BindingItem[]>;
  stop(): Promise<void>;
}

/** Quick enough for tests, and in the same proportions as the defaults. */
const QUICK: Settings = {
  ...DEFAULT_SETTINGS,
  watchEveryMs: 100,
  sweepEveryMs: 60_000,
  leaseMs: 30_000,
  settleMs: 300,
};

export function ruleOf(rule: Partial<Rule> & Pick<Rule, "name">): Rule {
  return {
    source: "shop",
    destination: "memory",
    branches: { include: ["preview/**"] },
    roles: { default: "app_owner" },
    database: "app",
    target: { environment: "preview", group: "${branch.name|after:preview/}" },
    variables: { DATABASE_URL: "pooled", DATABASE_URL_UNPOOLED: "direct" },
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
    ...rule,
  };
}

let apps = 0;

export async function startApp(options: TestAppOptions): Promise<TestApp> {
  const n = ++apps;
  const created = await createDatabase({ migrated: true });
  const lines: string[] = [];
  const log = createLogger({ level: "debug", destination: { write: (line) => void lines.push(line) } });
  const database = openDatabase({ url: created.url, connectMs: CONNECT_MS });
  const names = Object.keys(options.destinations);
  const storeName = (name: string) => `${name}-${n}-${process.pid}`;
  const adapters = new Map<string, DestinationAdapter>(
    names.map((name) => [name, { ...createMemoryDestination(options.destinations[name]), kind: name }]),
  );
  const setUp = await setup({
    database,
    masterKey: new Uint8Array(32).fill(7),
    sources: new Map<string, SourceAdapter>([
      ["memory", memorySource(options.projects)],
      ["neon", neonSource],
    ]),
    destinations: adapters,
    resolve: () => new Secret(options.neon?.apiKey ?? "unused"),
    settings: { ...QUICK, ...options.settings },
    log,
  });
  const { redisUrl } = options;
  const queue = redisUrl === undefined ? { postgres: database.pool } : { redisUrl };
  const dispatching = startDispatching(setUp, queue);
  const runtime: Runtime = { ...setUp, kick: dispatching.kick };
  const working = startWorking(runtime, queue, dispatching, options.onStep);
  const declare = async (rules: readonly Rule[]): Promise<void> => {
    await configure(database.db, {
      sources: [...neonSources(options), ...memorySources(options)],
      destinations: names.map((name) => ({
        name,
        kind: name,
        block: { store: storeName(name) },
        account: null,
        inFlight: 4,
      })),
      rules,
    });
    dispatching.kick();
  };
  await declare(options.rules);
  const bindings = async () =>
    (await listBindings(database.db, { limit: 1_000, after: null, filter: {} }))?.items ?? [];
  return {
    database,
    databaseUrl: created.url,
    runtime,
    log: lines,
    store: (name) => memoryStore(storeName(name)),
    configure: declare,
    bindings,
    settled: async (branch, states = ["synced"]) =>
      await until(
        async () => {
          const mine = (await bindings()).filter((b) => b.branch.name === branch);
          return mine.length > 0 && mine.every((b) => states.includes(b.state)) ? mine : null;
        },
        { what: `${branch} to be ${states.join(" or ")}` },
      ),
    stop: async () => {
      await working.stop();
      await dispatching.stop();
      await database.close();
      await created.drop();
    },
  };
}

function neonSources({ neon }: TestAppOptions) {
  if (neon === undefined) return [];
  const { url, project } = neon;
  const block = neonBlock.parse({
    project,
    apiKey: "env:NEON_API_KEY",
    api: `${url}/api/v2`,
    privateNetwork: true,
  });
  return [{ name: "shop", kind: "neon", identity: neonSource.identity(block), block }];
}

function memorySources({ projects }: TestAppOptions) {
  return projects.map(({ id }, i) => ({
    name: i === 0 ? "shop" : `shop${i + 1}`,
    kind: "memory",
    identity: id,
    block: { project: id },
  }));
}
