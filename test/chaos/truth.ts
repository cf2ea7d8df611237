/** What was ever true at Neon: branches with their hosts, and passwords with their generation. */
import type { NeonBranch } from "../../infra/sandbox/neon/model.ts";
import type { NeonState } from "../../infra/sandbox/neon.ts";

/** A branch from its creation to its end. One that is made again under its name is another. */
export interface Incarnation {
  readonly id: string;
  readonly name: string;
  /** Over all branches, in the order in which they were made. */
  readonly order: number;
  readonly host: string;
  goneAt: number | null;
}

/** What a value at a vendor stands for. */
export interface Meaning {
  readonly incarnation: Incarnation;
  /** Null: a bare host. */
  readonly role: string | null;
  /** Of the password, from 1; 0 where there is none in the value. */
  readonly generation: number;
  /** Host and password of two branches in one value. */
  readonly torn: boolean;
}

interface KnownPassword {
  readonly incarnation: Incarnation;
  readonly role: string;
  readonly generation: number;
}

export class Truth {
  readonly #neon: NeonState;
  readonly #incarnations = new Map<string, Incarnation>();
  readonly #hosts = new Map<string, Incarnation>();
  readonly #passwords = new Map<string, KnownPassword>();
  readonly #generations = new Map<string, number>();

  constructor(neon: NeonState) {
    this.#neon = neon;
  }

  /** To be called after everything that changes something at Neon, before anybody can see it. */
  note(): void {
    const now = Date.now();
    const alive = this.#neon.project.branches;
    for (const branch of alive.values()) this.#noteBranch(branch);
    for (const known of this.#incarnations.values()) {
      if (!alive.has(known.id)) known.goneAt ??= now;
    }
  }

  /** Null: neither a host nor a password of ours. */
  meaning(value: string): Meaning | null {
    if (value.startsWith("postgres")) {
      const { username, password, hostname } = new URL(value);
      const host = this.#hosts.get(direct(hostname));
      const known = this.#passwords.get(decodeURIComponent(password));
      if (host === undefined || known === undefined) return null;
      const torn = known.incarnation !== host || known.role !== username;
      return { incarnation: host, role: known.role, generation: known.generation, torn };
    }
    const known = this.#passwords.get(value);
    if (known !== undefined) return { ...known, torn: false };
    const host = this.#hosts.get(direct(value));
    return host === undefined ? null : { incarnation: host, role: null, generation: 0, torn: false };
  }

  /** For people, without the value. */
  label(value: string | undefined): string {
    if (value === undefined) return "nothing";
    if (value.startsWith("foreign")) return value;
    const meaning = this.meaning(value);
    if (meaning === null) return ROLES.includes(value) ? value : "something unknown";
    const { incarnation, role, generation, torn } = meaning;
    const whose = `${incarnation.name}#${incarnation.order}`;
    return `${torn ? "TORN " : ""}${whose}${role === null ? " host" : ` ${role}@${generation}`}`;
  }

  /** How often each role's password was ever set. */
  generations(): Record<string, number> {
    return Object.fromEntries(this.#generations);
  }

  #noteBranch(branch: NeonBranch): void {
    const endpoint = this.#neon.endpointsOf(branch).find(({ type }) => type === "read_write");
    if (endpoint === undefined) return;
    const known = this.#incarnations.get(branch.id) ?? {
      id: branch.id,
      name: branch.name,
      order: this.#incarnations.size + 1,
      host: endpoint.host,
      goneAt: null,
    };
    this.#incarnations.set(branch.id, known);
    this.#hosts.set(endpoint.host, known);
    for (const { name: role, password } of branch.roles.values()) {
      if (password === null || this.#passwords.has(password)) continue;
      const key = `${known.name}#${known.order} ${role}`;
      const generation = (this.#generations.get(key) ?? 0) + 1;
      this.#generations.set(key, generation);
      this.#passwords.set(password, { incarnation: known, role, generation });
    }
  }
}

export const ROLES: readonly string[] = ["shop_app", "shop_owner"];

const direct = (host: string): string => host.replace(/^([^.]+)-pooler\./, "$1.");
