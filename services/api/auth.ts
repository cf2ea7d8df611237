/** Bearer tokens (RFC 6750) and what they may do. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { BEARER_TOKEN } from "../config.ts";
import type { TokenRow } from "../store/token.ts";
import { Secret } from "../sync/secret.ts";
import { type ApiEnv, type Authenticate, type Principal, SCOPES, type Scope } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import type { Rate } from "./rate.ts";

/** Only the token of the operator, who may do everything. Without one nobody may do anything. */
export function adminTokenOnly(adminToken: Secret | null): Authenticate {
  const expected = adminToken === null || adminToken.bytes === 0 ? null : digest(adminToken);
  const admin: Principal = {
    id: "admin",
    name: "admin token",
    scopes: new Set(SCOPES),
    limits: null,
    revealDefault: true,
  };
  return async (token) => (expected !== null && timingSafeEqual(digest(token), expected) ? admin : null);
}

/** The first that knows the token says whose it is. */
export const anyOf =
  (...all: readonly Authenticate[]): Authenticate =>
  async (token) => {
    for (const authenticate of all) {
      const principal = await authenticate(token);
      if (principal !== null) return principal;
    }
    return null;
  };

/** Lets only known callers past, no faster than their rate, and remembers who it is. */
export function authenticated(authenticate: Authenticate, rate: Rate): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const token = bearer(c.req.header("authorization"));
    const principal = token === null ? null : await authenticate(token);
    if (principal === null) throw unauthenticated(token !== null);
    const waitMs = rate(principal.id);
    if (waitMs > 0) {
      const seconds = Math.ceil(waitMs / 1_000);
      throw new ApiProblem("too_many_requests", `Try again in ${seconds} s.`, {
        headers: { "retry-after": String(seconds) },
      });
    }
    c.set("principal", principal);
    c.set("again", async () => (token === null ? null : await authenticate(token)));
    await next();
  };
}

/**
 * Throws if the caller lacks the scope, which is all that it is told. `whole`: what is asked for cannot be
 * confined, so a token with limits does not get it.
 */
export function entitled(principal: Principal, scope: Scope, whole: boolean): void {
  if (!principal.scopes.has(scope)) {
    throw new ApiProblem("forbidden", `This needs the scope ${scope}.`, {
      headers: {
        "www-authenticate": `Bearer realm="branchline", error="insufficient_scope", scope="${scope}"`,
      },
    });
  }
  if (whole && principal.limits !== null) {
    throw new ApiProblem("forbidden", "This needs a token without limits.");
  }
}

/**
 * Whose the token is by now, for whatever goes on after it was let in. Throws if it was revoked, has expired or lost the
 * scope, and rejects if that cannot be told: what cannot be checked ends.
 */
export async function stillEntitled(c: Context<ApiEnv>, scope: Scope): Promise<Principal> {
  const principal = await c.get("again")();
  if (principal === null) throw unauthenticated(true);
  entitled(principal, scope, false);
  return principal;
}

/** How our own tokens begin, so that people and scanners recognise one that has strayed. */
const PREFIX = "blt_";

/** A new token: 32 random bytes behind the prefix. */
export const mintToken = (): Secret => new Secret(`${PREFIX}${randomBytes(32).toString("base64url")}`);

/**
 * Tokens that were made here. They are found by their hash, so that comparing takes equally long whether a
 * token is nearly right or not at all.
 */
export function storedTokens(find: (hash: Buffer) => Promise<TokenRow | null>): Authenticate {
  return async (token) => {
    if (!token.reveal().startsWith(PREFIX)) return null;
    const row = await find(digest(token));
    if (row === null) return null;
    const { id, name, limits, revealDefault } = row;
    const scopes = new Set(SCOPES.filter((scope) => row.scopes.includes(scope)));
    return { id, name, scopes, limits, revealDefault };
  };
}

/** For whoever checks a signature over it. */
export const revealed = (token: Secret): string => token.reveal();

/** Equal length whatever came in, so that comparing takes equally long. */
export function digest(token: Secret): Buffer {
  return createHash("sha256").update(token.reveal()).digest();
}

function bearer(header: string | undefined): Secret | null {
  const token = /^Bearer +(\S+)$/i.exec(header ?? "")?.[1];
  return token === undefined || !BEARER_TOKEN.test(token) ? null : new Secret(token);
}

function unauthenticated(given: boolean): ApiProblem {
  const error = given ? ', error="invalid_token"' : "";
  return new ApiProblem("unauthenticated", "Send Authorization: Bearer with a token of this installation.", {
    headers: { "www-authenticate": `Bearer realm="branchline"${error}` },
  });
}
