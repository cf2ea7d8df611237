/** A running Branchline: API, workers, or both, on one database. `serve` and `demo` are made of it. */
import { startDispatching, startWorking } from "../../workers/main.ts";
import { DEFAULT_SETTINGS, openSource, type Runtime, type Settings } from "../../workers/runtime.ts";
import { setup } from "../../workers/setup.ts";
import type { ApiDeps } from "../api/app.ts";
import { adminTokenOnly } from "../api/auth.ts";
import { serveListeners } from "../api/listeners.ts";
import { createReveal } from "../api/reveal.ts";
import { createIngest, probes, readers } from "../api/store.ts";
import { createTell } from "../api/tell.ts";
import { type EnvironmentVariables, resolveReference } from "../config.ts";
import { destinations } from "../destinations/index.ts";
import type { Configuration } from "../file/configuration.ts";
import { closeConnections } from "../http.ts";
import { type Logger, seldom } from "../log.ts";
import { sourceAdapters } from "../sources/index.ts";
import { configure } from "../store/configure.ts";
import { openDatabase } from "../store/db.ts";
import { migrate } from "../store/migrate.ts";
import type { CredentialRef, DestinationAdapter } from "../sync/ports.ts";
import type { Secret } from "../sync/secret.ts";

export interface ServiceOptions {
  /** Direct: workers listen on it. */
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
  readonly masterKey: Uint8Array;
  readonly adminToken: Secret | null;
  /** Null: what was configured before stays. */
  readonly configuration: Configuration | null;
  /** Where `env:` references are looked up. Default: the process's own environment. */
  readonly environment?: EnvironmentVariables;
  readonly roles: { readonly api: boolean; readonly worker: boolean };
  readonly host: string;
  readonly port: number;
  readonly webhookPort: number | null;
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

/** A worker process wants one connection per kind of job to listen on, and some to work with. */
const CONNECTIONS = 20;

/** Migrates, takes in the configuration, and starts. Whatever fails on the way leaves nothing running. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { databaseUrl, log, configuration, roles } = options;
  await migrate(databaseUrl);
  const database = openDatabase({
    url: databaseUrl,
    max: CONNECTIONS,
    onError: seldom((_, leftOut) => log.warn({ leftOut }, "a database connection was lost")),
  });
  const closing: (() => Promise<void>)[] = [() => database.close()];
  const stop = async (): Promise<void> => {
    for (const close of closing.splice(0).reverse())
      await close().catch((err: unknown) => log.warn({ err }, "stopping"));
  };
  try {
    const prepared = await setup({
      database,
      masterKey: options.masterKey,
      sources: new Map(sourceAdapters.map((adapter) => [adapter.kind, adapter])),
      destinations,
      resolve: (ref) => resolveReference(ref, options.environment),
      settings: { ...DEFAULT_SETTINGS, ...settingsOf(configuration), ...options.settings },
      log,
    });
    if (configuration !== null) await configure(database.db, declared(configuration, prepared));
    const queue = options.redisUrl === null ? { postgres: database.pool } : { redisUrl: options.redisUrl };
    const dispatching = startDispatching(prepared, queue);
    closing.push(() => dispatching.stop());
    await dispatching.ready();
    const runtime: Runtime = { ...prepared, kick: dispatching.kick };
    if (roles.worker) {
      const working = startWorking(runtime, queue);
      closing.push(
        () => closeConnections(),
        () => working.stop(),
      );
      await working.ready();
    }
    const { host, port, webhookPort } = options;
    const api = roles.api
      ? await serveListeners({ deps: apiDeps(options, runtime), host, port, webhookPort })
      : null;
    if (api !== null) closing.push(() => api.close());
    return { apiUrl: api?.url ?? null, webhookUrl: api?.webhookUrl ?? null, runtime, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function apiDeps({ adminToken, configuration, environment, log }: ServiceOptions, runtime: Runtime): ApiDeps {
  const { github, neon } = configuration?.webhooks ?? {};
  const repositories = new Map(
    Object.entries(github?.repositories ?? {}).map(([name, sources]) => [name.toLowerCase(), sources]),
  );
  return {
    log,
    metrics: runtime.metrics,
    authenticate: adminTokenOnly(adminToken),
    probes: probes(runtime.database),
    ...readers(runtime.database),
    reveal: createReveal({
      db: runtime.database.db,
      open: (row, signal) => openSource(runtime, row, signal),
    }),
    tell: createTell({
      db: runtime.database.db,
      traits: (kind) => runtime.destinations.get(kind)?.traits,
      kick: runtime.kick,
    }),
    webhooks: {
      ingest: createIngest({
        database: runtime.database,
        kick: runtime.kick,
        sourcesOf: (repository) => repositories.get(repository.toLowerCase()) ?? [],
      }),
      secrets: {
        github: () => (github?.secrets ?? []).map((ref) => resolveReference(ref, environment)),
        neon: () => (neon?.secrets ?? []).map((ref) => resolveReference(ref, environment)),
      },
    },
  };
}

const settingsOf = (configuration: Configuration | null): Partial<Settings> => ({
  ...(configuration?.watch === undefined ? {} : { watchEveryMs: configuration.watch.intervalMs }),
  ...(configuration?.sweep === undefined ? {} : { sweepEveryMs: configuration.sweep.everyMs }),
});

/** The file in the store's terms. */
function declared(
  { sources, destinations: blocks, rules }: Configuration,
  { fingerprint, resolve }: Pick<Runtime, "fingerprint" | "resolve">,
): Parameters<typeof configure>[1] {
  return {
    sources: sources.map((one) => ({ ...one, identity: identityOf(one) })),
    destinations: blocks.map((one) => {
      const adapter = destinations.get(one.kind);
      const identify = (ref: CredentialRef) => fingerprint("credential", resolve(ref));
      return {
        ...one,
        account: adapter?.limits?.(one.block, identify).account ?? null,
        inFlight: inFlightOf(one.block, adapter),
      };
    }),
    rules,
  };
}

function identityOf({ kind, block }: Configuration["sources"][number]): string {
  const adapter = sourceAdapters.find((one) => one.kind === kind);
  return adapter === undefined ? kind : adapter.identity(block);
}

/** What the block says, if its kind lets it say something, else what the vendor is known to take. */
function inFlightOf(block: unknown, adapter: DestinationAdapter | undefined): number {
  const said = (block as { maxInFlight?: number }).maxInFlight;
  return said ?? adapter?.traits.inFlight ?? 1;
}
