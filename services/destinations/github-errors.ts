/**
 * What GitHub's refusals mean beyond their status.
 * https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api
 */
import { type CallContext, errorFromStatus } from "../http.ts";
import { SyncError } from "../sync/errors.ts";
import type { OutgoingResponse } from "../sync/ports.ts";

/** GitHub asks for at least a minute after a secondary limit that names no time. */
const SECONDARY_WAIT_MS = 60_000;

/** The error of an answer that is no success. Nothing of the body is repeated. */
export function githubError(response: OutgoingResponse, context: CallContext): SyncError {
  const error = errorFromStatus(response, context);
  if (error.code === "forbidden" && /secondary rate limit|abuse detection/i.test(response.body)) {
    return renamed(error, "rate_limited", "github asks us to slow down", {
      retryAfterMs: SECONDARY_WAIT_MS,
      next: "Nothing: it is tried again when GitHub allows.",
    });
  }
  if (error.code === "forbidden") {
    return renamed(error, "forbidden", "github does not allow this with the credential given", {
      next: "Give the token or the app the permission that GitHub names for this call.",
    });
  }
  if (error.code === "invalid_secret" && /maximum number of (secrets|variables)/i.test(response.body)) {
    return renamed(error, "limit_exceeded", "github holds as many names here as it allows", {
      next: "Remove secrets that are not needed: 100 per repository or environment, 1,000 per organization.",
    });
  }
  return error;
}

function renamed(
  { where }: SyncError,
  code: "rate_limited" | "forbidden" | "limit_exceeded",
  words: string,
  more: { next: string; retryAfterMs?: number },
): SyncError {
  return new SyncError(code, `${words} (HTTP ${where.status})`, { ...where, ...more });
}
