/** Runs one piece of work under its row's lease, and turns how it ended into the row's next due time. */

import type { Db } from "../services/store/db.ts";
import {
  holdLease,
  type Lease,
  type Release,
  releaseLease,
  renewLease,
  takeLease,
  type WorkKind,
} from "../services/store/work.ts";
import { asSyncError, SyncError } from "../services/sync/errors.ts";
import { nextFor, verdict } from "../services/sync/outcome.ts";
import type { Runtime } from "./runtime.ts";

/** How a run of work ended. */
export type Outcome =
  /** Done; look again after so long, or never by itself. */
  | { readonly kind: "done"; readonly dueInMs: number | null }
  | { readonly kind: "failed"; readonly error: SyncError };

export interface Work {
  readonly lease: Lease;
  /** Aborts when the lease is lost or the process stops. */
  readonly signal: AbortSignal;
  /**
   * Runs `body` in a transaction that holds the row: whatever it writes, it writes as the holder of the
   * lease. Throws `LostLease` if that is somebody else by now, and nothing is written.
   */
  record<T>(body: (tx: Db) => Promise<T>): Promise<T>;
}

export class LostLease extends Error {
  constructor() {
    super("the lease was lost");
    this.name = "LostLease";
  }
}

/** After so many holders that died in a row, the work itself is what kills them. */
const MOST_DEATHS = 5;

/** Does nothing if the row is not due or somebody else has it. Never throws. */
export async function runWork(
  runtime: Runtime,
  kind: WorkKind,
  id: string,
  stopping: AbortSignal,
  body: (work: Work) => Promise<Outcome>,
): Promise<void> {
  const { db } = runtime.database;
  const { leaseMs } = runtime.settings;
  const log = runtime.log.child({ kind, id });
  try {
    const lease = await takeLease(db, kind, id, leaseMs);
    if (lease === null) return;
    const held = keepLease(db, lease, leaseMs, stopping);
    const record: Work["record"] = async (write) =>
      await withoutDeadlock(
        async () =>
          await db.transaction(async (tx) => {
            if (!(await holdLease(tx, lease))) throw new LostLease();
            return await write(tx);
          }),
      );
    try {
      const outcome =
        lease.deaths >= MOST_DEATHS
          ? await deadly(lease)
          : await body({ lease, signal: held.signal, record }).catch(failure);
      await releaseLease(db, lease, releaseOf(lease, outcome));
      if (outcome.kind === "failed") log.warn({ err: outcome.error }, "work failed");
    } finally {
      held.stop();
    }
  } catch (error) {
    // The row stays due and leased; when the lease lapses the dispatcher finds it again.
    if (error instanceof LostLease) log.warn("lease lost, nothing recorded");
    else log.error({ err: error }, "work could not be recorded");
  } finally {
    runtime.kick();
  }
}

/**
 * A push holds its place and then its bindings, a reconcile its bindings and then their places. Where the
 * two meet Postgres ends one of them, and that one begins its transaction again.
 */
async function withoutDeadlock<T>(transaction: () => Promise<T>, tries = 5): Promise<T> {
  try {
    return await transaction();
  } catch (error) {
    if (tries > 1 && sqlState(error) === "40P01") return await withoutDeadlock(transaction, tries - 1);
    throw error;
  }
}

function sqlState(error: unknown): unknown {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined;
}

const deadly = async (lease: Lease): Promise<Outcome> => ({
  kind: "failed",
  error: new SyncError("unsafe", `${lease.deaths} workers in a row died while working on this`, {
    next: "Look at the workers' last log lines; resume it when the cause is gone.",
  }),
});

function failure(thrown: unknown): Outcome {
  if (thrown instanceof LostLease) throw thrown;
  return { kind: "failed", error: asSyncError(thrown) };
}

function releaseOf(lease: Lease, outcome: Outcome): Release {
  if (outcome.kind === "done") return { dueInMs: outcome.dueInMs, attempts: 0, reason: null };
  const { error } = outcome;
  const { dueInMs, attempts } = verdict(error, lease.attempts);
  return { dueInMs, attempts, reason: { code: error.code, cause: error.message, next: nextFor(error) } };
}

/** Renews at a third of the lease. Aborts the work as soon as it cannot be sure of the lease any more. */
function keepLease(db: Db, lease: Lease, leaseMs: number, stopping: AbortSignal) {
  const lost = new AbortController();
  let sure = performance.now();
  const timer = setInterval(() => {
    const asked = performance.now();
    if (asked - sure > leaseMs) return lost.abort();
    renewLease(db, lease, leaseMs).then(
      (held) => {
        if (held) sure = asked;
        else lost.abort();
      },
      () => undefined,
    );
  }, leaseMs / 3);
  timer.unref();
  return { signal: AbortSignal.any([lost.signal, stopping]), stop: () => clearInterval(timer) };
}
