/** Tokens, what they may do, and the logins that make them. */
import { randomBytes, randomUUID } from "node:crypto";
import { badRequest, denied, invalidToken, type VaultError } from "./errors.ts";
import type { JsonObject } from "./kv-state.ts";
import { seconds, type VaultOperation } from "./request.ts";

export type Capability = "create" | "read" | "update" | "patch" | "delete" | "list";

/** One `path` block of a policy: `*` at the end matches any rest, `+` one segment. */
export interface PolicyRule {
  readonly path: string;
  readonly capabilities: readonly Capability[];
}

export interface TokenSeed {
  /** Default: made up. */
  readonly token?: string;
  /** Null (default): may do everything, as root. */
  readonly policy?: readonly PolicyRule[] | null;
  /** Default 768 hours; null: never ends. */
  readonly ttlSeconds?: number | null;
  readonly renewable?: boolean;
  readonly type?: "service" | "batch";
}

export interface Token extends Required<TokenSeed> {
  readonly accessor: string;
  readonly createdAt: number;
  expiresAt: number | null;
}

/** One role of a login method; `secrets` are its secret ids or the JWTs it takes. */
export interface LoginRole {
  readonly mount: string;
  readonly method: "approle" | "kubernetes" | "jwt";
  /** AppRole: the role id. */
  readonly role: string;
  readonly secrets: Set<string>;
  readonly policy: readonly PolicyRule[] | null;
  readonly ttlSeconds: number;
}

const SYSTEM_TTL = 768 * 3600;

