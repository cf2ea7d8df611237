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
import { follow } from "./follow.ts";
import { openSource, type Runtime } from "./runtime.ts";
import { viewOfListed } from "./view.ts";

/** A reading that is under way, or was a moment ago. */
export interface Ahead {
  readonly reading: Promise<BranchReading | null>;
  /** Events up to this one are answered by it. */
  readonly upTo: number;
}

interface Waiting extends Ahead {
  readonly roles: ReadonlySet<string>;
  readonly begun: number;
  /** Gives it up: its calls wait for their turn no more. */
  readonly forget: () => void;
}

/** Readings of branches that appeared in one look. */
export interface Readings {
  /** It is written down that they have appeared: from now on their reconciles may take them. */
  keep(): void;
  drop(): void;
}

/** A reading that nobody has taken by then is forgotten: what it holds is secret, and gets old. */
const KEPT_MS = 1_000;
/** Of a look in which more have appeared none is read ahead: they are for whoever has a hand free. */
const MOST = HANDS.reconcile;

const kept = new WeakMap<Runtime, Map<string, Waiting>>();

const keptBy = (runtime: Runtime): Map<string, Waiting> => {
  const mine = kept.get(runtime) ?? new Map<string, Waiting>();
  kept.set(runtime, mine);
  return mine;
};

const keyOf = (sourceId: string, neonId: string): string => `${sourceId}/${neonId}`;

/** Those of the branches that have just appeared which are to be read ahead: all or none. */
export const worthReading = (appeared: readonly SourceBranch[]): readonly SourceBranch[] =>
  appeared.length <= MOST ? appeared : [];

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
  stopping: AbortSignal,
): Readings {
  const all = keptBy(runtime);
  const inForce = rules.filter(({ rule }) => rule.orphanedAt === null);
  const begun = appeared.flatMap((branch): [string, Waiting][] => {
    const view = viewOfListed(branch, listed);
    const meant = inForce.map(({ rule: { definition: rule } }) => {
      return { rule, meant: means(rule, view, new Date()) };
    });
    const roles = new Set(logins(meant, view).map(({ role }) => role));
    if (roles.size === 0) return [];
    const given = new AbortController();
    const reading = openSource(runtime, row, given.signal).read(branch.id, [...roles]);
    const unfollow = follow(given, stopping);
    // Its failure is told to whoever takes it; there may be nobody.
    reading.then(unfollow, unfollow);
    const forget = (): void => given.abort();
    return [[keyOf(row.id, branch.id), { reading, upTo, roles, begun: performance.now(), forget }]];
  });
  return {
    keep: () => {
      for (const [key, waiting] of begun) {
        all.set(key, waiting);
        setTimeout(() => {
          if (all.get(key) !== waiting) return;
          all.delete(key);
          waiting.forget();
        }, KEPT_MS).unref();
      }
    },
    drop: () => {
      for (const [, { forget }] of begun) forget();
    },
  };
}

/** What was read ahead of these roles of the branch, if it is as good as what the holder of the lease would read now. */
export function takeAhead(
  runtime: Runtime,
  branch: Pick<BranchRow, "sourceId" | "neonId" | "readAt">,
  roles: readonly string[],
  { revision }: Pick<Lease, "revision">,
): Ahead | null {
  const key = keyOf(branch.sourceId, branch.neonId);
  const there = keptBy(runtime).get(key);
  if (there === undefined) return null;
  keptBy(runtime).delete(key);
  // In a process that was frozen no timer has run.
  const old = performance.now() - there.begun > KEPT_MS;
  // Whoever hints at a branch raises its revision.
  const hinted = revision !== 0 || branch.readAt !== null;
  if (!old && !hinted && roles.every((role) => there.roles.has(role))) return there;
  there.forget();
  return null;
}
