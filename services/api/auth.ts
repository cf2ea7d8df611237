/** Bearer tokens (RFC 6750) and what they may do. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { Secret } from "../sync/secret.ts";
import { type ApiEnv, type Authenticate, type Principal, SCOPES, type Scope } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

/** Only the token of the operator, who may do everything. Without one nobody may do anything. */
export function adminTokenOnly(adminToken: Secret | null): Authenticate {
  const expected = adminToken === null || adminToken.bytes === 0 ? null : digest(adminToken);
  const admin: Principal = { name: "admin token", scopes: new Set(SCOPES), revealDefault: true };
  return async (token) => (expected !== null && timingSafeEqual(digest(token), expected) ? admin : null);
}

/** Lets only known callers past, and remembers who it is. */
export function authenticated(authenticate: Authenticate): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const token = bearer(c.req.header("authorization"));
    const principal = token === null ? null : await authenticate(token);
    if (principal === null) throw unauthenticated(token !== null);
    c.set("principal", principal);
    await next();
  };
}

/** Lets only callers with this scope past. Behind `authenticated`. */
export function scoped(scope: Scope): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    if (!c.get("principal").scopes.has(scope)) {
      throw new ApiProblem("forbidden", `This needs the scope ${scope}.`, {
        headers: {
          "www-authenticate": `Bearer realm="branchline", error="insufficient_scope", scope="${scope}"`,
        },
      });
    }
    await next();
  };
}

/** Equal length whatever came in, so that comparing takes equally long. */
function digest(token: Secret): Buffer {
  return createHash("sha256").update(token.reveal()).digest();
}

function bearer(header: string | undefined): Secret | null {
  const token = /^Bearer +([\w.~+/-]{1,512}=*)$/i.exec(header ?? "")?.[1];
  return token === undefined ? null : new Secret(token);
}

function unauthenticated(given: boolean): ApiProblem {
  const error = given ? ', error="invalid_token"' : "";
  return new ApiProblem("unauthenticated", "Send Authorization: Bearer with a token of this installation.", {
    headers: { "www-authenticate": `Bearer realm="branchline"${error}` },
  });
}
