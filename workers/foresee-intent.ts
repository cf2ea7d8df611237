/** Which bindings there will be, and where, once a document is applied. Pure. */
import type { BindingRow } from "../services/store/binding.ts";
import type { BranchRow } from "../services/store/branch.ts";
import { goesWithRule } from "../services/store/prune.ts";
import type { Snapshot } from "../services/store/snapshot.ts";
import type { PlannedRule } from "../services/sync/document-plan.ts";
import { SyncError } from "../services/sync/errors.ts";
import { nearMisses } from "../services/sync/patterns.ts";
import { type Aim, aim, type BranchView, means } from "../services/sync/reconcile.ts";
import type { Entry, Scope } from "./foresee-scope.ts";

/** A binding as it will be, or one that there is and that goes or stays behind. */
export interface Intent {
  /** Of its row, or made up. */
  readonly id: string;
  readonly entry: Entry;
  readonly branch: BranchRow;
  readonly row: BindingRow | null;
  /** Where it lives from then on; a reason: it cannot be said; null: it is not meant any more. */
  readonly home: Aim | SyncError | null;
  /** The document wants another thing of it than it has or is about to get. */
  readonly due: boolean;
  /** Why it is due, or why it leaves. */
  readonly why: string;
  /** What it leaves behind is taken away, once it has arrived elsewhere or is not meant any more. */
  readonly takesAway: boolean;
}

/** One for each rule and branch that are or were together. */
export function intents(snapshot: Snapshot, scope: Scope, now: Date): Intent[] {
  return scope.entries.flatMap((entry) => {
    const live = branchesOf(snapshot, entry);
    return live.flatMap((branch) => {
      const row =
        snapshot.bindings.find((one) => one.ruleId === entry.row?.id && one.branchId === branch.id) ?? null;
      const made = intentOf(snapshot, entry, branch, row, viewIn(live, branch), now);
      return made === null ? [] : [made];
    });
  });
}

function intentOf(
  snapshot: Snapshot,
  entry: Entry,
  branch: BranchRow,
  row: BindingRow | null,
  view: BranchView,
  now: Date,
): Intent | null {
  const { rule, destination } = entry;
  const id = row?.id ?? `new ${rule.name} ${branch.id}`;
  const bound = row !== null && row.state !== "removed" && row.state !== "retained" && !row.leaving;
  const orphan = entry.action === "orphan" || entry.action === "orphaned";
  const meant = entry.action !== "prune" && (!orphan || bound) && means(rule, view, now);
  const common = { id, entry, branch, row };
  if (!meant) {
    if (!bound) return null;
    const takesAway = entry.action === "prune" ? goesWithRule(rule) : rule.policy === "mirror";
    const why = entry.why || "the rule does not mean the branch";
    return { ...common, home: null, due: false, why, takesAway };
  }
  const home = aim(rule, view, { adapter: destination.adapter, block: destination.block });
  const moves = !(home instanceof SyncError) && placeKeyOf(snapshot, row) !== home.key;
  const why = dueBecause(entry, row, bound, moves);
  return { ...common, home, due: why !== "", why, takesAway: goesWithRule(rule) };
}

/** Empty: nothing new is wanted of it. What it waits for anyway happens without any document. */
function dueBecause(entry: Entry, row: BindingRow | null, bound: boolean, moves: boolean): string {
  if (entry.action === "create" || entry.action === "change") return entry.why;
  if (row === null || !bound) return "the rule means the branch, which has nothing yet";
  return moves ? "it moves to another target" : "";
}

const placeKeyOf = (snapshot: Snapshot, row: BindingRow | null): string | undefined =>
  snapshot.places.find(({ id }) => id === row?.placeId)?.key;

const branchesOf = (snapshot: Snapshot, { source }: Pick<Entry, "source">): BranchRow[] =>
  snapshot.branches.filter((branch) => branch.sourceId === source.row?.id);

/** As rules see it. */
export function viewIn(live: readonly BranchRow[], row: BranchRow): BranchView {
  const parent = live.find(({ neonId }) => neonId === row.parentNeonId);
  return {
    id: row.neonId,
    name: row.name,
    default: row.isDefault,
    protected: row.isProtected,
    expiresAt: row.expiresAt,
    createdAt: row.neonCreatedAt,
    parentName: parent?.name ?? null,
    annotations: row.annotations,
  };
}

/** How many branches each rule means, and what becomes of it. */
export function plannedRules(snapshot: Snapshot, scope: Scope, now: Date): PlannedRule[] {
  return scope.entries.map((entry) => {
    const live = branchesOf(snapshot, entry);
    const { rule, at, action, why } = entry;
    return {
      name: rule.name,
      at,
      action,
      reason: why || RULE_REASONS[action] || "",
      matches: live.filter((branch) => means(rule, viewIn(live, branch), now)).length,
      of: live.length,
      nearMisses: nearMisses(
        rule.branches,
        live.map(({ name }) => name),
      ),
    };
  });
}

const RULE_REASONS: Partial<Record<PlannedRule["action"], string>> = {
  orphan: "it is not in the document: what it wrote is kept in step until it is pruned",
  orphaned: "it left the document before: what it wrote is kept in step until it is pruned",
  none: "it is as it was",
};
