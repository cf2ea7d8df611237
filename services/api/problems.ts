/** Errors of the API: RFC 9457 problem documents. Thrown anywhere below a route, written in one place. */
import type { Context } from "hono";
import { isAway } from "../sync/away.ts";
import { SyncError } from "../sync/errors.ts";
import type { ApiEnv } from "./ports.ts";

/** Codes are stable and documented; each has one status, a title, and what to make of it. */
export const PROBLEMS = {
  invalid_request: [
    400,
    "The request is not understood",
    "A parameter or a member of the body is unknown, missing or impossible. `parameters` names each, with a JSON pointer.",
  ],
  invalid_document: [
    400,
    "The document is not right",
    "`problems` lists everything that is wrong, each with file, line, column, JSON pointer and what to do.",
  ],
  refused_references: [
    422,
    "The document names credentials that it may not name",
    "`references` says which. The server's BRANCHLINE_REFS lists what a document that is sent may refer to.",
  ],
  managed_by_file: [
    409,
    "The server's own file says what is to be",
    "Change the file that BRANCHLINE_CONFIG names (`file`), in whichever process; through the API sources, destinations and rules cannot be changed until `POST /v1/unmanage`.",
  ],
  plan_moved: [
    409,
    "The world has moved since the plan was made",
    "`plan` is the id of what would be done now. Look at a new plan, and apply that.",
  ],
  unconfirmed: [
    409,
    "This has to be confirmed",
    "`unsafe` says why. Send the plan's id as `confirm` if it is what you want.",
  ],
  old_revision: [
    409,
    "A later revision was applied before",
    "The document's `revision` is lower than `stored`. Take the newest document, or raise the number.",
  ],
  malformed: [400, "The body is not understood", "The body is not JSON, or broke off."],
  stale_timestamp: [
    400,
    "The message is too old or from the future",
    "A signed delivery's time is too far from ours. Check the clocks.",
  ],
  bad_signature: [
    401,
    "The signature does not hold",
    "A delivery is not signed with a secret that is known.",
  ],
  unauthenticated: [
    401,
    "A valid token is needed",
    "No token came, or one that is unknown, expired or revoked.",
  ],
  forbidden: [
    403,
    "The token may not do this",
    "The token lacks the scope that is named, or its limits exclude this. Ask for another token.",
  ],
  not_found: [
    404,
    "Nothing is here",
    "There is no such thing, or the token's limits do not let it be seen. `parameters` may suggest what was meant.",
  ],
  conflict: [
    409,
    "This does not go with the state that it is in",
    "Read the state, and do first what the detail says.",
  ],
  behind: [
    409,
    "Something is behind and does not get on by itself",
    "`behind` lists what is not in step, each with its code, its cause and what to do next.",
  ],
  repeat_under_way: [
    409,
    "The first request with this key has not ended",
    "Ask again after `Retry-After` seconds with the same key.",
  ],
  repeat_not_kept: [
    409,
    "This was done before, and the answer was not kept",
    "The first answer held a secret, which is shown once. Make a new one with another key.",
  ],
  source_unready: [
    409,
    "The branch is not ready for this",
    "Neon has the branch, but not yet what was asked for: a compute, a role that can log in.",
  ],
  commit_unseen: [
    409,
    "Neon has not been looked at since this commit was heard of",
    "A look has been asked for. Ask again after `Retry-After` seconds.",
  ],
  method_not_allowed: [405, "This cannot be done here", "The header `Allow` lists what can."],
  body_too_slow: [408, "The body took too long", "Send it again over a better line."],
  precondition_failed: [
    412,
    "It has changed meanwhile",
    "`If-Match` names another version than the one that is there. Read it again.",
  ],
  body_too_large: [413, "The body is too large", "The detail says how much is read."],
  unsupported_media_type: [415, "The body has the wrong type", "Send `application/json`."],
  key_reused: [
    422,
    "The key belongs to another request",
    "This `Idempotency-Key` came with other content before. Use a new key for a new request.",
  ],
  precondition_required: [
    428,
    "Say which version is meant",
    "Send `If-Match` with the `ETag` of what you have read.",
  ],
  too_many_requests: [
    429,
    "Too many requests with this token",
    "Wait for as many seconds as `Retry-After` says.",
  ],
  internal: [500, "Something went wrong here", "The request id leads to the line in the log."],
  source_failed: [
    502,
    "The source did not answer as it should",
    "Neon refused or gave nonsense; the detail says what.",
  ],
  unavailable: [
    503,
    "Not right now",
    "The database or a vendor does not answer. Try again after `Retry-After`.",
  ],
  not_ready: [503, "Not ready", "`missing` lists what has to be so before this process is of use."],
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

/** What `type` says: stable, and listed at `/docs`. */
export const problemType = (code: ProblemCode): string => `urn:branchline:problem:${code}`;

export function writeProblem(c: Context<ApiEnv>, problem: ApiProblem): Response {
  const { code, options } = problem;
  const [status, title] = PROBLEMS[code];
  const body = {
    type: problemType(code),
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
