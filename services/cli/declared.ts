/** A configuration in the store's terms. */
import type { Runtime, Settings } from "../../workers/runtime.ts";
import { destinations } from "../destinations/index.ts";
import type { Configuration, Webhooks } from "../file/configuration.ts";
import { sourceAdapters } from "../sources/index.ts";
import { recordAudit } from "../store/audit.ts";
import { configurationRow } from "../store/configuration.ts";
import { configure, type Declared } from "../store/configure.ts";
import type { Db } from "../store/db.ts";
import { liveDestinations } from "../store/destination.ts";
import { liveSources } from "../store/source.ts";
import type { CredentialRef, DestinationAdapter } from "../sync/ports.ts";
import type { Blocks } from "./stored.ts";

/** What has no table of its own and is read when a process starts. */
export interface StoredSettings {
  readonly webhooks: Webhooks;
  readonly watch: Configuration["watch"] | null;
  readonly sweep: Configuration["sweep"] | null;
  /** Left out or null: nobody but holders of our own tokens may use the API. */
  readonly auth?: Configuration["auth"] | null;
}

export const settingsIn = ({ webhooks, watch, sweep, auth }: Configuration): StoredSettings => ({
  webhooks,
  watch: watch ?? null,
  sweep: sweep ?? null,
  auth: auth ?? null,
});

export const intervalsOf = ({
  watch,
  sweep,
}: Pick<StoredSettings, "watch" | "sweep"> | Configuration): Partial<Settings> => ({
  ...(watch == null ? {} : { watchEveryMs: watch.intervalMs }),
  ...(sweep == null ? {} : { sweepEveryMs: sweep.everyMs }),
});

/** As they were taken in last. */
export async function storedSettings(db: Db): Promise<StoredSettings> {
  const row = await configurationRow(db);
  // Nobody but `configure` writes this column, and nothing but what `settingsIn` gives.
  return (row?.settings as StoredSettings | undefined) ?? { webhooks: {}, watch: null, sweep: null };
}

/** All that names credentials, as it was taken in last. */
export async function storedBlocks(db: Db): Promise<Blocks> {
  return {
    sources: await liveSources(db),
    destinations: await liveDestinations(db),
    webhooks: (await storedSettings(db)).webhooks,
  };
}

/**
 * What the file says is taken in, unless something newer was before: then the process says so and goes on with
 * what is stored. Null: there is no file.
 */
export async function takeIn(
  runtime: Pick<Runtime, "database" | "fingerprint" | "resolve" | "log">,
  configuration: Configuration | null,
  file = "branchline.yaml",
): Promise<{ settings: StoredSettings }> {
  const { db } = runtime.database;
  if (configuration === null) return { settings: await storedSettings(db) };
  const settings = settingsIn(configuration);
  const revision = configuration.revision ?? null;
  const taken = await configure(db, declared(configuration, runtime), { revision, settings });
  // Nobody but the API is refused as moved or managed.
  if (taken.outcome !== "old") return { settings };
  const stored = taken.revision;
  const reason =
    "the file is older than what was applied last and is left aside; this process goes on with what is stored";
  runtime.log.warn({ stored, revision }, reason);
  await recordAudit(db, {
    actor: `the file ${file}`,
    action: "document.refuse",
    object: "configuration",
    requestId: null,
    sourceAddress: null,
    details: { code: "old_revision", reason, revision, stored },
  });
  return { settings: await storedSettings(db) };
}

/** Whose limits apply is found out by the credentials, which are resolved for it. Throws as `resolve`. */
export function declared(
  configuration: Configuration,
  { fingerprint, resolve }: Pick<Runtime, "fingerprint" | "resolve">,
): Declared {
  return {
    sources: identified(configuration),
    destinations: configuration.destinations.map((one) => {
      const adapter = destinations.get(one.kind);
      const identify = (ref: CredentialRef) => fingerprint("credential", resolve(ref));
      return {
        ...one,
        account: adapter?.limits?.(one.block, identify).account ?? null,
        inFlight: inFlightOf(one.block, adapter),
      };
    }),
    rules: configuration.rules,
  };
}

/** The sources, each with what makes it another one when it changes. */
export const identified = ({ sources }: Configuration): Declared["sources"] =>
  sources.map((one) => ({ ...one, identity: identityOf(one) }));

function identityOf({ kind, block }: Configuration["sources"][number]): string {
  const adapter = sourceAdapters.find((one) => one.kind === kind);
  return adapter === undefined ? kind : adapter.identity(block);
}

/** What the block says, if its kind lets it say something, else what the vendor is known to take. */
function inFlightOf(block: unknown, adapter: DestinationAdapter | undefined): number {
  const said = (block as { maxInFlight?: number }).maxInFlight;
  return said ?? adapter?.traits.inFlight ?? 1;
}
