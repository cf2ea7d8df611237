/**
 * Requests a second by group, for an account and region; not adjustable. Reading values and descriptions is
 * allowed so often (10,000) that it is not counted here.
 * https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html#quotas
 */
import type { AccountLimits } from "../sync/limits.ts";
import type { OutgoingResponse } from "../sync/ports.ts";
import type { AwsBlock } from "./aws-secrets-manager.ts";

const PER_SECOND = 50;

/** Operations that AWS counts together. */
const GROUPS: readonly (readonly [name: string, operations: readonly string[]])[] = [
  [
    "update",
    [
      "PutSecretValue",
      "UpdateSecret",
      "UpdateSecretVersionStage",
      "ReplicateSecretToRegions",
      "RemoveRegionsFromReplication",
    ],
  ],
  ["create", ["CreateSecret"]],
  ["delete", ["DeleteSecret"]],
  ["restore", ["RestoreSecret"]],
  ["tag", ["TagResource", "UntagResource"]],
];

export function awsLimits({ account, region, endpoint }: AwsBlock): AccountLimits {
  return {
    account: ["aws", ...(endpoint === undefined ? [] : [new URL(endpoint).host]), region, account].join(" "),
    limits: GROUPS.map(([name, operations]) => ({
      name,
      calls: PER_SECOND,
      perMs: 1_000,
      cost: ({ operation }) => (operations.includes(operation) ? 1 : 0),
    })),
    throttledMs,
  };
}

/** AWS throttles with HTTP 400 and the error's name, and fills up again every second. */
function throttledMs({ status, headers, body }: OutgoingResponse): number | null {
  if (status < 400) return null;
  const named = `${headers["x-amzn-errortype"] ?? ""} ${body.slice(0, 1_000)}`;
  return status === 429 || /Throttl|TooManyRequests|RequestLimitExceeded|SlowDown/.test(named) ? 2_000 : null;
}
