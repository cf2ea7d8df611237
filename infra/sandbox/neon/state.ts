/**
 * Everything that can happen to the Neon stand-in: the API's mutations with their refusals and
 * operations, and what else happens to branches in the world. Routes and tests call the same methods.
 * Facts: Neon's OpenAPI document (api-client 2.7.3) and its guides.
 */
import { connectionUri } from "./contents.ts";
import { NeonError } from "./errors.ts";
import {
  type BranchSeed,
  type EndpointType,
  type NeonBranch,
  type NeonEndpoint,
  type NeonProject,
  type NeonRole,
  newPassword,
  type ProjectSeed,
  type RoleSeed,
} from "./model.ts";
import type { NeonOperation } from "./operations.ts";
import { finalizeRestore, type RestoreRequest, restore, restoreSnapshot } from "./restore.ts";
import { type NeonStateOptions, NeonStore } from "./store.ts";

export class NeonState extends NeonStore {
  constructor(options: NeonStateOptions = {}) {
    super(options);
    for (const seed of options.projects ?? []) this.createProject(seed);
  }

  // ---------------------------------------------------------------- for tests and the demo

  /** The password that Neon would reveal; null for a role that cannot log in. */
  passwordOf(branch: string, role: string): string | null {
    return this.role(this.branch(branch), role).password;
  }

  /** Whether a login with this password works right now: the old one does until its reset has finished. */
  accepts(branch: string, role: string, password: string): boolean {
    this.operations.settle();
    const found = this.role(this.branch(branch), role);
    return !found.noLogin && password === (found.previous ?? found.password);
  }

  connectionStrings(branch: string, role: string, database: string): { pooled: string; direct: string } {
    const endpoint = this.endpointOf(branch);
    const login = this.role(this.branch(branch), role);
    return {
      pooled: connectionUri(endpoint, login, database, true),
      direct: connectionUri(endpoint, login, database, false),
    };
  }

  /** What `ALTER ROLE ... PASSWORD` does: Neon learns of it, and no operation tells. */
  changePasswordBySql(branch: string, role: string, password: string): void {
    const found = this.branch(branch);
    const login = this.role(found, role);
    login.password = password;
    login.previous = null;
    this.computes.branch(found);
  }

  /** Removes a branch as its time-to-live would: in the background and without an operation. */
  expire(branch: string): void {
    this.removeBranch(this.branch(branch));
  }

  /** What Neon does by itself with branches that nobody uses, and undoes when somebody does. */
  archive(branch: string, archived = true): void {
    const found = this.branch(branch);
    found.archived = archived;
    const action = archived ? "timeline_archive" : "timeline_unarchive";
    this.operations.record(found.projectId, found.id, [{ action }]);
  }

  /** A branch made from a snapshot of `branch`, waiting for `finalize_restore`. */
  restoreSnapshot(branch: string): NeonBranch {
    return restoreSnapshot(this, this.branch(branch));
  }

  /** Resolves when real computes, if there are any, know everything that happened so far. */
  settled(): Promise<void> {
    return this.computes.settled();
  }

  // ---------------------------------------------------------------- projects and branches

  createProject(seed: ProjectSeed): NeonProject {
    const now = this.now();
    const project: NeonProject = {
      id: seed.id ?? "wispy-butterfly-25042691",
      name: seed.name ?? "shop",
      orgId: seed.orgId ?? "org-morning-bread-81040908",
      storePasswords: seed.storePasswords ?? true,
      createdAt: now,
      branches: new Map(),
      endpoints: new Map(),
      integrations: new Set(),
    };
    this.projects.set(project.id, project);
    const root = this.addBranch(project, { name: "main", ...seed.root }, null);
    root.default = true;
    for (const role of seed.roles ?? [{ name: "neondb_owner" }]) this.addRole(root, role);
    const owner = [...root.roles.keys()][0] ?? "neondb_owner";
    for (const database of seed.databases ?? [{ name: "neondb", owner }]) {
      this.addDatabase(root, database.name, database.owner);
    }
    this.computes.branch(root);
    this.addEndpoint(root, "read_write");
    for (const branch of seed.branches ?? []) this.createBranch(branch, project);
    return project;
  }

  /** As the console does it: with a read-write compute unless said otherwise. */
  createBranch(seed: BranchSeed, project: NeonProject = this.project): NeonBranch {
    const parent = this.parentIn(project, seed.parent);
    return this.startBranch(project, parent, { endpoints: ["read_write"], ...seed }).branch;
  }

