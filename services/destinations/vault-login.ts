/**
 * Tokens: where they come from and how long they are good. node-vault's own logins and renewals are not
 * used: they forget mount points, overflow timers and stop silently. A token is kept for the process, one
 * login or renewal at a time for each identity, renewed past half its life, asked for anew after one 403.
 */
import { z } from "zod";
import { decodeJson } from "../http.ts";
import { SyncError } from "../sync/errors.ts";
import type { CredentialRef, Io, ResolveCredential } from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";
import { vaultError } from "./vault-errors.ts";
import { encodePath } from "./vault-paths.ts";
import type { SendToVault, VaultAnswer, VaultCall, VaultSite } from "./vault-transport.ts";

interface JwtLogin {
  readonly role: string;
  readonly jwt: CredentialRef;
  readonly mount: string;
}

export type VaultAuth =
  | { readonly token: CredentialRef }
  | {
      readonly approle: {
        readonly roleId: CredentialRef;
        readonly secretId: CredentialRef;
        readonly mount: string;
        /** `secretId` is a wrapping token, good for one unwrapping. */
        readonly wrapped: boolean;
      };
    }
  | { readonly kubernetes: JwtLogin }
  | { readonly jwt: JwtLogin };

/** What Vault says of the token in use. */
export interface TokenFacts {
  /** Namespace that the token was made in, without slashes at its ends; undefined where Vault does not say. */
  readonly namespace: string | undefined;
}

/** Calls with a token that works, for one piece of work. */
export class VaultSession {
  readonly #site: VaultSite;
  readonly #auth: VaultAuth;
  readonly #credential: ResolveCredential;
  readonly #io: Io;
  readonly #send: SendToVault;
  #retried = false;

  constructor(site: VaultSite, auth: VaultAuth, credential: ResolveCredential, io: Io, send: SendToVault) {
    this.#site = site;
    this.#auth = auth;
    this.#credential = credential;
    this.#io = io;
    this.#send = send;
  }

