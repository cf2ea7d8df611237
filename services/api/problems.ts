/** Errors of the API: RFC 9457 problem documents. Thrown anywhere below a route, written in one place. */
import type { Context } from "hono";
import { isAway } from "../store/db.ts";
import { SyncError } from "../sync/errors.ts";
import type { ApiEnv } from "./ports.ts";

/** Codes are stable and documented; each has one status. */
const PROBLEMS = {
  invalid_request: [400, "The request is not understood"],
  malformed: [400, "The body is not understood"],
  stale_timestamp: [400, "The message is too old or from the future"],
  bad_signature: [401, "The signature does not hold"],
  unauthenticated: [401, "A valid token is needed"],
  forbidden: [403, "The token may not do this"],
  not_found: [404, "Nothing is here"],
  conflict: [409, "This does not go with the state that it is in"],
  source_unready: [409, "The branch is not ready for this"],
  method_not_allowed: [405, "This cannot be done here"],
  body_too_slow: [408, "The body took too long"],
  body_too_large: [413, "The body is too large"],
  unsupported_media_type: [415, "The body has the wrong type"],
  internal: [500, "Something went wrong here"],
  source_failed: [502, "The source did not answer as it should"],
  unavailable: [503, "Not right now"],
  not_ready: [503, "Not ready"],
} as const;

export type ProblemCode = keyof typeof PROBLEMS;

export interface ProblemOptions {
  /** Members beside those of the RFC, for programs. */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export class ApiProblem extends Error {
  readonly code: ProblemCode;
  readonly options: ProblemOptions;

  /** `detail` is shown to the caller: our own words, nothing of what the caller or a vendor sent. */
  constructor(code: ProblemCode, detail: string, options: ProblemOptions = {}) {
    super(detail);
    this.name = "ApiProblem";
    this.code = code;
    this.options = options;
  }
}

export function writeProblem(c: Context<ApiEnv>, problem: ApiProblem): Response {
  const { code, options } = problem;
  const [status, title] = PROBLEMS[code];
  const body = {
    type: `urn:branchline:problem:${code}`,
    title,
    status,
    ...(problem.message === "" ? {} : { detail: problem.message }),
    requestId: c.get("requestId"),
    ...options.members,
  };
  return c.body(JSON.stringify(body), status, {
    "content-type": "application/problem+json",
    ...options.headers,
  });
}

/** What was not meant to happen says nothing to the outside but the id under which it is logged. */
export function asProblem(thrown: unknown): ApiProblem {
  if (thrown instanceof ApiProblem) return thrown;
  if (isAway(thrown) || (thrown instanceof SyncError && thrown.code === "unavailable")) {
    return new ApiProblem("unavailable", "Try again in a moment.", { headers: { "retry-after": "5" } });
  }
  return new ApiProblem("internal", "");
}
