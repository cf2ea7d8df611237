/** Opens what a process needs before it can do anything: the database, its keys, its identity. */
import { randomBytes } from "node:crypto";
import type { Logger } from "../services/log.ts";
import { createMetrics } from "../services/metrics.ts";
import { openAllowance } from "../services/store/allowance.ts";
import { openBeginnings } from "../services/store/beginning.ts";
import { openContainers } from "../services/store/container.ts";
import type { Database } from "../services/store/db.ts";
import { databaseIdentity, ensureInstallation, suspendAll } from "../services/store/installation.ts";
import { countStates } from "../services/store/views.ts";
import { createFingerprinter } from "../services/sync/fingerprint.ts";
import { FINGERPRINT_KEY, Keyring } from "../services/sync/keyring.ts";
import type { DestinationAdapter, ResolveCredential, SourceAdapter } from "../services/sync/ports.ts";
import type { Runtime, Settings } from "./runtime.ts";

export interface SetupOptions {
  readonly database: Database;
  /** One key, or several while one replaces the other. */
  readonly masterKey: Uint8Array | Keyring;
  readonly sources: ReadonlyMap<string, SourceAdapter>;
  readonly destinations: ReadonlyMap<string, DestinationAdapter>;
  readonly resolve: ResolveCredential;
  readonly settings: Settings;
  readonly log: Logger;
}

/**
 * Makes the installation on first use, and opens its fingerprint key with the master key. State that
 * finds itself in another database than it was made in is a copy or a restored backup: the world has
 * moved on meanwhile, so it writes nothing until someone says that it may.
 */
export async function setup(options: SetupOptions): Promise<Omit<Runtime, "kick">> {
  const { database, log } = options;
  const keyring = Keyring.of(options.masterKey);
  const fresh = { sealedKey: keyring.sealFirst(FINGERPRINT_KEY, randomBytes(32)) };
  const installation = await ensureInstallation(database.db, fresh);
  const key = keyring.unseal(FINGERPRINT_KEY, installation.sealedKey);
  const identity = await databaseIdentity(database.db);
  if (identity !== installation.identity && installation.suspendedAt === null) {
    await suspendAll(database.db, "this state was made in another database: it is a copy or was restored");
    log.warn("this state is a copy or was restored: writes are suspended until `resume --all`");
  }
  const metrics = createMetrics({ process: true });
  metrics.beforeScrape(async () => metrics.bindings(await countStates(database.db)));
  const { masterKey: _, ...rest } = options;
  return {
    ...rest,
    installation: installation.id,
    fingerprint: createFingerprinter(key),
    metrics,
    allowance: openAllowance(database.db),
    begin: openBeginnings(database, options.settings),
    loadContainer: openContainers(database),
  };
}
