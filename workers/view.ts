import { type BranchRow, branchByNeonId } from "../services/store/branch.ts";
import type { Db } from "../services/store/db.ts";
import type { BranchView } from "../services/sync/reconcile.ts";

/** A branch as rules see it. */
export async function viewOf(db: Db, row: BranchRow): Promise<BranchView> {
  const parent =
    row.parentNeonId === null ? undefined : await branchByNeonId(db, row.sourceId, row.parentNeonId);
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
