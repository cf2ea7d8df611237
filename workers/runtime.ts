/** What a process has in hand once it is set up: the database, the adapters, the keys. No globals. */
import { readFileSync } from "node:fs";
import { createIo } from "../services/http.ts";
import type { Logger } from "../services/log.ts";
import type { Metrics } from "../services/metrics.ts";
import type { JobKind } from "../services/queue/jobs.ts";
import type { DialBlock } from "../services/sources/dial.ts";
import type { Allowance } from "../services/store/allowance.ts";
import type { Begin } from "../services/store/beginning.ts";
import type { LoadContainer } from "../services/store/container.ts";
import type { Database } from "../services/store/db.ts";
import type { DestinationRow } from "../services/store/destination.ts";
import type { SourceRow } from "../services/store/source.ts";
import { SyncError } from "../services/sync/errors.ts";
import type { Fingerprinter } from "../services/sync/fingerprint.ts";
import type { AccountLimits } from "../services/sync/limits.ts";
import type {
  Destination,
  DestinationAdapter,
  Io,
  ResolveCredential,
  Source,
  SourceAdapter,
} from "../services/sync/ports.ts";

export interface Settings {
  /** Between two looks at a source at rest. */
  readonly watchEveryMs: number;
  /** Between two readings of a branch that nothing has announced: finds passwords changed by SQL. */
  readonly rereadEveryMs: number;
  /** Every place is compared with its ledger within this span. */
  readonly sweepEveryMs: number;
  /** A holder that says nothing for so long is taken for dead. */
  readonly leaseMs: number;
  /** Longest life of a request that was sent: after an ambiguous answer we wait so long and write again. */
  readonly settleMs: number;
  /** Windows of what vendors allow are so many times as long as they publish; below 1 only where the vendor's are. */
  readonly windowTimes: number;
}

export const DEFAULT_SETTINGS: Settings = {
  watchEveryMs: 30_000,
  rereadEveryMs: 10 * 60_000,
  sweepEveryMs: 60 * 60_000,
  leaseMs: 30_000,
  settleMs: 15_000,
  windowTimes: 1,
};

export interface Runtime {
  readonly database: Database;
  /** Our id in marks at the vendors. */
  readonly installation: string;
  readonly fingerprint: Fingerprinter;
  readonly destinations: ReadonlyMap<string, DestinationAdapter>;
  readonly sources: ReadonlyMap<string, SourceAdapter>;
  readonly resolve: ResolveCredential;
  readonly settings: Settings;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** What vendors allow, shared with all other processes. */
  readonly allowance: Allowance;
  readonly begin: Begin;
  readonly loadContainer: LoadContainer;
  /** The dispatcher should look: something was committed. See `Dispatcher`. */
  kick(known?: JobKind): void;
}

/** A block as it lies in the database, as far as every kind of it is alike. */
export interface Network {
  readonly privateNetwork?: boolean;
  readonly caFile?: string;
  readonly dial?: DialBlock;
}

export interface Counted {
  calls: number;
}

/** Who wants to know of the calls of one piece of work. */
interface Listening {
  readonly counted?: Counted;
  /** Told before each call leaves, when its turn has come. It may abort the work's signal: then the call does not leave. */
  readonly onTurn?: () => void;
  /** The piece of work has made calls elsewhere already: it waits longer for its turn here than to make them again. */
  readonly begun?: boolean;
}

function openIo(
  runtime: Runtime,
  adapter: Pick<SourceAdapter, "limits">,
  block: unknown,
  signal: AbortSignal,
  { counted, onTurn = () => undefined, begun = false }: Listening = {},
): Io {
  const network = block as Network;
  const published = adapter.limits?.(block, (ref) => runtime.fingerprint("credential", runtime.resolve(ref)));
  const limits = published && stretched(published, runtime.settings.windowTimes);
  const turns = limits && runtime.allowance.open(limits, signal, begun);
  return createIo({
    ...(turns === undefined ? {} : { onAnswer: turns.onAnswer }),
    admit: async (request) => {
      await turns?.admit(request);
      onTurn();
    },
    signal,
    fingerprint: (value) => runtime.fingerprint("value", value),
    privateNetwork: network.privateNetwork ?? false,
    ...(network.caFile === undefined ? {} : { ca: readFileSync(network.caFile, "utf8") }),
    onCall: ({ vendor, operation, status, ms }) => {
      if (counted !== undefined) counted.calls += 1;
      runtime.metrics.called({ vendor, operation, status, seconds: ms / 1000 });
    },
  });
}

const stretched = (account: AccountLimits, times: number): AccountLimits =>
  times === 1
    ? account
    : { ...account, limits: account.limits.map((one) => ({ ...one, perMs: one.perMs * times })) };

export function openSource(
  runtime: Runtime,
  row: Pick<SourceRow, "kind" | "block" | "name">,
  signal: AbortSignal,
  listening: Listening = {},
): Source {
  const adapter = runtime.sources.get(row.kind);
  if (adapter === undefined) throw unknownKind("source", row.kind);
  return adapter.open(row.block, runtime.resolve, openIo(runtime, adapter, row.block, signal, listening));
}

export function destinationAdapter(runtime: Runtime, kind: string): DestinationAdapter {
  const adapter = runtime.destinations.get(kind);
  if (adapter === undefined) throw unknownKind("destination", kind);
  return adapter;
}

export function openDestination(
  runtime: Runtime,
  row: Pick<DestinationRow, "kind" | "block">,
  signal: AbortSignal,
  listening: Listening = {},
): Destination {
  const adapter = destinationAdapter(runtime, row.kind);
  const io = openIo(runtime, adapter, row.block, signal, listening);
  return adapter.open(row.block, runtime.resolve, io);
}

const unknownKind = (what: string, kind: string): SyncError =>
  new SyncError("invalid_target", `this release knows no ${what} of kind "${kind}"`, {
    next: "Run the release that the state was made with, or a newer one.",
  });
