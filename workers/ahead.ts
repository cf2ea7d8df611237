/**
 * While a watch writes down that a branch has appeared, the branch is read already: its reconcile would ask for the
 * same a moment later. What was read so counts once, soon, and only if nobody has hinted at the branch since.
 */

import { HANDS } from "../services/queue/hands.ts";
import type { SourceLoaded } from "../services/store/beginning.ts";
import type { BranchRow } from "../services/store/branch.ts";
import type { Lease } from "../services/store/lease.ts";
import type { RuleWithDestination } from "../services/store/rule.ts";
import type { BranchReading, SourceBranch } from "../services/sync/ports.ts";
import { logins, means } from "../services/sync/reconcile.ts";
import { openSource, type Runtime } from "./runtime.ts";
import { viewOfListed } from "./view.ts";

export interface Ahead {
  readonly reading: Promise<BranchReading | null>;
  /** Events up to this one are answered by it. */
  readonly upTo: number;
}

interface Waiting extends Ahead {
  readonly roles: ReadonlySet<string>;
  readonly begun: number;
}

/** A reading that nobody has taken by then is forgotten: what it holds is secret, and gets old. */
const KEPT_MS = 1_000;

const readings = new WeakMap<Runtime, Map<string, Waiting>>();

const readingsOf = (runtime: Runtime): Map<string, Waiting> => {
  const mine = readings.get(runtime) ?? new Map<string, Waiting>();
  readings.set(runtime, mine);
  return mine;
};

const keyOf = (sourceId: string, neonId: string): string => `${sourceId}/${neonId}`;

/** Branches that are read ahead at once: this process may reconcile that many by itself. More are anybody's. */
export const MOST_AHEAD = HANDS.reconcile;

export interface Appeared {
  /** The source's. */
  readonly rules: readonly RuleWithDestination[];
  readonly listed: readonly SourceBranch[];
  readonly appeared: readonly SourceBranch[];
}

/** Begins to read the branches that have just appeared, as far as a rule wants something of them. */
export function readAhead(
  runtime: Runtime,
  { row, upTo }: SourceLoaded,
  { rules, listed, appeared }: Appeared,
  signal: AbortSignal,
): void {
  const all = readingsOf(runtime);
  for (const branch of appeared) {
    const view = viewOfListed(branch, listed);
    const inForce = rules.filter(({ rule }) => rule.orphanedAt === null);
    const meant = inForce.map(({ rule: { definition: rule } }) => ({
      rule,
      meant: means(rule, view, new Date()),
    }));
    const roles = new Set(logins(meant, view).map(({ role }) => role));
    if (roles.size === 0) continue;
    const key = keyOf(row.id, branch.id);
    const reading = openSource(runtime, row, signal).read(branch.id, [...roles]);
    // Its failure is told to whoever takes it; there may be nobody.
    reading.catch(() => undefined);
    const waiting: Waiting = { reading, upTo, roles, begun: performance.now() };
    all.set(key, waiting);
    setTimeout(() => {
      if (all.get(key) === waiting) all.delete(key);
    }, KEPT_MS).unref();
  }
}

/** What was read ahead of these roles of the branch, if it is as good as what the holder of the lease would read now. */
export function takeAhead(
  runtime: Runtime,
  branch: Pick<BranchRow, "sourceId" | "neonId" | "readAt">,
  roles: readonly string[],
  { revision }: Pick<Lease, "revision">,
): Ahead | null {
  const key = keyOf(branch.sourceId, branch.neonId);
  const there = readingsOf(runtime).get(key);
  if (there === undefined) return null;
  readingsOf(runtime).delete(key);
  // In a process that was frozen no timer has run.
  const old = performance.now() - there.begun > KEPT_MS;
  // Whoever hints at a branch raises its revision.
  const fresh = !old && revision === 0 && branch.readAt === null;
  return fresh && roles.every((role) => there.roles.has(role)) ? there : null;
}