export class Tokens {
  readonly roles: LoginRole[] = [];
  readonly #tokens = new Map<string, Token>();
  readonly #wrapped = new Map<string, { data: JsonObject; expiresAt: number }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  create(seed: TokenSeed = {}): string {
    const { type = "service", ttlSeconds = SYSTEM_TTL } = seed;
    const token =
      seed.token ?? `${type === "batch" ? "hvb" : "hvs"}.${randomBytes(18).toString("base64url")}`;
    const now = this.#now();
    this.#tokens.set(token, {
      token,
      type,
      ttlSeconds,
      policy: seed.policy ?? null,
      renewable: seed.renewable ?? (type === "service" && ttlSeconds !== null),
      accessor: randomBytes(12).toString("base64url"),
      createdAt: now,
      expiresAt: ttlSeconds === null ? null : now + ttlSeconds * 1000,
    });
    return token;
  }

  /** Ends a token now, as its time-to-live or a revocation would. */
  expire(token: string): void {
    this.#tokens.delete(token);
  }

  /** The token of the request, or 403: Vault says the same of missing, wrong and expired ones. */
  known(text: string | undefined): Token {
    const token = text === undefined ? undefined : this.#tokens.get(text);
    if (token === undefined) throw text === undefined ? denied() : invalidToken();
    if (token.expiresAt !== null && token.expiresAt <= this.#now()) throw invalidToken();
    return token;
  }

  // ---------------------------------------------------------------- login

  login(mount: string, body: JsonObject): JsonObject {
    const roles = this.roles.filter((role) => role.mount === mount);
    const method = roles[0]?.method;
    if (method === undefined) throw denied();
    const secretField = method === "approle" ? "secret_id" : "jwt";
    const roleField = method === "approle" ? "role_id" : "role";
    const { [roleField]: roleName, [secretField]: secret } = body;
    if (typeof roleName !== "string" || roleName === "") throw badRequest(`missing ${roleField}`);
    if (typeof secret !== "string" || secret === "") throw badRequest(`missing ${secretField}`);
    const role = roles.find((candidate) => candidate.role === roleName);
    if (role === undefined) throw badRequest(UNKNOWN_ROLE[method]);
    if (!role.secrets.has(secret)) throw BAD_SECRET[method]();
    return this.authJson(this.known(this.create({ policy: role.policy, ttlSeconds: role.ttlSeconds })));
  }

  /** Hides data behind a token that opens once. */
  wrap(data: JsonObject, ttlSeconds = 300): string {
    const token = `hvs.${randomBytes(18).toString("base64url")}`;
    this.#wrapped.set(token, { data, expiresAt: this.#now() + ttlSeconds * 1000 });
    return token;
  }

  unwrap(token: string): JsonObject {
    const found = this.#wrapped.get(token);
    this.#wrapped.delete(token);
    if (found === undefined || found.expiresAt <= this.#now()) {
      throw badRequest("wrapping token is not valid or does not exist");
    }
    return found.data;
  }

  // ---------------------------------------------------------------- auth/token

  renew(token: Token, body: JsonObject): JsonObject {
    if (token.type === "batch") throw badRequest("batch tokens cannot be renewed");
    if (!token.renewable) throw badRequest("lease is not renewable");
    const { increment } = body;
    const wanted =
      increment === undefined ? (token.ttlSeconds ?? SYSTEM_TTL) : seconds(increment, "increment");
    const granted = Math.min(wanted, SYSTEM_TTL);
    token.expiresAt = this.#now() + granted * 1000;
    return this.authJson(token);
  }

  lookup(token: Token): JsonObject {
    const iso = (ms: number) => new Date(ms).toISOString();
    return {
      accessor: token.accessor,
      creation_time: Math.floor(token.createdAt / 1000),
      creation_ttl: token.ttlSeconds ?? 0,
      display_name: "token",
      entity_id: "",
      expire_time: token.expiresAt === null ? null : iso(token.expiresAt),
      explicit_max_ttl: 0,
      id: token.token,
      issue_time: iso(token.createdAt),
      meta: null,
      num_uses: 0,
      orphan: true,
      path: "auth/token/create",
      policies: policiesOf(token),
      renewable: token.renewable,
      ttl: this.#ttl(token),
      type: token.type,
    };
  }

  authJson(token: Token): JsonObject {
    return {
      client_token: token.token,
      accessor: token.accessor,
      policies: policiesOf(token),
      token_policies: policiesOf(token),
      metadata: {},
      lease_duration: this.#ttl(token),
      renewable: token.renewable,
      entity_id: randomUUID(),
      token_type: token.type,
      orphan: true,
      mfa_requirement: null,
      num_uses: 0,
    };
  }

  #ttl({ expiresAt }: Token): number {
    return expiresAt === null ? 0 : Math.max(0, Math.ceil((expiresAt - this.#now()) / 1000));
  }
}

const UNKNOWN_ROLE = {
  approle: "invalid role or secret ID",
  kubernetes: "invalid role name",
  jwt: "role could not be found",
} as const;

const BAD_SECRET: Readonly<Record<LoginRole["method"], () => VaultError>> = {
  approle: () => badRequest("invalid role or secret ID"),
  kubernetes: () => denied(),
  jwt: () => badRequest("error validating token: no known key successfully validated the token signature"),
};

const policiesOf = ({ policy }: Token): string[] => (policy === null ? ["root"] : ["default", "sandbox"]);

// ---------------------------------------------------------------- policies

/** What any valid token may do: the `default` policy. */
const DEFAULT: readonly PolicyRule[] = [
  { path: "auth/token/lookup-self", capabilities: ["read"] },
  { path: "auth/token/renew-self", capabilities: ["update"] },
  { path: "auth/token/revoke-self", capabilities: ["update"] },
];

/** Throws 403 unless the policy allows the operation; writes need `create` or `update` as the thing exists or not. */
export function authorize(token: Token, path: string, operation: VaultOperation, exists: boolean): void {
  if (token.policy === null) return;
  const needed: Capability = operation === "write" ? (exists ? "update" : "create") : operation;
  const rule = bestRule([...DEFAULT, ...token.policy], path);
  if (rule?.capabilities.includes(needed) !== true) throw denied();
}

/** Some rule speaks of this mount: enough for `sys/internal/ui/mounts`. */
export const hasSomeAccess = ({ policy }: Token, mount: string): boolean =>
  policy === null || policy.some((rule) => rule.path.startsWith(`${mount}/`));

/** The most specific one wins, as in Vault: exact before glob, longer before shorter. */
function bestRule(rules: readonly PolicyRule[], path: string): PolicyRule | undefined {
  const matching = rules.filter((rule) => patternOf(rule.path).test(path));
  const weight = ({ path: pattern }: PolicyRule) => (pattern.endsWith("*") ? 0 : 10_000) + pattern.length;
  return matching.sort((a, b) => weight(b) - weight(a))[0];
}

function patternOf(path: string): RegExp {
  const glob = path.endsWith("*");
  const literal = (glob ? path.slice(0, -1) : path)
    .split("/")
    .map((segment) => (segment === "+" ? "[^/]+" : segment.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")))
    .join("/");
  return new RegExp(`^${literal}${glob ? ".*" : ""}$`, "s");
}
