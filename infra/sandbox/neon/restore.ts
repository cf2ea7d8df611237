/** Going back in time. Whether the restored branch keeps its id is not promised, hence `restoreKeepsId`. */
import { copyContents } from "./contents.ts";
import { NeonError } from "./errors.ts";
import type { NeonBranch } from "./model.ts";
import type { NeonOperation } from "./operations.ts";
import type { NeonStore } from "./store.ts";

export interface RestoreRequest {
  readonly sourceBranchId: string;
  /** A point in the source's history was named (by LSN or timestamp). */
  readonly pointInTime: boolean;
  readonly preserveUnderName: string | undefined;
}

type Outcome = { branch: NeonBranch; operations: NeonOperation[] };

/** `POST /branches/{id}/restore`; reset-from-parent is the same call with the parent as source. */
export function restore(store: NeonStore, branch: NeonBranch, request: RestoreRequest): Outcome {
  const project = store.projectOf(branch);
  const source = project.branches.get(request.sourceBranchId);
  if (source === undefined) throw new NeonError(404, "source branch not found");
  const self = source.id === branch.id;
  const children = [...project.branches.values()].filter((other) => other.parentId === branch.id);
  if (branch.protected) throw new NeonError(422, "cannot restore a protected branch");
  if (self && !request.pointInTime) {
    throw new NeonError(
      422,
      "source_timestamp or source_lsn is required to restore a branch to its own history",
    );
  }
  if ((self || children.length > 0) && request.preserveUnderName === undefined) {
    throw new NeonError(422, "preserve_under_name is required");
  }
  if (request.preserveUnderName !== undefined) store.refuseTakenName(project, request.preserveUnderName);
  return store.restoreKeepsId
    ? restoreInPlace(store, branch, source, children, request.preserveUnderName)
    : restoreAsNew(store, branch, source, children, request.preserveUnderName);
}

/** The branch keeps its id; what it was lives on under a new one. */
function restoreInPlace(
  store: NeonStore,
  branch: NeonBranch,
  source: NeonBranch,
  children: readonly NeonBranch[],
  preserve: string | undefined,
): Outcome {
  if (preserve !== undefined) {
    const kept = store.addBranch(store.projectOf(branch), { name: preserve }, branch);
    store.computes.branch(kept);
    for (const child of children) child.parentId = kept.id;
    if (branch.parentId === null) branch.parentId = kept.id;
  }
  if (source.id !== branch.id) copyContents(source, branch, { newPasswords: source.protected });
  branch.lastResetAt = store.now();
  store.computes.branch(branch);
  return { branch, operations: restarts(store, branch) };
}

/** A new branch takes over name, computes and default flag; the old id keeps its data under another name. */
function restoreAsNew(
  store: NeonStore,
  branch: NeonBranch,
  source: NeonBranch,
  children: readonly NeonBranch[],
  preserve: string | undefined,
): Outcome {
  const { name } = branch;
  branch.name = preserve ?? `${name}_old_${store.now()}`;
  const restored = store.addBranch(store.projectOf(branch), { name, protected: branch.protected }, source);
  if (source.id === branch.id) copyContents(source, restored, { newPasswords: false });
  restored.default = branch.default;
  restored.lastResetAt = store.now();
  branch.default = false;
  takeComputes(store, branch, restored);
  for (const child of children) if (child !== restored) child.parentId = branch.id;
  const operations = restarts(store, restored);
  if (preserve === undefined) store.removeBranch(branch);
  return { branch: restored, operations };
}

/** A branch as `restoreSnapshot` with `finalize_restore: false` makes it. */
export function restoreSnapshot(store: NeonStore, target: NeonBranch): NeonBranch {
  const name = `${target.name} (snapshot ${store.now()})`;
  const branch = store.addBranch(store.projectOf(target), { name }, target);
  copyContents(target, branch, { newPasswords: false });
  branch.parentId = null;
  branch.restoredAs = target.id;
  store.computes.branch(branch);
  return branch;
}

/** `POST /branches/{id}/finalize_restore`: computes move over and the names swap; the id is the new one. */
export function finalizeRestore(store: NeonStore, branch: NeonBranch, oldName?: string): NeonOperation[] {
  const project = store.projectOf(branch);
  const target = branch.restoredAs === null ? undefined : project.branches.get(branch.restoredAs);
  if (target === undefined) throw new NeonError(422, "branch was not created by restoring a snapshot");
  const { name } = target;
  const renamed = oldName ?? `${name}_old_${store.now()}`;
  store.refuseTakenName(project, renamed);
  target.name = renamed;
  branch.name = name;
  branch.restoredAs = null;
  branch.default = target.default;
  target.default = false;
  takeComputes(store, target, branch);
  return restarts(store, branch);
}

function takeComputes(store: NeonStore, from: NeonBranch, to: NeonBranch): void {
  store.computes.branch(to);
  for (const endpoint of store.endpointsOf(from)) {
    endpoint.branchId = to.id;
    store.computes.endpoint(endpoint);
  }
}

function restarts(store: NeonStore, branch: NeonBranch): NeonOperation[] {
  const computes = store.endpointsOf(branch).flatMap(({ id }) => [
    { action: "suspend_compute", endpointId: id },
    { action: "start_compute", endpointId: id },
  ]);
  return store.operations.record(branch.projectId, branch.id, [{ action: "create_branch" }, ...computes]);
}
