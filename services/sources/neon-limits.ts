/**
 * 700 requests a minute and 40 a second for an API key (https://neon.com/docs/reference/api-reference, rate
 * limiting). Neon counts the seconds by route; we count all routes together, which is never more.
 */
import type { AccountLimits } from "../sync/limits.ts";
import type { IdentifyCredential } from "../sync/ports.ts";
import type { NeonBlock } from "./neon.ts";

export function neonLimits({ api, apiKey }: NeonBlock, identify: IdentifyCredential): AccountLimits {
  return {
    account: ["neon", new URL(api).host, identify(apiKey)].join(" "),
    limits: [
      { name: "minute", calls: 700, perMs: 60_000, cost: () => 1 },
      { name: "second", calls: 40, perMs: 1_000, cost: () => 1 },
    ],
  };
}
