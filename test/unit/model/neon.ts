/** The far side where passwords come from. Every password has a number, and a newer one has a higher one. */

import { SyncError } from "../../../services/sync/errors.ts";
import type { BranchReading, Moved, Source, SourceBranch } from "../../../services/sync/ports.ts";
import { Secret } from "../../../services/sync/secret.ts";
import type { Process } from "./clock.ts";

export interface NeonBranch {
  readonly id: string;
  readonly name: string;
  readonly production: boolean;
  readonly createdAt: number;
  password: number;
  goneAt: number | null;
}

/** What becomes of one call. `short`: a list leaves out a branch. `absent`: that, or a 404 for what is there. */
export type SourceFault = "error" | "short" | "absent";

export const ROLE = "app_owner";
const EPOCH = new Date(0);

export class Neon {
  readonly branches: NeonBranch[] = [];
  readonly #now: () => number;
  readonly #faultOf: (call: number) => SourceFault | undefined;
  #operations: { readonly n: number; readonly branch: string }[] = [];
  #passwords = 0;
  #calls = 0;

  constructor(now: () => number, faultOf: (call: number) => SourceFault | undefined) {
    this.#now = now;
    this.#faultOf = faultOf;
    this.add("main", true);
  }

  // ---------------------------------------------------------------- what happens

  live(name: string): NeonBranch | undefined {
    return this.branches.find((branch) => branch.name === name && branch.goneAt === null);
  }

  add(name: string, production = false): void {
    if (this.live(name) !== undefined) return;
    const id = `br-${this.branches.length}`;
    const createdAt = this.#now();
    this.branches.push({ id, name, production, createdAt, password: ++this.#passwords, goneAt: null });
    this.#happened(id);
  }

  remove(name: string): void {
    const branch = this.live(name);
    if (branch === undefined) return;
    branch.goneAt = this.#now();
    this.#happened(branch.id);
  }

  /** Production has a new password, and a branch is made from it right after: the same one opens it. */
  inherit(name: string): void {
    if (this.live(name) !== undefined) return;
    this.add(name);
    const branch = this.live(name);
    const parent = this.branches.find(({ production, goneAt }) => production && goneAt === null);
    if (branch === undefined || parent === undefined) return;
    parent.password = branch.password;
    this.#happened(parent.id);
  }

  /** By SQL it leaves no operation. */
  rotate(name: string, by: "api" | "sql"): void {
    const branch = this.live(name);
    if (branch === undefined) return;
    branch.password = ++this.#passwords;
    if (by === "api") this.#happened(branch.id);
  }

  #happened(branch: string): void {
    this.#operations.push({ n: this.#operations.length, branch });
  }

  // ---------------------------------------------------------------- what is seen of it

  /** Every call takes a while; what it says is as of the middle of it. */
  source(process: Process): Source {
    const call = async <T>(answer: (fault: SourceFault | undefined) => T): Promise<T> => {
      const fault = this.#faultOf(++this.#calls);
      await process.pause(10);
      const said = answer(fault);
      await process.pause(10);
      if (fault === "error") throw new SyncError("unavailable", "Neon did not answer");
      return said;
    };
    const find = (id: string, fault: SourceFault | undefined) =>
      fault === "absent" ? undefined : this.branches.find((b) => b.id === id && b.goneAt === null);
    const read = (id: string) =>
      call((fault): BranchReading | null => {
        const branch = find(id, fault);
        if (branch === undefined) return null;
        return {
          branch: shown(branch),
          roles: [{ name: ROLE, login: true }],
          databases: [{ name: "app", owner: ROLE }],
          passwords: new Map([[ROLE, new Secret(`pw-${branch.password}.`)]]),
        };
      });
    return {
      check: async () => undefined,
      moved: (cursor) => call(() => this.#movedSince(cursor)),
      branches: () =>
        call((fault) => {
          const all = this.branches.filter((branch) => branch.goneAt === null);
          const isShort = fault === "absent" || fault === "short";
          const missing = isShort ? all.find((branch) => !branch.production) : undefined;
          return all.filter((branch) => branch !== missing).map(shown);
        }),
      branch: (id) =>
        call((fault) => {
          const branch = find(id, fault);
          return branch === undefined ? null : shown(branch);
        }),
      read,
      reread: read,
    };
  }

  #movedSince(cursor: string | null): Moved {
    const from = Number(cursor ?? 0);
    const since = this.#operations.filter(({ n }) => n >= from);
    return {
      cursor: String(this.#operations.length),
      branchIds: new Set(since.map(({ branch }) => branch)),
      everything: cursor === null,
    };
  }
}

function shown(branch: NeonBranch): SourceBranch {
  const host = `ep-${branch.id}.eu-central-1.aws.neon.tech`;
  return {
    id: branch.id,
    name: branch.name,
    parentId: null,
    default: branch.production,
    protected: branch.production,
    expiresAt: null,
    createdAt: EPOCH,
    state: "ready",
    annotations: {},
    endpoints: [{ id: `ep-${branch.id}`, host, type: "read_write", disabled: false, active: true }],
  };
}

/** Which password a written value holds; null: not one of ours. */
export function passwordIn(value: string): number | null {
  const found = /pw-(\d+)\./.exec(value);
  return found === null ? null : Number(found[1]);
}
