/**
 * Calls a minute by kind, for the whole team. https://vercel.com/docs/limits#rate-limits
 *
 * A batch counts once. What the page does not list (shared variables) is counted like its neighbour.
 */
import type { AccountLimits } from "../sync/limits.ts";
import type { IdentifyCredential } from "../sync/ports.ts";
import type { VercelBlock } from "./vercel-target.ts";

const PER_MINUTE: readonly (readonly [name: string, calls: number, operations: RegExp])[] = [
  ["env read", 500, /^GET .*\/env\b/],
  ["env create", 120, /^POST .*\/env$/],
  ["env update", 120, /^PATCH .*\/env\b/],
  ["env delete", 60, /^DELETE .*\/env\/\{id\}$/],
  ["env batch delete", 60, /^DELETE .*\/env$/],
];

export function vercelLimits({ api, team, token }: VercelBlock, identify: IdentifyCredential): AccountLimits {
  return {
    account: ["vercel", new URL(api).host, team?.toLowerCase() ?? identify(token)].join(" "),
    limits: PER_MINUTE.map(([name, calls, operations]) => ({
      name,
      calls,
      perMs: 60_000,
      cost: ({ operation }) => (operations.test(operation) ? 1 : 0),
    })),
  };
}