  /**
   * The answer, whatever its status. A 403 may mean that the token is dead, so it is asked for anew, once;
   * what is 403 after that is a missing permission. Throws `unauthenticated` if no token is to be had.
   */
  async call(call: Omit<VaultCall, "token">): Promise<VaultAnswer> {
    const token = await this.#token();
    const answer = await this.#send({ ...call, token });
    if (answer.status !== 403 || this.#retried) return answer;
    this.#retried = true;
    const fresh = await this.#tokenAfterRefusal(token);
    return fresh === null ? answer : this.#send({ ...call, token: fresh });
  }

  /** Asks Vault about the token, and so proves it. Needs only the policy `default`. */
  async lookup(): Promise<TokenFacts> {
    const operation = "GET auth/token/lookup-self";
    const answer = await this.call({ method: "GET", path: "auth/token/lookup-self", operation });
    if (answer.status === 403) throw notAccepted(answer, operation);
    if (answer.status !== 200) throw vaultError(answer, operation, false);
    const { data } = decodeJson(answer.response, lookupAnswer, { vendor: "vault", operation });
    if ("token" in this.#auth && data.ttl > 0) {
      const token = trimmed(this.#credential(this.#auth.token));
      leases.set(this.#key(), leaseOf(token, data.ttl, data.creation_ttl ?? data.ttl, data.renewable));
    }
    return { namespace: data.namespace_path?.replace(/^\/+|\/+$/g, "") };
  }

  async #token(): Promise<Secret> {
    const key = this.#key();
    const lease = leases.get(key);
    if ("token" in this.#auth) {
      // Its life is known once somebody has looked it up.
      if (lease !== undefined && renewalDue(lease)) await this.#renew(key, lease).catch(() => undefined);
      return trimmed(this.#credential(this.#auth.token));
    }
    if (lease === undefined || lease.endsAt - MARGIN_MS < performance.now()) return this.#login(key);
    if (!renewalDue(lease)) return lease.token;
    try {
      return await this.#renew(key, lease);
    } catch {
      return lease.token; // still good for now, and the next call tries again
    }
  }

  async #tokenAfterRefusal(refused: Secret): Promise<Secret | null> {
    if ("token" in this.#auth) {
      const now = trimmed(this.#credential(this.#auth.token));
      if (now.reveal() !== refused.reveal()) return now; // replaced meanwhile
      const operation = "GET auth/token/lookup-self";
      const answer = await this.#send({
        method: "GET",
        path: "auth/token/lookup-self",
        operation,
        token: refused,
      });
      if (answer.status === 403) throw notAccepted(answer, operation);
      return null;
    }
    const key = this.#key();
    if (leases.get(key)?.token === refused) leases.delete(key);
    const kept = leases.get(key);
    return kept === undefined ? this.#login(key) : kept.token;
  }

  #login(key: string): Promise<Secret> {
    return oneFlight(`login ${key}`, this.#io.signal, async () => {
      const [mount, body] = await this.#loginBody();
      const operation = `POST auth/${methodOf(this.#auth)}/login`;
      const path = `auth/${encodePath(mount)}/login`;
      const answer = await this.#send({ method: "POST", path, operation, body, token: null });
      if ([400, 401, 403, 404].includes(answer.status)) throw loginRefused(answer, operation);
      return this.#keep(key, answer, operation);
    });
  }

  async #loginBody(): Promise<[mount: string, body: Secret]> {
    const auth = this.#auth;
    if ("approle" in auth) {
      const { mount, roleId, secretId, wrapped } = auth.approle;
      const given = trimmed(this.#credential(secretId));
      const id = wrapped ? await this.#unwrap(given) : given;
      return [mount, json({ role_id: trimmed(this.#credential(roleId)).reveal(), secret_id: id.reveal() })];
    }
    if ("token" in auth) throw new TypeError("a token needs no login");
    const { mount, role, jwt } = "kubernetes" in auth ? auth.kubernetes : auth.jwt;
    return [mount, json({ role, jwt: trimmed(this.#credential(jwt)).reveal() })];
  }

  /** A wrapping token opens once, so what was in it is kept as long as the process lives. */
  #unwrap(wrapping: Secret): Promise<Secret> {
    const key = this.#io.fingerprint(wrapping);
    return oneFlight(`unwrap ${key}`, this.#io.signal, async () => {
      const known = unwrapped.get(key);
      if (known !== undefined) return known;
      const operation = "POST sys/wrapping/unwrap";
      const answer = await this.#send({
        method: "POST",
        path: "sys/wrapping/unwrap",
        operation,
        token: wrapping,
      });
      if ([400, 403, 404].includes(answer.status)) throw spent(answer, operation);
      if (answer.status !== 200) throw vaultError(answer, operation, true);
      const { data } = decodeJson(answer.response, unwrapAnswer, { vendor: "vault", operation });
      const secretId = new Secret(data.secret_id);
      unwrapped.set(key, secretId);
      return secretId;
    });
  }

  #renew(key: string, lease: Lease): Promise<Secret> {
    return oneFlight(`renew ${key}`, this.#io.signal, async () => {
      const operation = "POST auth/token/renew-self";
      const path = "auth/token/renew-self";
      const answer = await this.#send({
        method: "POST",
        path,
        operation,
        body: json({}),
        token: lease.token,
      });
      return this.#keep(key, answer, operation, lease.token);
    });
  }

  /** `known`: the token that was renewed, which Vault may not repeat. */
  #keep(key: string, answer: VaultAnswer, operation: string, known?: Secret): Secret {
    if (answer.status !== 200) throw vaultError(answer, operation, false);
    const { auth } = decodeJson(answer.response, loginAnswer, { vendor: "vault", operation });
    const token = known ?? new Secret(auth.client_token);
    remember(key, leaseOf(token, auth.lease_duration, auth.lease_duration, auth.renewable));
    return token;
  }

  /** Whose token it is. References and keyed hashes, never a credential. */
  #key(): string {
    const auth = this.#auth;
    const print = (ref: CredentialRef) => this.#io.fingerprint(trimmed(this.#credential(ref)));
    const who =
      "token" in auth
        ? [print(auth.token)]
        : "approle" in auth
          ? [auth.approle.mount, print(auth.approle.roleId), print(auth.approle.secretId)]
          : // Their tokens are replaced every hour: who they speak for stays the same.
            Object.values("kubernetes" in auth ? auth.kubernetes : auth.jwt);
    return JSON.stringify([this.#site.address, this.#site.namespace, methodOf(auth), who]);
  }
}

