import type { BranchInSource } from "../services/store/branch.ts";
import type { SourceBranch } from "../services/sync/ports.ts";
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

/** One that was just listed, with its parent's name if that was too. */
export const viewOfListed = (seen: SourceBranch, listed: readonly SourceBranch[]): BranchView => ({
  ...seen,
  parentName: listed.find(({ id }) => id === seen.parentId)?.name ?? null,
});
