/** What every request gets: an id, safe headers on its answer, a line in the log, a place in the metrics. */
import { randomUUID } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { requestId } from "hono/request-id";
import { routePath } from "hono/route";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { ApiEnv } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

/** Takes over a proxy's `X-Request-Id` if it is a sane one, else makes one; sent back either way. */
export function identified(): MiddlewareHandler<ApiEnv> {
  return requestId({ limitLength: 64, generator: () => randomUUID() });
}

const SAFE_HEADERS = Object.entries({
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
});

/** Answers are for the caller alone: not to be kept, framed, or taken for something else. An answer may name its own. */
export function safeHeaders(): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const { outgoing } = (c.env as ApiEnv["Bindings"] | undefined) ?? {};
    // Node puts them beside those of the answer. To rewrite the answer's own would take longer than to make it.
    if (outgoing !== undefined) for (const [name, value] of SAFE_HEADERS) outgoing.setHeader(name, value);
    await next();
    if (outgoing !== undefined) return;
    for (const [name, value] of SAFE_HEADERS) if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  };
}

/** Names the route's pattern and never the path, the query or a header: those are the caller's. */
export function observed(log: Logger, metrics: Metrics): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const start = performance.now();
    await next();
    const seconds = (performance.now() - start) / 1_000;
    const { status } = c.res;
    const method = METHODS.has(c.req.method) ? c.req.method : "OTHER";
    const route = routePath(c, -1);
    metrics.answered({ method, route, status, seconds });
    const fields = { requestId: c.get("requestId"), method, route, status, ms: Math.round(seconds * 1_000) };
    log[levelOf(status)]({ ...fields, ...failure(c.error) }, "answered");
  };
}

/** Anybody can make up a method; a label for each would be without end. */
const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

function levelOf(status: number): "debug" | "info" | "error" {
  if (status >= 500) return "error";
  return status >= 400 ? "info" : "debug";
}

function failure(error: Error | undefined): Record<string, unknown> {
  if (error === undefined) return {};
  return error instanceof ApiProblem ? { problem: error.code } : { err: error };
}
