/**
 * 700 requests a minute and 40 a second for an API key (https://neon.com/docs/reference/api-reference, rate
 * limiting). Neon counts the seconds by route; we count one route by itself, which a reading asks several times, and
 * all others together, which is never more.
 */
import type { AccountLimits, LimitedCall } from "../sync/limits.ts";
import type { IdentifyCredential } from "../sync/ports.ts";
import type { NeonBlock } from "./neon.ts";

export function neonLimits({ api, apiKey }: NeonBlock, identify: IdentifyCredential): AccountLimits {
  return {
    account: ["neon", new URL(api).host, identify(apiKey)].join(" "),
    limits: [
      { name: "minute", calls: 700, perMs: 60_000, cost: () => 1 },
      { name: "second", calls: 40, perMs: 1_000, cost: (call) => (reveals(call) ? 0 : 1) },
      { name: "reveal", calls: 40, perMs: 1_000, cost: (call) => (reveals(call) ? 1 : 0) },
    ],
  };
}

const reveals = ({ operation }: LimitedCall): boolean => operation.endsWith("/reveal_password");
