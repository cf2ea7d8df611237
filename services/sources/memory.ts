/**
 * A source in memory: the reference for what `Source` promises, the template for the next one, and the
 * fastest double. It behaves as Neon does where that matters: children copy their parent's passwords
 * (new ones if the parent is protected), hosts belong to computes, a SQL change leaves no operation.
 */
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { SyncError } from "../sync/errors.ts";
import type { BranchReading, Moved, Source, SourceAdapter, SourceBranch } from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";

interface Role {
  login: boolean;
  password: string;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface Branch {
  facts: Mutable<Omit<SourceBranch, "endpoints">>;
  endpoints: Mutable<SourceBranch["endpoints"][number]>[];
  roles: Map<string, Role>;
  databases: Map<string, string>;
}

export interface MemoryBranchOptions {
  /** Id of the parent; default: the default branch. */
  readonly parent?: string;
  readonly protected?: boolean;
  readonly expiresAt?: Date;
  readonly annotations?: Readonly<Record<string, string>>;
  /** False: no compute, so no host. */
  readonly compute?: boolean;
}

/** The mutators are what happens at the vendor; `source` is how Branchline sees it. */
export class MemoryProject {
  readonly id: string;
  readonly #branches = new Map<string, Branch>();
  #log: { readonly n: number; readonly branch: string }[] = [];
  #n = 0;
  #failure: SyncError | null = null;
  #calls = 0;
  /** False: revealing any password is refused. */
  storesPasswords = true;

  /** Starts with the default branch `main`, its role `app_owner`, and the database `app`. */
  constructor(id = "memory-project") {
    this.id = id;
    const main = this.#insert("main", null, { compute: true });
    main.facts.default = true;
    main.roles.set("app_owner", { login: true, password: newPassword() });
    main.databases.set("app", "app_owner");
  }

  /** Requests so far, as the source would have made them. */
  get calls(): number {
    return this.#calls;
  }

  get mainId(): string {
    return this.#default().facts.id;
  }

  // ---------------------------------------------------------------- what happens at the vendor

  addBranch(name: string, options: MemoryBranchOptions = {}): string {
    const parent = options.parent === undefined ? this.#default() : this.#find(options.parent);
    const branch = this.#insert(name, parent, options);
    this.#record(branch.facts.id);
    return branch.facts.id;
  }

  removeBranch(id: string): void {
    this.#find(id);
    this.#branches.delete(id);
    this.#record(id);
  }

