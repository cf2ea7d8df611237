import type { BranchInSource } from "../services/store/branch.ts";
import type { BranchView } from "../services/sync/reconcile.ts";

/** A branch as rules see it. */
export function viewOf({ branch, parentName }: BranchInSource): BranchView {
  return {
    id: branch.neonId,
    name: branch.name,
    default: branch.isDefault,
    protected: branch.isProtected,
    expiresAt: branch.expiresAt,
    createdAt: branch.neonCreatedAt,
    parentName,
    annotations: branch.annotations,
  };
}
