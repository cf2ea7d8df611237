/**
 * What exists in the Neon stand-in, without rules about time: finding things, adding and removing them
 * raw. Real computes, if there are any, hear of every change here.
 */
import { ComputeLink, type Computes } from "./computes.ts";
import { copyContents } from "./contents.ts";
import { NeonError } from "./errors.ts";
import { Limiter } from "./limit.ts";
import {
  type BranchSeed,
  type EndpointType,
  type NeonBranch,
  type NeonDatabase,
  type NeonEndpoint,
  type NeonKey,
  type NeonProject,
  type NeonRole,
  newBranchId,
  newDatabaseId,
  newEndpointId,
  newPassword,
  type ProjectSeed,
  type RoleSeed,
} from "./model.ts";
import { Operations } from "./operations.ts";

export interface NeonStateOptions {
  readonly projects?: readonly ProjectSeed[];
  readonly keys?: readonly NeonKey[];
  /** Milliseconds since the epoch; default the real clock. */
  readonly now?: () => number;
  readonly computes?: Computes | null;
  /** What follows the endpoint id in a host. */
  readonly hostSuffix?: string;
}

export class NeonStore {
  readonly projects = new Map<string, NeonProject>();
  readonly keys = new Map<string, NeonKey>();
  readonly operations: Operations;
  readonly computes: ComputeLink;
  readonly limiter: Limiter;
  readonly now: () => number;
  readonly hostSuffix: string;
  /** Refuse mutations with 423 while operations of the project run. */
  conflicts = true;
  /** Branches per page where the request names no limit. */
  pageSize = 100;
  /** False: a restored branch is a new branch with a new id that takes name and computes over. */
  restoreKeepsId = false;

  constructor(options: NeonStateOptions = {}) {
    this.now = options.now ?? Date.now;
    this.hostSuffix = options.hostSuffix ?? "c-2.eu-central-1.aws.neon.tech";
    this.operations = new Operations(this.now);
    this.limiter = new Limiter(this.now);
    this.computes = new ComputeLink(options.computes ?? null);
    for (const key of options.keys ?? []) this.keys.set(key.token, key);
  }

  // ---------------------------------------------------------------- finding

  /** The first project: what helpers mean when none is named. */
  get project(): NeonProject {
    const [first] = this.projects.values();
    if (first === undefined) throw new Error("the Neon stand-in has no project");
    return first;
  }

  /** By id, or by name in any project; throws where a test is wrong about it. */
  branch(idOrName: string): NeonBranch {
    const found = this.branchByName(idOrName);
    if (found === undefined) throw new Error(`no Neon branch ${idOrName}`);
    return found;
  }

  branchByName(idOrName: string): NeonBranch | undefined {
    const all = [...this.projects.values()].flatMap((project) => [...project.branches.values()]);
    return all.find((branch) => branch.id === idOrName) ?? all.find((branch) => branch.name === idOrName);
  }

  endpointsOf(branch: NeonBranch): NeonEndpoint[] {
    return [...this.projectOf(branch).endpoints.values()].filter(
      (endpoint) => endpoint.branchId === branch.id,
    );
  }

  /** The read-write endpoint of a branch. */
  endpointOf(idOrName: string): NeonEndpoint {
    const found = this.endpointsOf(this.branch(idOrName)).find((endpoint) => endpoint.type === "read_write");
    if (found === undefined) throw new NeonError(404, "read-write endpoint not found");
    return found;
  }

  projectOf(branch: NeonBranch): NeonProject {
    const project = this.projects.get(branch.projectId);
    if (project === undefined) throw new Error(`no Neon project ${branch.projectId}`);
    return project;
  }

  role(branch: NeonBranch, name: string): NeonRole {
    const role = branch.roles.get(name);
    if (role === undefined) throw new NeonError(404, "role not found");
    return role;
  }

  refuseTakenName(project: NeonProject, name: string, except?: NeonBranch): void {
    const taken = [...project.branches.values()].some((other) => other.name === name && other !== except);
    if (taken) throw new NeonError(409, `branch with the provided name "${name}" already exists`);
  }

  parentIn(project: NeonProject, idOrName: string | undefined): NeonBranch {
    const branches = [...project.branches.values()];
    const parent = branches.find((branch) =>
      idOrName === undefined ? branch.default : branch.id === idOrName || branch.name === idOrName,
    );
    if (parent === undefined) throw new NeonError(404, "parent branch not found");
    return parent;
  }

  database(branch: NeonBranch, name: string): NeonDatabase {
    const database = branch.databases.get(name);
    if (database === undefined) throw new NeonError(404, "database not found");
    return database;
  }

  // ---------------------------------------------------------------- adding and removing

  /** The branch alone: no compute, no operation. Children of protected branches get new passwords. */
  addBranch(
    project: NeonProject,
    seed: BranchSeed,
    parent: NeonBranch | null,
    initSource: NeonBranch["initSource"] = "parent-data",
  ): NeonBranch {
    this.refuseTakenName(project, seed.name);
    const now = this.now();
    const branch: NeonBranch = {
      id: newBranchId(),
      projectId: project.id,
      parentId: initSource === "parent-data" ? (parent?.id ?? null) : null,
      name: seed.name,
      default: false,
      protected: seed.protected ?? false,
      archived: false,
      expiresAt: seed.expiresAt?.getTime() ?? null,
      ttlSeconds: seed.expiresAt ? Math.round((seed.expiresAt.getTime() - now) / 1000) : null,
      initSource,
      createdAt: now,
      updatedAt: now,
      lastResetAt: null,
      restoredAs: null,
      annotation: seed.annotation === undefined ? null : { value: seed.annotation, at: now },
      roles: new Map(),
      databases: new Map(),
    };
    project.branches.set(branch.id, branch);
    if (parent !== null) copyContents(parent, branch, { newPasswords: parent.protected });
    return branch;
  }

  removeBranch(branch: NeonBranch): void {
    const project = this.projectOf(branch);
    for (const { id } of this.endpointsOf(branch)) {
      project.endpoints.delete(id);
      this.computes.endpointGone(id);
    }
    project.branches.delete(branch.id);
    this.computes.branchGone(branch.id);
  }

  addEndpoint(branch: NeonBranch, type: EndpointType, name: string | null = null): NeonEndpoint {
    if (type === "read_write" && this.endpointsOf(branch).some((other) => other.type === "read_write")) {
      throw new NeonError(422, "read_write endpoint already exists");
    }
    const id = newEndpointId();
    const now = this.now();
    const endpoint: NeonEndpoint = {
      id,
      projectId: branch.projectId,
      branchId: branch.id,
      host: `${id}.${this.hostSuffix}`,
      type,
      name,
      disabled: false,
      state: "idle",
      createdAt: now,
      updatedAt: now,
    };
    this.projectOf(branch).endpoints.set(id, endpoint);
    this.computes.endpoint(endpoint);
    return endpoint;
  }

  addRole(branch: NeonBranch, { name, noLogin = false, password }: RoleSeed): NeonRole {
    const now = this.now();
    const secret = noLogin ? null : (password ?? newPassword());
    const role = { name, noLogin, password: secret, previous: null, createdAt: now, updatedAt: now };
    branch.roles.set(name, role);
    return role;
  }

  addDatabase(branch: NeonBranch, name: string, owner: string): void {
    branch.databases.set(name, { id: newDatabaseId(), name, owner, createdAt: this.now() });
  }
}
