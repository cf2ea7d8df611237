/** Runs one piece of work under its row's lease, and turns how it ended into the row's next due time. */

import type { Loads } from "../services/store/beginning.ts";
import { type Db, withoutDeadlock } from "../services/store/db.ts";
import { holdLease, type Lease, type Release, releaseLease, renewLease } from "../services/store/lease.ts";
import { markDue, type WorkKind } from "../services/store/work.ts";
import { asSyncError, SyncError } from "../services/sync/errors.ts";
import { nextFor, verdict } from "../services/sync/outcome.ts";
import { follow } from "./follow.ts";
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
   * Aborts `signal` if nobody can be sure of the lease any more. To be asked right before a call leaves: in a process that
   * was frozen, what it had been waiting for goes on before any timer tells it how late it is.
   */
  readonly stillHeld: () => void;
  /**
   * Runs `body` in a transaction that holds the row: whatever it writes, it writes as the holder of the
   * lease. Throws `LostLease` if that is somebody else by now, and nothing is written; `body` need not wait for that.
   */
  record<T>(body: (tx: Db) => Promise<T>): Promise<T>;
  /**
   * The last record: in one transaction the lease is given back and `body` writes what came of it. If somebody has
   * hinted at the row since the lease was taken, it stays due. Throws as `record`. Returns the outcome.
   */
  finish(outcome: Outcome, body: (tx: Db) => Promise<void>): Promise<Outcome>;
}

export class LostLease extends Error {
  constructor() {
    super("the lease was lost");
    this.name = "LostLease";
  }
}

/** After so many holders that died in a row, the work itself is what kills them. */
const MOST_DEATHS = 5;

/**
 * Does nothing if the row is not due or somebody else has it. Never throws. `giveUp` writes down what becomes
 * of work that kills whoever does it; it is then tried once at each recheck, until a holder survives. Resolves with false if
 * it failed.
 */
export async function runWork<K extends WorkKind>(
  runtime: Runtime,
  kind: K,
  id: string,
  stopping: AbortSignal,
  body: (work: Work, loaded: Loads[K]) => Promise<Outcome>,
  giveUp: (work: Work, error: SyncError) => Promise<void> = async () => {},
): Promise<boolean> {
  const { db } = runtime.database;
  const { leaseMs } = runtime.settings;
  const log = runtime.log.child({ kind, id });
  try {
    const asked = performance.now();
    const begun = await runtime.begin(kind, id);
    if (begun === null) return true;
    const { lease, load } = begun;
    const held = keepLease(db, lease, leaseMs, asked, stopping);
    let finished = false;
    const inTransaction = async <T>(write: (tx: Db) => Promise<T>): Promise<T> =>
      await withoutDeadlock(async () => await runtime.database.transaction(write));
    const work: Work = {
      lease,
      signal: held.signal,
      stillHeld: held.check,
      record: async (write) =>
        await inTransaction(async (tx) => {
          const holding = holdLease(tx, lease).then((held) => {
            if (!held) throw new LostLease();
          });
          return await inOrder(holding, write(tx));
        }),
      finish: async (outcome, write) => {
        await inTransaction(async (tx) => {
          const releasing = releaseLease(tx, lease, releaseOf(lease, outcome)).then((released) => {
            if (!released) throw new LostLease();
          });
          await inOrder(releasing, write(tx));
        });
        finished = true;
        return outcome;
      },
    };
    const bring = async (): Promise<Outcome> => {
      const loaded = await load();
      return loaded === null ? { kind: "done", dueInMs: null } : await body(work, loaded);
    };
    try {
      const deadly = lease.deaths >= MOST_DEATHS ? tooDeadly(lease) : null;
      if (deadly !== null) await giveUp(work, deadly);
      const outcome: Outcome =
        deadly === null ? await bring().catch(failure) : { kind: "failed", error: deadly };
      const released = finished || (await releaseLease(db, lease, releaseOf(lease, outcome)));
      if (!released) throw new LostLease();
      if (outcome.kind === "failed") log.warn({ err: outcome.error }, "work failed");
      return outcome.kind !== "failed";
    } finally {
      held.stop();
    }
  } catch (error) {
    // The row stays due and leased; when the lease lapses the dispatcher finds it again.
    if (!(error instanceof LostLease)) log.error({ err: error }, "work could not be recorded");
    else {
      log.warn("lease lost, nothing recorded");
      // What we did meanwhile is known to nobody: whoever has the lease now is to look once more.
      await markDue(db, kind, [id]).catch((failed: unknown) => log.error({ err: failed }, "nor made due"));
    }
    return false;
  } finally {
    runtime.kick();
  }
}

/** Both under way; what `first` throws is what counts, since the rest is only good if that went well. */
async function inOrder<T>(first: Promise<unknown>, second: Promise<T>): Promise<T> {
  const [one, other] = await Promise.allSettled([first, second]);
  if (one.status === "rejected") throw one.reason;
  if (other.status === "rejected") throw other.reason;
  return other.value;
}

const tooDeadly = ({ deaths, kind }: Lease): SyncError =>
  new SyncError("unsafe", `${deaths} workers in a row died while working on this`, {
    next: afterDeaths(kind === "source" ? null : "RULE/BRANCH"),
  });

/** What a person does about work that kills; null: there is nothing that could be pushed. */
export const afterDeaths = (binding: string | null): string =>
  binding === null
    ? "Look at the workers' last log lines; it is tried once every ten minutes."
    : `Look at the workers' last log lines. When the cause is gone: branchline push ${binding}`;

function failure(thrown: unknown): Outcome {
  if (thrown instanceof LostLease) throw thrown;
  return { kind: "failed", error: asSyncError(thrown) };
}

function releaseOf(lease: Lease, outcome: Outcome): Release {
  if (outcome.kind === "done") return { dueInMs: outcome.dueInMs, attempts: 0, reason: null };
  const { error } = outcome;
  const { dueInMs, attempts } = verdict(error, lease);
  const reason = { code: error.code, cause: error.message, next: nextFor(error) };
  return { dueInMs, attempts, reason, deaths: lease.deaths >= MOST_DEATHS ? MOST_DEATHS - 1 : 0 };
}

/** Renews at a third of the lease. Aborts the work as soon as it cannot be sure of the lease any more. */
function keepLease(db: Db, lease: Lease, leaseMs: number, since: number, stopping: AbortSignal) {
  const cut = new AbortController();
  const unfollow = follow(cut, stopping);
  let sure = since;
  let lost = false;
  const lose = (): void => {
    lost = true;
    cut.abort();
  };
  const check = (): void => {
    if (performance.now() - sure > leaseMs) lose();
  };
  const timer = setInterval(() => {
    check();
    if (lost) return;
    const asked = performance.now();
    renewLease(db, lease, leaseMs).then(
      (held) => {
        if (held) sure = asked;
        else lose();
      },
      () => undefined,
    );
  }, leaseMs / 3);
  timer.unref();
  const stop = (): void => {
    clearInterval(timer);
    unfollow();
  };
  return { signal: cut.signal, check, stop };
}
