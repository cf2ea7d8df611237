/** The state of the Vault stand-in, its switches, and what tests do to it behind our back. */
import { randomUUID } from "node:crypto";
import {
  addVersion,
  isDeleted,
  type JsonObject,
  type KvMount,
  type KvSecret,
  newMount,
  newSecret,
} from "./kv-state.ts";
import { type LoginRole, type PolicyRule, type TokenSeed, Tokens } from "./tokens.ts";

export interface LoginSeed {
  readonly method: LoginRole["method"];
  /** Default: the method's name. */
  readonly mount?: string;
  /** AppRole: the role id. */
  readonly role: string;
  /** AppRole: the secret id; else a JWT that this role takes. */
  readonly secret: string;
  readonly policy?: readonly PolicyRule[] | null;
  /** Default one hour. */
  readonly ttlSeconds?: number;
}

export interface VaultStateOptions {
  readonly now?: () => number;
  readonly tokens?: readonly TokenSeed[];
  readonly logins?: readonly LoginSeed[];
  /** Set: every request must name this namespace. Null (default): the header means nothing. */
  readonly namespace?: string | null;
}

export class VaultState {
  readonly mounts = new Map<string, KvMount>();
  readonly tokens: Tokens;
  readonly now: () => number;
  namespace: string | null;
  /** Answers 503 to everything but health. */
  sealed = false;
  /** Set: this node is a standby and sends everyone to that address with 307, as some set-ups do. */
  standbyFor: string | null = null;
  /** A rate quota; `headers`: the operator has switched the response headers on. */
  quota: { readonly requests: number; readonly intervalMs: number; readonly headers: boolean } | null = null;
  #admitted: number[] = [];

  constructor(options: VaultStateOptions = {}) {
    this.now = options.now ?? Date.now;
    this.namespace = options.namespace ?? null;
    this.tokens = new Tokens(this.now);
    this.mounts.set("kv", newMount("kv", 2));
    this.mounts.set("kv1", newMount("kv1", 1));
    for (const token of options.tokens ?? []) this.tokens.create(token);
    for (const login of options.logins ?? []) this.addLogin(login);
  }

  createToken(seed: TokenSeed = {}): string {
    return this.tokens.create(seed);
  }

  expireToken(token: string): void {
    this.tokens.expire(token);
  }

  addLogin({ method, role, secret, mount = method, policy = null, ttlSeconds = 3600 }: LoginSeed): void {
    const known = this.tokens.roles.find((candidate) => candidate.mount === mount && candidate.role === role);
    if (known === undefined) {
      this.tokens.roles.push({ method, mount, role, secrets: new Set([secret]), policy, ttlSeconds });
    } else {
      known.secrets.add(secret);
    }
  }

  /** A new secret id of an AppRole, delivered wrapped: gives the wrapping token, which opens once. */
  wrapSecretId(role: string, mount = "approle"): string {
    const secret_id = randomUUID();
    this.addLogin({ method: "approle", mount, role, secret: secret_id });
    return this.tokens.wrap({
      secret_id,
      secret_id_accessor: randomUUID(),
      secret_id_num_uses: 0,
      secret_id_ttl: 0,
    });
  }

  // ---------------------------------------------------------------- contents

  secret(path: string, mount = "kv"): KvSecret | undefined {
    return this.mount(mount).secrets.get(path);
  }

  /** What a reader finds now; null if there is nothing to read. */
  values(path: string, mount = "kv"): JsonObject | null {
    const secret = this.secret(path, mount);
    const latest = secret?.versions.get(secret.currentVersion);
    if (latest === undefined || isDeleted(latest, this.now())) return null;
    return latest.data;
  }

  /** Somebody else writes a new version, past every policy and check. */
  write(path: string, data: JsonObject, mount = "kv"): number {
    const { secrets } = this.mount(mount);
    const secret = secrets.get(path) ?? newSecret(this.now());
    secrets.set(path, secret);
    addVersion(this.mount(mount), secret, data, this.now());
    return secret.currentVersion;
  }

  mount(name: string): KvMount {
    const mount = this.mounts.get(name);
    if (mount === undefined) throw new Error(`no mount ${name} in the Vault stand-in`);
    return mount;
  }

  addMount(name: string, version: 1 | 2): void {
    this.mounts.set(name, newMount(name, version));
  }

  // ---------------------------------------------------------------- quota

  /** Counts one request; the number of seconds to wait if it is refused. */
  quotaWait(): number | null {
    if (this.quota === null) return null;
    const now = this.now();
    const { requests, intervalMs } = this.quota;
    this.#admitted = this.#admitted.filter((at) => at > now - intervalMs);
    const [oldest] = this.#admitted;
    if (oldest !== undefined && this.#admitted.length >= requests) {
      return Math.max(1, Math.ceil((oldest + intervalMs - now) / 1000));
    }
    this.#admitted.push(now);
    return null;
  }
}
