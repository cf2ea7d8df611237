/**
 * Primary limit 5,000 requests an hour, secondary limit 900 points a minute (a read 1, a write 5), and a second
 * between two writes; for an installation of the app, or the owner of a token. Who goes on regardless may be banned.
 * https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 * https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
 */
import { throttledMs } from "../http.ts";
import type { AccountLimits, Limit, LimitedCall } from "../sync/limits.ts";
import type { IdentifyCredential, OutgoingResponse } from "../sync/ports.ts";
import { githubError } from "./github-errors.ts";
import type { GitHubBlock } from "./github-target.ts";

export function githubLimits(block: GitHubBlock, identify: IdentifyCredential): AccountLimits {
  const { api, app, token, writeSpacingMs } = block;
  const who = app === undefined ? token && identify(token) : `installation ${app.installation}`;
  const spacing: Limit[] =
    writeSpacingMs === 0
      ? []
      : [{ name: "write", calls: 1, perMs: writeSpacingMs, cost: (call) => (isWrite(call) ? 1 : 0) }];
  return {
    account: ["github", new URL(api).host, who].join(" "),
    limits: [
      { name: "hour", calls: 5_000, perMs: 3_600_000, cost: () => 1 },
      { name: "points", calls: 900, perMs: 60_000, cost: (call) => (isWrite(call) ? 5 : 1) },
      ...spacing,
    ],
    throttledMs: (response) => throttledMs(response) ?? secondaryMs(response),
  };
}

/** A token for an installation is asked for by POST, and changes nothing. */
function isWrite({ method, operation }: LimitedCall): boolean {
  return method !== "GET" && !operation.endsWith("/access_tokens");
}

/** A secondary limit may be told by the body alone. */
function secondaryMs(response: OutgoingResponse): number | null {
  if (response.status !== 403) return null;
  return githubError(response, { vendor: "github", operation: "" }).retryAfterMs ?? null;
}