  /** Creates a branch with its computes and operations; refuses a name that is taken. */
  startBranch(
    project: NeonProject,
    parent: NeonBranch,
    seed: BranchSeed,
    initSource: NeonBranch["initSource"] = "parent-data",
  ): { branch: NeonBranch; endpoints: NeonEndpoint[]; operations: NeonOperation[] } {
    const branch = this.addBranch(project, seed, parent, initSource);
    this.computes.branch(branch);
    const endpoints = (seed.endpoints ?? []).map((type) => this.addEndpoint(branch, type));
    const operations = this.operations.record(project.id, branch.id, [
      { action: "create_branch" },
      ...endpoints.map((endpoint) => this.#start(endpoint)),
    ]);
    return { branch, endpoints, operations };
  }

  /** Deletes as the API does; null if it is gone already. Helpers may name it. */
  deleteBranch(idOrName: string): { branch: NeonBranch; operations: NeonOperation[] } {
    const branch = this.branch(idOrName);
    const project = this.projectOf(branch);
    const children = [...project.branches.values()].some((other) => other.parentId === branch.id);
    if (branch.default) throw new NeonError(422, "cannot delete the default branch of a project");
    if (branch.protected) throw new NeonError(422, "cannot delete a protected branch");
    if (children) throw new NeonError(422, "cannot delete a branch that has children");
    if (branch.parentId === null && branch.initSource === "parent-data") {
      throw new NeonError(422, "cannot delete the root branch of a project");
    }
    const endpoints = this.endpointsOf(branch);
    this.removeBranch(branch);
    const operations = this.operations.record(project.id, branch.id, [
      ...endpoints.map(({ id }) => ({ action: "suspend_compute", endpointId: id })),
      { action: "delete_timeline" },
    ]);
    return { branch, operations };
  }

  setAsDefault(branch: NeonBranch): void {
    for (const other of this.projectOf(branch).branches.values()) other.default = other.id === branch.id;
    branch.updatedAt = this.now();
  }

  restore(branch: NeonBranch, request: RestoreRequest): { branch: NeonBranch; operations: NeonOperation[] } {
    return restore(this, branch, request);
  }

  finalizeRestore(branch: NeonBranch, name?: string): NeonOperation[] {
    return finalizeRestore(this, branch, name);
  }

  // ---------------------------------------------------------------- endpoints

  /** Creates a compute as the API does. */
  startEndpoint(
    branch: NeonBranch,
    type: EndpointType,
    name: string | null = null,
  ): { endpoint: NeonEndpoint; operations: NeonOperation[] } {
    const endpoint = this.addEndpoint(branch, type, name);
    const operations = this.operations.record(branch.projectId, branch.id, [this.#start(endpoint)]);
    return { endpoint, operations };
  }

  setDisabled(endpoint: NeonEndpoint, disabled: boolean): void {
    endpoint.disabled = disabled;
    endpoint.updatedAt = this.now();
    this.computes.endpoint(endpoint);
  }

  deleteEndpoint(endpoint: NeonEndpoint): NeonOperation[] {
    const project = this.projects.get(endpoint.projectId);
    if (project?.branches.get(endpoint.branchId)?.protected) {
      throw new NeonError(422, "cannot delete a compute of a protected branch");
    }
    project?.endpoints.delete(endpoint.id);
    this.computes.endpointGone(endpoint.id);
    return this.operations.record(endpoint.projectId, endpoint.branchId, [
      { action: "suspend_compute", endpointId: endpoint.id },
    ]);
  }

  // ---------------------------------------------------------------- roles and databases

  createRole(branch: NeonBranch, seed: RoleSeed): { role: NeonRole; operations: NeonOperation[] } {
    if (branch.roles.has(seed.name)) throw new NeonError(409, `role ${seed.name} already exists`);
    if (branch.roles.size >= 500) throw new NeonError(422, "roles limit exceeded", "ROLES_LIMIT_EXCEEDED");
    const role = this.addRole(branch, seed);
    this.computes.branch(branch);
    return { role, operations: this.#reconfigure(branch) };
  }

  deleteRole(branch: NeonBranch, role: NeonRole): NeonOperation[] {
    if ([...branch.databases.values()].some((database) => database.owner === role.name)) {
      throw new NeonError(422, `role ${role.name} owns a database`);
    }
    branch.roles.delete(role.name);
    this.computes.branch(branch);
    return this.#reconfigure(branch);
  }

  /** A new password of Neon's own making; the old one logs in until the last operation has finished. */
  resetPassword(idOrName: string, name: string): { role: NeonRole; operations: NeonOperation[] } {
    const branch = this.branch(idOrName);
    const role = this.role(branch, name);
    if (role.noLogin) throw new NeonError(422, `role ${name} cannot log in and has no password`);
    role.previous ??= role.password;
    role.password = newPassword();
    const operations = this.#reconfigure(branch, () => {
      role.previous = null;
      this.computes.branch(branch);
    });
    if (operations.length === 0) role.previous = null;
    return { role, operations };
  }

  createDatabase(branch: NeonBranch, name: string, owner: string): NeonOperation[] {
    if (branch.databases.has(name)) throw new NeonError(409, `database ${name} already exists`);
    this.role(branch, owner);
    this.addDatabase(branch, name, owner);
    this.computes.branch(branch);
    return this.#reconfigure(branch);
  }

  deleteDatabase(branch: NeonBranch, name: string): NeonOperation[] {
    branch.databases.delete(name);
    this.computes.branch(branch);
    return this.#reconfigure(branch);
  }

  // ---------------------------------------------------------------- inside

  #start(endpoint: NeonEndpoint): { action: string; endpointId: string; after: () => void } {
    endpoint.state = "init";
    const after = () => {
      endpoint.state = "active";
    };
    return { action: "start_compute", endpointId: endpoint.id, after };
  }

  /** What a change of roles or databases does to the branch's compute; nothing where there is none. */
  #reconfigure(branch: NeonBranch, after?: () => void): NeonOperation[] {
    const endpoint = this.endpointsOf(branch).find(({ type }) => type === "read_write");
    if (endpoint === undefined) return [];
    const last = after === undefined ? {} : { after };
    return this.operations.record(branch.projectId, branch.id, [
      { action: "apply_config", endpointId: endpoint.id },
      { action: "suspend_compute", endpointId: endpoint.id, ...last },
    ]);
  }
}
