/** Rules that left are let go: what they wrote is taken away or stays for good, by each rule's own choice. */
import { and, eq, inArray, isNotNull, isNull, sql } from "drizzle-orm";
import type { Rule } from "../sync/model.ts";
import { binding, lockBindings, setLeaving, setState } from "./binding.ts";
import type { Db } from "./db.ts";
import { destination } from "./destination.ts";
import { placesOf } from "./ledger.ts";
import { rule } from "./rule.ts";
import { markDue } from "./work.ts";

/** Whether what a rule wrote goes when the rule does: nothing is deleted that the rule did not say may go. */
export const goesWithRule = ({ policy, onBranchDelete }: Pick<Rule, "policy" | "onBranchDelete">): boolean =>
  policy === "mirror" || onBranchDelete === "delete";

/** Every rule that has left and is still kept in step. Places where something is to be taken away become due. */
export async function pruneOrphans(tx: Db): Promise<void> {
  const rows = await tx
    .select({ rule, destinationGone: destination.removedAt })
    .from(rule)
    .innerJoin(destination, eq(destination.id, rule.destinationId))
    .where(and(isNotNull(rule.orphanedAt), isNull(rule.prunedAt)));
  if (rows.length === 0) return;
  const ids = rows.map((row) => row.rule.id);
  await tx.update(rule).set({ prunedAt: sql`now()` }).where(inArray(rule.id, ids));
  const bound = await tx.select({ id: binding.id }).from(binding).where(inArray(binding.ruleId, ids));
  const held = await lockBindings(
    tx,
    bound.map((row) => row.id),
  );
  for (const one of held) {
    if (one.state === "removed" || one.state === "retained" || one.leaving) continue;
    const of = rows.find((row) => row.rule.id === one.ruleId);
    const places = await placesOf(tx, one.id);
    if (places.length === 0) await setState(tx, [one.id], "removed");
    else if (of !== undefined && of.destinationGone === null && goesWithRule(of.rule.definition)) {
      await setLeaving(tx, one.id);
      await markDue(tx, "place", places);
    } else await setState(tx, [one.id], "retained");
  }
}
