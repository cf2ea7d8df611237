/** What an AWS stand-in is started with. */

/** Who calls, after the signature was verified. */
export interface Principal {
  readonly account: string;
  readonly arn: string;
  /** "secretsmanager:Describe* prd/*": an action and, unless it is for all, the secret names (or role ARNs) it is for. */
  readonly allow: readonly string[];
}

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
  readonly expiresAt: number | null;
  readonly principal: Principal;
}

export interface Role {
  readonly arn: string;
  /** The trust policy's condition; null: none. */
  readonly externalId: string | null;
  /** As a principal's. */
  readonly allow: readonly string[];
}

export interface AwsRules {
  versionQuota: number;
  /** Unlabelled versions younger than this are never removed. */
  versionAgeMs: number;
  /** A name whose secret was deleted by force cannot be used again for so long. */
  forceDeleteGapMs: number;
  /** Reads show what was true so long ago. */
  readLagMs: number;
  /** The same for ListSecrets, which lags longer. AWS: up to 5 minutes. */
  listLagMs: number;
  /** UpdateSecret with a known token and the same value: documented as an error, verified to succeed. */
  updateReplay: "succeeds" | "fails";
}

export interface AwsSeeds {
  readonly region?: string;
  readonly keys?: readonly (Partial<Principal> & { accessKeyId: string; secretAccessKey: string })[];
  readonly roles?: readonly (Partial<Role> & { arn: string })[];
  readonly rules?: Partial<AwsRules>;
  readonly clock?: () => number;
}

/** What a start without seeds knows; the demo and `branchline.yaml` examples use the same names. */
export const AWS_DEFAULTS = {
  region: "eu-central-1",
  account: "123456789012",
  accessKeyId: "AKIASANDBOX000000000",
  secretAccessKey: "sandbox/secret/access/key/0123456789abcd",
  roleArn: "arn:aws:iam::123456789012:role/branchline",
  externalId: "sandbox-external-id",
} as const;

export const DEFAULT_RULES: AwsRules = {
  versionQuota: 100,
  versionAgeMs: 86_400_000,
  forceDeleteGapMs: 0,
  readLagMs: 0,
  listLagMs: 0,
  updateReplay: "succeeds",
};