  rename(id: string, name: string): void {
    this.#change(id, (branch) => {
      branch.facts.name = name;
    });
  }

  setDefault(id: string): void {
    for (const branch of this.#branches.values()) branch.facts.default = branch.facts.id === id;
    this.#record(id);
  }

  protect(id: string, on = true): void {
    this.#change(id, (branch) => {
      branch.facts.protected = on;
    });
  }

  /** The compute with its host moves to a branch with a new id; the old one lives on as `x_old_...`. */
  restore(id: string): string {
    const old = this.#find(id);
    const { name } = old.facts;
    const restored = this.#insert(name, old, { compute: false });
    restored.facts = { ...old.facts, id: restored.facts.id };
    restored.endpoints = old.endpoints.splice(0);
    restored.roles = new Map([...old.roles].map(([role, value]) => [role, { ...value }]));
    old.facts.name = `${name}_old_${this.#n}`;
    old.facts.default = false;
    this.#record(restored.facts.id);
    return restored.facts.id;
  }

  /** Deletes the read-write compute and makes another: the host changes. */
  replaceEndpoint(id: string): void {
    this.#change(id, (branch) => {
      branch.endpoints = branch.endpoints.filter(({ type }) => type !== "read_write");
      branch.endpoints.push(newEndpoint("read_write"));
    });
  }

  addReadOnlyEndpoint(id: string): void {
    this.#change(id, (branch) => {
      branch.endpoints.unshift(newEndpoint("read_only"));
    });
  }

  setEndpoint(id: string, state: { disabled?: boolean; active?: boolean }): void {
    this.#change(id, (branch) => {
      for (const endpoint of branch.endpoints) Object.assign(endpoint, state);
    });
  }

  addRole(id: string, role: string, options: { login?: boolean; password?: string } = {}): void {
    const { login = true, password = newPassword() } = options;
    this.#change(id, (branch) => branch.roles.set(role, { login, password }));
  }

  dropRole(id: string, role: string): void {
    this.#change(id, (branch) => branch.roles.delete(role));
  }

  addDatabase(id: string, database: string, owner: string): void {
    this.#change(id, (branch) => branch.databases.set(database, owner));
  }

  /** A reset through the vendor's API: a new password of its own making, and an operation. */
  rotate(id: string, role: string): string {
    const password = newPassword();
    this.changePasswordBySql(id, role, password);
    this.#record(id);
    return password;
  }

  /** Leaves no operation. */
  changePasswordBySql(id: string, role: string, password: string): void {
    const found = this.#find(id).roles.get(role);
    if (found === undefined) throw new Error(`no role ${role}`);
    found.password = password;
  }

  passwordOf(id: string, role: string): string | undefined {
    return this.#find(id).roles.get(role)?.password;
  }

  /** Cursors made before this are too old. */
  forgetHistory(): void {
    this.#log = [];
    this.#n++;
  }

  /** Every request fails with this until null is given. A list that fails half way throws like any other. */
  fail(failure: SyncError | null): void {
    this.#failure = failure;
  }

  // ---------------------------------------------------------------- how Branchline sees it

  readonly source: Source = {
    check: async () => this.#call(() => undefined),
    moved: async (cursor) => this.#call(() => this.#movedSince(cursor)),
    branches: async () => this.#call(() => [...this.#branches.values()].map(toSourceBranch)),
    branch: async (id) =>
      this.#call(() => {
        const branch = this.#branches.get(id);
        return branch === undefined ? null : toSourceBranch(branch);
      }),
    read: async (id, roles) => this.#call(() => this.#read(id, roles)),
    // No roles and no databases, as at Neon.
    reread: async (id, roles) => {
      const whole = this.#call(() => this.#read(id, roles));
      return whole === null ? null : { branch: whole.branch, passwords: whole.passwords };
    },
  };

  #call<T>(answer: () => T): T {
    this.#calls++;
    if (this.#failure !== null) throw this.#failure;
    return answer();
  }

  #movedSince(cursor: string | null): Moved {
    const last = cursor === null ? -1 : Number(cursor);
    const oldest = this.#log[0]?.n ?? this.#n + 1;
    const known = last >= oldest - 1 && last <= this.#n;
    return {
      cursor: String(this.#n),
      branchIds: new Set(this.#log.filter(({ n }) => n > last).map(({ branch }) => branch)),
      everything: !known,
    };
  }

  #read(id: string, wanted: readonly string[]): BranchReading | null {
    const branch = this.#branches.get(id);
    if (branch === undefined) return null;
    const asked = [...branch.roles].filter(([name, { login }]) => login && wanted.includes(name));
    if (asked.length > 0 && !this.storesPasswords) {
      throw new SyncError("source_unready", `the project ${this.id} does not store passwords`);
    }
    return {
      branch: toSourceBranch(branch),
      roles: [...branch.roles].map(([name, { login }]) => ({ name, login })),
      databases: [...branch.databases].map(([name, owner]) => ({ name, owner })),
      passwords: new Map(asked.map(([name, { password }]) => [name, new Secret(password)])),
    };
  }

  // ---------------------------------------------------------------- inside

  #insert(name: string, parent: Branch | null, options: MemoryBranchOptions): Branch {
    const inherits = parent?.facts.protected !== true;
    const branch: Branch = {
      facts: {
        id: `br-${randomBytes(6).toString("hex")}`,
        name,
        parentId: parent?.facts.id ?? null,
        default: false,
        protected: options.protected ?? false,
        expiresAt: options.expiresAt ?? null,
        createdAt: new Date(),
        state: "ready",
        annotations: options.annotations ?? {},
      },
      endpoints: options.compute === false ? [] : [newEndpoint("read_write")],
      roles: new Map(
        [...(parent?.roles ?? [])].map(([role, { login, password }]) => [
          role,
          { login, password: inherits ? password : newPassword() },
        ]),
      ),
      databases: new Map(parent?.databases),
    };
    this.#branches.set(branch.facts.id, branch);
    return branch;
  }

  #change(id: string, change: (branch: Branch) => unknown): void {
    change(this.#find(id));
    this.#record(id);
  }

  #record(branch: string): void {
    this.#log.push({ n: ++this.#n, branch });
  }

  #find(id: string): Branch {
    const branch = this.#branches.get(id);
    if (branch === undefined) throw new Error(`no branch ${id}`);
    return branch;
  }

  #default(): Branch {
    const branch = [...this.#branches.values()].find(({ facts }) => facts.default);
    if (branch === undefined) throw new Error("no default branch");
    return branch;
  }
}

/** The adapter over projects that a test has made; the block names one by id. */
export function memorySource(projects: readonly MemoryProject[]): SourceAdapter<{ project: string }> {
  return {
    kind: "memory",
    block: z.strictObject({ project: z.string() }),
    identity: ({ project }) => `memory/${project}`,
    open({ project }) {
      const found = projects.find(({ id }) => id === project);
      if (found !== undefined) return found.source;
      throw new SyncError("target_missing", `there is no project ${project} in memory`);
    },
  };
}

function toSourceBranch({ facts, endpoints }: Branch): SourceBranch {
  return { ...facts, endpoints: endpoints.map((endpoint) => ({ ...endpoint })) };
}

function newEndpoint(type: "read_write" | "read_only"): SourceBranch["endpoints"][number] {
  const id = `ep-${randomBytes(6).toString("hex")}`;
  return { id, host: `${id}.eu-central-1.aws.neon.tech`, type, disabled: false, active: true };
}

function newPassword(): string {
  return `npg_${randomBytes(9).toString("hex").slice(0, 12)}`;
}
