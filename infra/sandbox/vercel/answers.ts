/** Vercel's error bodies: `{"error":{"code","message",...}}`, https://vercel.com/docs/rest-api/errors. */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

/** Thrown by any rule of this stand-in; the app turns it into Vercel's answer. */
export class VercelRefusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly extra: Readonly<Record<string, unknown>>;
  /** Beside `error`, at the top of the body. */
  readonly beside: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    more: {
      extra?: Record<string, unknown>;
      beside?: Record<string, unknown>;
      headers?: Record<string, string>;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.extra = more.extra ?? {};
    this.beside = more.beside ?? {};
    this.headers = more.headers ?? {};
  }

  /** The `error` object of the body, also used inside `failed[]`. */
  get error(): Record<string, unknown> {
    return { code: this.code, message: this.message, ...this.extra };
  }
}

/** A body or query that Vercel's schema refuses. */
export function invalid(message: string): VercelRefusal {
  return new VercelRefusal(400, "bad_request", `Invalid request: ${message}`);
}

export function refuse(c: Context, refusal: VercelRefusal): Response {
  const body = { ...refusal.beside, error: refusal.error };
  const id = { "x-vercel-id": `fra1::sandbox-${crypto.randomUUID()}` };
  return c.json(body, refusal.status as ContentfulStatusCode, { ...id, ...refusal.headers });
}

/** What Vercel says for a status that a test injects, and for a path that does not exist. */
export function vercelError(status: number, c: Context): Response {
  const [code, message] = STATUS_WORDS[status] ?? ["internal_server_error", "An unexpected error occurred"];
  const extra =
    status === 429
      ? { limit: { total: 120, remaining: 0, reset: Math.ceil(Date.now() / 1000) + 1 }, name: "api" }
      : {};
  return refuse(c, new VercelRefusal(status, code, message, { extra }));
}

const STATUS_WORDS: Readonly<Record<number, readonly [string, string]>> = {
  400: ["bad_request", "Invalid request"],
  401: ["forbidden", "The request is missing an authentication token"],
  402: ["payment_required", "The account was soft-blocked for an unhandled reason"],
  403: ["forbidden", "You don't have permission to access this resource."],
  404: ["not_found", "The requested resource was not found"],
  409: ["conflict", "The project is being transferred and creating an environment variable is not possible"],
  410: ["gone", "The resource is gone"],
  429: ["rate_limited", "Too many requests - try again in 1 second."],
  503: ["service_unavailable", "The service is temporarily unavailable"],
};
