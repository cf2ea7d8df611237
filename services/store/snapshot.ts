/** Everything that a plan compares a document with, as it was at one moment. */
import { isNull } from "drizzle-orm";
import type { LedgerEntry } from "../sync/model.ts";
import { type BindingRow, binding } from "./binding.ts";
import { type BranchRow, branch } from "./branch.ts";
import { configurationRow } from "./configuration.ts";
import type { Db } from "./db.ts";
import { type DestinationRow, destination } from "./destination.ts";
import { wholeLedger } from "./ledger.ts";
import { type PlaceRow, place } from "./place.ts";
import { type RuleRow, rule } from "./rule.ts";
import { liveSources, type SourceRow } from "./source.ts";

export interface Snapshot {
  /** How often something was taken in; 0: never. */
  readonly version: number;
  /** Of the document that was taken in last; null: it had none. */
  readonly revision: number | null;
  readonly sources: readonly SourceRow[];
  readonly destinations: readonly DestinationRow[];
  /** In force, and those that left and have not been pruned. */
  readonly rules: readonly RuleRow[];
  readonly branches: readonly BranchRow[];
  readonly bindings: readonly BindingRow[];
  readonly places: readonly PlaceRow[];
  readonly ledger: readonly (LedgerEntry & { readonly placeId: string })[];
}

/** It has names or is to have some, and is kept in step. */
export const isKept = ({ state, leaving }: Pick<BindingRow, "state" | "leaving">): boolean =>
  !leaving && state !== "removed" && state !== "retained";

export async function takeSnapshot(db: Db): Promise<Snapshot> {
  return await db.transaction(
    async (tx) => {
      const told = await configurationRow(tx);
      return {
        version: told?.version ?? 0,
        revision: told?.revision ?? null,
        sources: await liveSources(tx),
        destinations: await tx.select().from(destination).where(isNull(destination.removedAt)),
        rules: await tx.select().from(rule).where(isNull(rule.prunedAt)),
        branches: await tx.select().from(branch).where(isNull(branch.goneAt)),
        bindings: await tx.select().from(binding),
        places: await tx.select().from(place),
        ledger: await wholeLedger(tx),
      };
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}
