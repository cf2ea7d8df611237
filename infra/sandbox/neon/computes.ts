/** Keeps real Postgres computes informed of every change, where they are wanted. */
import type { NeonBranch, NeonEndpoint } from "./model.ts";

/** What a set of real computes must offer; roles' passwords are those that log in right now. */
export interface Computes {
  readonly host: string;
  readonly port: number;
  /** PEM of the authority that signed the computes' certificate. */
  readonly ca: string;
  setEndpoint(
    id: string,
    endpoint: { readonly branchId: string; readonly disabled: boolean; readonly host: string },
  ): void | Promise<void>;
  removeEndpoint(id: string): void | Promise<void>;
  setBranch(
    id: string,
    contents: {
      readonly roles: readonly {
        readonly name: string;
        readonly password: string | null;
        readonly login: boolean;
      }[];
      readonly databases: readonly { readonly name: string; readonly owner: string }[];
    },
  ): void | Promise<void>;
  removeBranch(id: string): void | Promise<void>;
  close(): Promise<void>;
}

/** Passes changes on one after the other; an error is a bug of the stand-in and shows as a warning. */
export class ComputeLink {
  readonly #computes: Computes | null;
  #tail: Promise<void> = Promise.resolve();

  constructor(computes: Computes | null) {
    this.#computes = computes;
  }

  branch(branch: NeonBranch): void {
    const contents = {
      roles: [...branch.roles.values()].map((role) => ({
        name: role.name,
        password: role.previous ?? role.password,
        login: !role.noLogin,
      })),
      databases: [...branch.databases.values()].map(({ name, owner }) => ({ name, owner })),
    };
    this.#then((computes) => computes.setBranch(branch.id, contents));
  }

  endpoint({ id, branchId, disabled, host }: NeonEndpoint): void {
    this.#then((computes) => computes.setEndpoint(id, { branchId, disabled, host }));
  }

  endpointGone(id: string): void {
    this.#then((computes) => computes.removeEndpoint(id));
  }

  branchGone(id: string): void {
    this.#then((computes) => computes.removeBranch(id));
  }

  /** Resolves when the computes know everything that happened so far. */
  settled(): Promise<void> {
    return this.#tail;
  }

  #then(step: (computes: Computes) => void | Promise<void>): void {
    const computes = this.#computes;
    if (computes === null) return;
    this.#tail = this.#tail
      .then(() => step(computes))
      .catch((error: unknown) => {
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        process.emitWarning(text, { type: "SandboxBug", detail: "computes of the Neon stand-in" });
      });
  }
}
