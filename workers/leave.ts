import { type BindingRow, lockBindings, setLeaving, setState } from "../services/store/binding.ts";
import type { Db } from "../services/store/db.ts";
import { placesOf } from "../services/store/ledger.ts";
import { ruleById } from "../services/store/rule.ts";

/**
 * Bindings whose branch is gone, or that no rule means any longer. By the rule's choice their names are
 * taken away or stay behind. `noticed`: what led to it. Returns the places where there is something to take away.
 */
export async function leave(
  tx: Db,
  bindings: readonly BindingRow[],
  why: "branch-gone" | "no-longer-meant",
  noticed: readonly string[],
): Promise<string[]> {
  const due: string[] = [];
  // Locked before the ledger is read: a push that is about to claim its first names waits, and finds out.
  const held = await lockBindings(
    tx,
    bindings.map((binding) => binding.id),
  );
  for (const binding of held) {
    if (binding.state === "removed" || binding.state === "retained" || binding.leaving) continue;
    const rule = await ruleById(tx, binding.ruleId);
    const places = await placesOf(tx, binding.id);
    const wish = rule?.definition;
    const takeAway = why === "branch-gone" ? wish?.onBranchDelete === "delete" : wish?.policy === "mirror";
    if (places.length === 0) await setState(tx, [binding.id], "removed");
    else if (takeAway) {
      await setLeaving(tx, binding.id, noticed);
      due.push(...places);
    } else await setState(tx, [binding.id], "retained");
  }
  return [...new Set(due)];
}
