/** A running Branchline: API, workers, or both, on one database. `serve` and `demo` are made of it. */
import { startDispatching, startWorking } from "../../workers/main.ts";
import { openSource, type Runtime, type Settings } from "../../workers/runtime.ts";
import { setup } from "../../workers/setup.ts";
import type { ApiDeps } from "../api/app.ts";
import { depsFromStore } from "../api/from-store.ts";
import { serveListeners } from "../api/listeners.ts";
import { createIngest } from "../api/store.ts";
import { type EnvironmentVariables, resolveReference } from "../config.ts";
import { destinations } from "../destinations/index.ts";
import type { Configuration, Webhooks } from "../file/configuration.ts";
import { closeConnections } from "../http.ts";
import { type Logger, seldom } from "../log.ts";
import { sourceAdapters } from "../sources/index.ts";
import { judgeSkew, measureSkew } from "../store/clock.ts";
import { configurationVersion } from "../store/configuration.ts";
import { type Database, openDatabase } from "../store/db.ts";
import { migrate } from "../store/migrate.ts";
import { Keyring } from "../sync/keyring.ts";
import type { Secret } from "../sync/secret.ts";
import { storedBlocks, storedSettings, takeIn } from "./declared.ts";
import { createDocuments } from "./documents.ts";
import { type Current, type Following, follow, intervalsIn, noteFile } from "./follow.ts";
import { checkQueue } from "./queue.ts";
import { sealedOr } from "./sealed.ts";
import { StoredCredentials } from "./stored.ts";

export interface ServiceOptions {
  /** Direct: workers listen on it. */
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
  /** One key, or several while one replaces the other. */
  readonly masterKey: Uint8Array | Keyring;
  readonly adminToken: Secret | null;
  /** Null: what was configured before stays. */
  readonly configuration: Configuration | null;
  /** The name of the file that it was read from; default: branchline.yaml. */
  readonly file?: string;
  /** Patterns of references that a document may name that somebody sends; default: none. */
  readonly allowedReferences?: readonly string[];
  /** Where `env:` references are looked up. Default: the process's own environment. */
  readonly environment?: EnvironmentVariables;
  readonly roles: { readonly api: boolean; readonly worker: boolean };
  readonly host: string;
  readonly port: number;
  readonly webhookPort: number | null;
  /** How long a start waits for the queue's own server to say what it is; default: 2 s. */
  readonly queuePatienceMs?: number;
  readonly settings?: Partial<Settings>;
  readonly log: Logger;
}

export interface Service {
  /** Null for a worker alone. */
  readonly apiUrl: string | null;
  readonly webhookUrl: string | null;
  readonly runtime: Runtime;
  /** Takes nothing new, lets what runs finish, hands over the rest. Within 20 seconds. */
  stop(): Promise<void>;
}

const CONNECTIONS = 16;
/** The queue wants one per kind of job to listen on, and some to work with. */
const QUEUE_CONNECTIONS = 8;

