/** Reading what a vendor answered: statuses to codes, waits, and JSON that may not be what was promised. */
import type { z } from "zod";
import { type Code, SyncError } from "../sync/errors.ts";
import type { OutgoingResponse } from "../sync/ports.ts";

const MIN_WAIT_MS = 1_000;
const MAX_WAIT_MS = 15 * 60_000;
/** When a vendor limits us and does not say for how long. */
const UNTOLD_WAIT_MS = 60_000;

export interface CallContext {
  readonly vendor: string;
  readonly operation: string;
  /** Whether the call changes something. Default: whatever its operation's method says. */
  readonly write?: boolean;
}

/**
 * How long the vendor asks us to wait, between 1 second and 15 minutes; undefined if it does not say. Reads
 * `Retry-After` (seconds or date, RFC 9110 10.2.3), GitHub's `x-ratelimit-remaining: 0` with
 * `x-ratelimit-reset`, and the `limit.reset` of Vercel's error bodies. Negative waits have been seen: clamped.
 */
export function retryAfterMs(response: OutgoingResponse, now: number = Date.now()): number | undefined {
  const wait =
    fromRetryAfter(response, now) ?? fromLimitHeaders(response, now) ?? fromLimitBody(response, now);
  return wait === undefined ? undefined : Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, Math.ceil(wait)));
}

/**
 * How long the vendor wants no more calls of this kind: an answer that refuses for that reason, or that says
 * of itself that it is the last one for now. Null: no reason to stop.
 */
export function throttledMs(response: OutgoingResponse, now: number = Date.now()): number | null {
  if (codeOfStatus(response) === "rate_limited") return retryAfterMs(response, now) ?? UNTOLD_WAIT_MS;
  return fromLimitHeaders(response, now) === undefined ? null : (retryAfterMs(response, now) ?? null);
}

/** The error of an answer that is not a success, by its status alone. Nothing of the body is repeated. */
export function errorFromStatus(response: OutgoingResponse, context: CallContext): SyncError {
  const { status } = response;
  const code = codeOfStatus(response);
  const wait =
    code === "rate_limited"
      ? (retryAfterMs(response) ?? UNTOLD_WAIT_MS)
      : code === "unavailable"
        ? retryAfterMs(response)
        : undefined;
  return new SyncError(code, `${context.vendor} ${WORDS[code] ?? "refused the call"} (HTTP ${status})`, {
    vendor: context.vendor,
    operation: context.operation,
    status,
    // A gateway's 5xx may hide a write that went through.
    ambiguous: status >= 500 && isWrite(context),
    ...(NEXT[code] === undefined ? {} : { next: NEXT[code] }),
    ...(response.requestId === undefined ? {} : { requestId: response.requestId }),
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  });
}

/**
 * The body as JSON of the expected shape. Schemas are to be narrow and tolerant: name what is used, let the
 * rest pass. Throws `unavailable`, since what answers HTML or half a document is a gateway in between.
 */
export function decodeJson<T>(response: OutgoingResponse, schema: z.ZodType<T>, context: CallContext): T {
  const parsed = schema.safeParse(parseJson(response.body));
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0]?.path.join(".") ?? "";
  throw new SyncError(
    "unavailable",
    `${context.vendor} answered HTTP ${response.status} with something else than it documents${where === "" ? "" : ` (at ${where})`}`,
    {
      vendor: context.vendor,
      operation: context.operation,
      status: response.status,
      ambiguous: isWrite(context),
      next: "It is tried again. If it stays, check the configured address and what stands in between.",
      ...(response.requestId === undefined ? {} : { requestId: response.requestId }),
    },
  );
}

function isWrite({ operation, write }: CallContext): boolean {
  return write ?? !/^(GET|HEAD|OPTIONS|LIST) /.test(operation);
}

function codeOfStatus(response: OutgoingResponse): Code {
  const { status, headers } = response;
  if (status === 403 && (headers["retry-after"] !== undefined || headers["x-ratelimit-remaining"] === "0")) {
    return "rate_limited";
  }
  if (status >= 500 || status < 200) return "unavailable";
  if (status >= 300 && status < 400) return "target_missing";
  return BY_STATUS[status] ?? "internal";
}

const BY_STATUS: Readonly<Record<number, Code>> = {
  401: "unauthenticated",
  402: "limit_exceeded",
  403: "forbidden",
  404: "target_missing",
  408: "unavailable",
  409: "conflict",
  410: "target_missing",
  412: "conflict",
  413: "invalid_secret",
  422: "invalid_secret",
  423: "unavailable",
  425: "unavailable",
  429: "rate_limited",
};

const WORDS: Partial<Readonly<Record<Code, string>>> = {
  unauthenticated: "does not accept the credential",
  forbidden: "does not allow this with the credential given",
  target_missing: "does not know what was addressed, or does not show it to this credential",
  conflict: "says that something else changed it meanwhile",
  invalid_secret: "refuses the name or the value",
  rate_limited: "asks us to slow down",
  limit_exceeded: "says that a limit of the plan is reached",
  unavailable: "cannot answer now",
};

const NEXT: Partial<Readonly<Record<Code, string>>> = {
  unauthenticated: "Replace the credential; the work is taken up on the next check.",
  forbidden: "Give the credential the missing permission.",
  target_missing: "Check the target's spelling, that it exists, and that the credential may see it.",
  invalid_secret: "Check the variable's name and the size of its value.",
  rate_limited: "Nothing: it is tried again when the vendor allows.",
  limit_exceeded: "Make room or raise the limit at the vendor.",
  unavailable: "Nothing: it is tried again.",
};

function fromRetryAfter({ headers, date }: OutgoingResponse, now: number): number | undefined {
  const header = headers["retry-after"]?.trim();
  if (header === undefined || header === "") return undefined;
  if (/^\d+(\.\d+)?$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : at - (date?.getTime() ?? now);
}

function fromLimitHeaders({ headers, date }: OutgoingResponse, now: number): number | undefined {
  const reset = Number(headers["x-ratelimit-reset"]);
  if (headers["x-ratelimit-remaining"] !== "0" || !(reset > 0)) return undefined;
  return reset * 1000 - (date?.getTime() ?? now);
}

function fromLimitBody({ body, date }: OutgoingResponse, now: number): number | undefined {
  if (!body.includes('"limit"')) return undefined;
  const limit = dig(parseJson(body), "error", "limit");
  const reset = dig(limit, "reset");
  return typeof reset === "number" && reset > 0 ? reset * 1000 - (date?.getTime() ?? now) : undefined;
}

function dig(value: unknown, ...path: readonly string[]): unknown {
  let at = value;
  for (const key of path) at = at !== null && typeof at === "object" ? Reflect.get(at, key) : undefined;
  return at;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // any schema refuses this, in words of our own
  }
}