// ---------------------------------------------------------------- kept for the process

interface Lease {
  readonly token: Secret;
  /** On the monotonic clock. */
  readonly endsAt: number;
  readonly renewAt: number;
}

/** A token that ends within this is not begun with: longer than any one call. */
const MARGIN_MS = 15_000;
const KEPT = 1_000;
const leases = new Map<string, Lease>();
const unwrapped = new Map<string, Secret>();
const flights = new Map<string, { readonly signal: AbortSignal; readonly result: Promise<Secret> }>();

const renewalDue = (lease: Lease): boolean => performance.now() >= lease.renewAt;

/** Seconds, as Vault gives them; 0 is for ever. */
function leaseOf(token: Secret, ttl: number, whole: number, renewable: boolean): Lease {
  const now = performance.now();
  const endsAt = ttl === 0 ? Number.POSITIVE_INFINITY : now + ttl * 1000;
  return { token, endsAt, renewAt: renewable ? endsAt - (whole * 1000) / 2 : Number.POSITIVE_INFINITY };
}

function remember(key: string, lease: Lease): void {
  leases.delete(key);
  leases.set(key, lease);
  const oldest = leases.keys().next().value;
  if (leases.size > KEPT && oldest !== undefined) leases.delete(oldest);
}

/** Who comes while another is at it waits for the same result; unless that one's own work was stopped. */
async function oneFlight(key: string, signal: AbortSignal, run: () => Promise<Secret>): Promise<Secret> {
  for (;;) {
    const flying = flights.get(key);
    if (flying === undefined) break;
    try {
      return await flying.result;
    } catch (error) {
      if (!flying.signal.aborted || signal.aborted) throw error;
    }
  }
  const result = run().finally(() => flights.delete(key));
  flights.set(key, { signal, result });
  return result;
}

// ---------------------------------------------------------------- answers and refusals

const loginAnswer = z.object({
  auth: z.object({
    client_token: z.string().min(1),
    lease_duration: z.number().min(0),
    renewable: z.boolean(),
  }),
});
const unwrapAnswer = z.object({ data: z.object({ secret_id: z.string().min(1) }) });
const lookupAnswer = z.object({
  data: z.object({
    ttl: z.number().min(0),
    creation_ttl: z.number().min(0).optional(),
    renewable: z.boolean().default(false),
    namespace_path: z.string().optional(),
  }),
});

function methodOf(auth: VaultAuth): string {
  return Object.keys(auth)[0] ?? "token";
}

function trimmed(secret: Secret): Secret {
  return new Secret(secret.reveal().trim()); // files end in a newline
}

function json(value: Readonly<Record<string, string>>): Secret {
  return new Secret(JSON.stringify(value));
}

function refusal(answer: VaultAnswer, operation: string, message: string, next: string): SyncError {
  const { requestId } = answer.response;
  return new SyncError("unauthenticated", `${message} (HTTP ${answer.status})`, {
    vendor: "vault",
    operation,
    status: answer.status,
    next,
    ...(requestId === undefined ? {} : { requestId }),
  });
}

const notAccepted = (answer: VaultAnswer, operation: string): SyncError =>
  refusal(
    answer,
    operation,
    "Vault does not accept the token",
    "Replace the token: it is revoked or expired.",
  );

const loginRefused = (answer: VaultAnswer, operation: string): SyncError =>
  refusal(
    answer,
    operation,
    "Vault refused the login",
    "Check the auth method's mount, the role, and the credential that the destination names.",
  );

const spent = (answer: VaultAnswer, operation: string): SyncError =>
  refusal(
    answer,
    operation,
    "the wrapped secret id cannot be opened",
    "Deliver a new wrapped secret id. If nobody restarted Branchline since it was made, someone else may have opened it.",
  );