/**
 * Migrates, takes in the configuration, and starts. Whatever fails on the way leaves nothing running. Throws `unsafe` if
 * this machine's clock is minutes away from the database's, or the queue's server is too old.
 */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { databaseUrl, log, configuration, roles } = options;
  await migrate(databaseUrl);
  const onError = seldom((_, leftOut) => log.warn({ leftOut }, "a database connection was lost"));
  const database = openDatabase({ url: databaseUrl, max: CONNECTIONS, onError });
  const closing: (() => Promise<void>)[] = [() => database.close()];
  /** May be lost whole, so nobody waits for it to be on disk. */
  const openQueue = (): { postgres: Database["pool"] } => {
    const queue = openDatabase({ url: databaseUrl, max: QUEUE_CONNECTIONS, durable: false, onError });
    closing.push(() => queue.close());
    return { postgres: queue.pool };
  };
  const stop = async (): Promise<void> => {
    for (const close of closing.splice(0).reverse())
      await close().catch((err: unknown) => log.warn({ err }, "stopping"));
  };
  try {
    await checkClock(database, log);
    const stopLooking = await checkQueue(options.redisUrl, log, options.queuePatienceMs);
    closing.push(async () => stopLooking());
    const keyring = Keyring.of(options.masterKey);
    const stored = new StoredCredentials(
      sealedOr(keyring, (ref) => resolveReference(ref, options.environment)),
      log,
    );
    await stored.refresh(configuration ?? (await storedBlocks(database.db)));
    const refreshing = stored.keep(async () => await storedBlocks(database.db));
    closing.push(async () => refreshing());
    const fixed = options.settings ?? {};
    const intervals = { ...intervalsIn(await storedSettings(database.db), fixed) };
    const prepared = await setup({
      database,
      masterKey: keyring,
      sources: new Map(sourceAdapters.map((adapter) => [adapter.kind, adapter])),
      destinations,
      resolve: stored.resolve,
      settings: intervals,
      log,
    });
    prepared.metrics.beforeScrape(async () =>
      prepared.metrics.clock((await measureSkew(database.db)).ms / 1_000),
    );
    const file = configuration === null ? null : (options.file ?? "branchline.yaml");
    await noteFile(database, file);
    const version = await configurationVersion(database.db);
    const current = await takeIn(prepared, configuration, file ?? undefined);
    Object.assign(intervals, intervalsIn(current.settings, fixed));
    const queue = options.redisUrl === null ? openQueue() : { redisUrl: options.redisUrl };
    const dispatching = startDispatching(prepared, queue);
    closing.push(() => dispatching.stop());
    await dispatching.ready();
    const runtime: Runtime = { ...prepared, kick: dispatching.kick };
    const { kick } = runtime;
    const following = follow({
      database,
      log,
      current,
      intervals,
      fixed,
      stored,
      keyring,
      version,
      file,
      kick,
    });
    closing.push(async () => following.stop());
    if (roles.worker) {
      const working = startWorking(runtime, queue, dispatching);
      closing.push(
        () => closeConnections(),
        () => working.stop(),
      );
      await working.ready();
    }
    const { host, port, webhookPort } = options;
    const deps = roles.api ? apiDeps(options, { runtime, current, stored, keyring, following }) : null;
    const api = deps === null ? null : await serveListeners({ deps, host, port, webhookPort });
    if (api !== null) closing.push(() => api.close());
    if (deps !== null) closing.push(async () => deps.stop());
    return { apiUrl: api?.url ?? null, webhookUrl: api?.webhookUrl ?? null, runtime, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Nothing of ours is timed by it, but certificates, signatures and whoever reads the log are. */
async function checkClock({ db }: Database, log: Logger): Promise<void> {
  const warning = judgeSkew(await measureSkew(db));
  if (warning !== null) log.warn({ clock: warning }, "the clock is off: set it, best by NTP");
}

interface Started {
  readonly runtime: Runtime;
  readonly current: Current;
  readonly stored: StoredCredentials;
  readonly keyring: Keyring;
  readonly following: Following;
}

function apiDeps(
  options: ServiceOptions,
  { runtime, current, stored, keyring, following }: Started,
): ApiDeps & { readonly stop: () => void } {
  const { adminToken, environment, log } = options;
  const { database, kick } = runtime;
  const sourcesOf = (repository: string) => sourcesIn(current.settings.webhooks, repository);
  const fromStore = depsFromStore({
    database,
    adminToken,
    sourcesOf,
    traits: (kind) => runtime.destinations.get(kind)?.traits,
    open: (row, signal) => openSource(runtime, row, signal),
    fingerprint: runtime.fingerprint,
    kick,
    onError: (err) => log.warn({ err }, "changes could not be followed"),
    trusted: () => current.settings.auth?.oidc ?? [],
  });
  const masterKey = { name: "master key", check: async () => following.keyProblem() };
  return {
    log,
    metrics: runtime.metrics,
    ...fromStore,
    probes: [...fromStore.probes, masterKey],
    ...createDocuments({
      runtime,
      masterKey: keyring,
      allowed: options.allowedReferences ?? [],
      ...(environment === undefined ? {} : { environment }),
      prepare: async (taken) => await stored.refresh(taken),
      onTaken: (settings) => {
        current.settings = settings;
      },
    }),
    webhooks: {
      ingest: createIngest({ database, kick, sourcesOf }),
      secrets: {
        github: () => (current.settings.webhooks.github?.secrets ?? []).map(runtime.resolve),
        neon: () => (current.settings.webhooks.neon?.secrets ?? []).map(runtime.resolve),
      },
    },
  };
}

/** GitHub's names are the same in any case. */
function sourcesIn({ github }: Webhooks, repository: string): readonly string[] {
  const entries = Object.entries(github?.repositories ?? {});
  return entries.find(([name]) => name.toLowerCase() === repository.toLowerCase())?.[1] ?? [];
}
