/** Operations around a secret: deletion and revival, tags, replicas, resource policy. */
import { AwsRefusal, notFound, validation } from "./answers.ts";
import {
  type Call,
  changeable,
  listOf,
  living,
  numberOf,
  type Operation,
  seconds,
  secretOf,
  text,
} from "./input.ts";
import type { StoredSecret } from "./state.ts";

export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

const DAY = 86_400_000;

export const deleteSecret: Operation = (call) => {
  const { state, input, principal } = call;
  const force = input["ForceDeleteWithoutRecovery"] === true;
  if (force && input["RecoveryWindowInDays"] !== undefined) {
    throw new AwsRefusal(
      "InvalidParameterException",
      "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
    );
  }
  const days = numberOf(call, "RecoveryWindowInDays", 30, 0, Number.MAX_SAFE_INTEGER);
  if (days < 7 || days > 30) {
    throw new AwsRefusal(
      "InvalidParameterException",
      "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
    );
  }
  const secret = state.find(principal.account, text(call, "SecretId", 1, 2048));
  if (secret === undefined) {
    // A forced deletion of nothing is no error.
    if (force) return { Name: input["SecretId"], DeletionDate: seconds(state.now()) };
    throw notFound();
  }
  if (secret.replicas.length > 0) {
    const regions = secret.replicas.map(({ region }) => region).join(",");
    throw new AwsRefusal(
      "InvalidParameterException",
      `You can't delete secret ${secret.name} that still has replica regions [${regions}]`,
    );
  }
  if (!force && secret.deletion !== null) {
    throw new AwsRefusal(
      "InvalidRequestException",
      "You tried to perform the operation on a secret that's currently marked deleted.",
    );
  }
  state.remember(secret.arn, secret);
  const now = state.now();
  const purge = force ? now : now + days * DAY;
  if (force) state.erase(secret);
  else secret.deletion = { at: now, purge };
  return { ARN: secret.arn, Name: secret.name, DeletionDate: seconds(purge) };
};

export const restoreSecret: Operation = (call) => {
  const secret = secretOf(call);
  call.state.remember(secret.arn, secret);
  secret.deletion = null;
  return { ARN: secret.arn, Name: secret.name };
};

export const tagResource: Operation = (call) => {
  applyTags(changeable(call), listOf<Tag>(call, "Tags", 0, 50) ?? []);
  return {};
};

export const untagResource: Operation = (call) => {
  const { tags } = changeable(call);
  for (const key of listOf<string>(call, "TagKeys", 0, 50) ?? []) tags.delete(key);
  return {};
};

/** Adds to what is there. */
export function applyTags(secret: StoredSecret, tags: readonly Tag[]): void {
  for (const { Key, Value } of tags) {
    if (typeof Key !== "string" || Key.length < 1 || Key.length > 128 || Key.startsWith("aws:")) {
      throw validation("tags", "Member must satisfy constraint: [Key must have length between 1 and 128]");
    }
    if (typeof Value !== "string" || Value.length > 256) {
      throw validation("tags", "Member must satisfy constraint: [Value must have length between 0 and 256]");
    }
  }
  if (new Set([...secret.tags.keys(), ...tags.map(({ Key }) => Key)]).size > 50) {
    throw new AwsRefusal("InvalidParameterException", "The number of tags is more than 50.");
  }
  for (const { Key, Value } of tags) secret.tags.set(Key, Value);
}

// ---------------------------------------------------------------- replicas

export const replicateSecretToRegions: Operation = (call) => {
  const secret = changeable(call);
  secret.replicas.push(...wantedReplicas(call, secret.replicas));
  return { ARN: secret.arn, ReplicationStatus: replicationOf(secret) };
};

/** `AddReplicaRegions`, which CreateSecret takes too. */
export function wantedReplicas(call: Call, there: StoredSecret["replicas"] = []): StoredSecret["replicas"] {
  const wanted = listOf<{ Region: string; KmsKeyId?: string }>(call, "AddReplicaRegions", 1, 50) ?? [];
  for (const { Region } of wanted) {
    if (Region === call.state.region || there.some(({ region }) => region === Region)) {
      throw new AwsRefusal("InvalidParameterException", `Invalid replica region ${Region}.`);
    }
  }
  return wanted.map((each) => ({ region: each.Region, kmsKeyId: each.KmsKeyId ?? null }));
}

export const removeRegionsFromReplication: Operation = (call) => {
  const secret = changeable(call);
  const gone = listOf<string>(call, "RemoveReplicaRegions", 1, 50) ?? [];
  secret.replicas = secret.replicas.filter(({ region }) => !gone.includes(region));
  return { ARN: secret.arn, ReplicationStatus: replicationOf(secret) };
};

export function replicationOf(secret: StoredSecret): Record<string, unknown>[] {
  return secret.replicas.map(({ region, kmsKeyId }) => ({
    Region: region,
    Status: "InSync",
    ...(kmsKeyId === null ? {} : { KmsKeyId: kmsKeyId }),
  }));
}

// ---------------------------------------------------------------- resource policy

export const putResourcePolicy: Operation = (call) => {
  const secret = changeable(call);
  const policy = text(call, "ResourcePolicy", 1, 20_480);
  const statements = statementsOf(policy);
  if (call.input["BlockPublicPolicy"] === true && statements.some(isPublic)) {
    throw new AwsRefusal("PublicPolicyException", "You can't allow broad access to the secret.");
  }
  secret.policy = policy;
  return { ARN: secret.arn, Name: secret.name };
};

export const getResourcePolicy: Operation = (call) => {
  const { arn, name, policy } = living(secretOf(call));
  return { ARN: arn, Name: name, ...(policy === null ? {} : { ResourcePolicy: policy }) };
};

export const deleteResourcePolicy: Operation = (call) => {
  const secret = changeable(call);
  secret.policy = null;
  return { ARN: secret.arn, Name: secret.name };
};

interface Statement {
  readonly Effect?: string;
  readonly Principal?: unknown;
}

function statementsOf(policy: string): Statement[] {
  try {
    const { Statement: statements } = JSON.parse(policy) as { Statement: Statement | Statement[] };
    if (typeof statements === "object") return [statements].flat();
  } catch {
    // Falls through to the refusal.
  }
  throw new AwsRefusal("MalformedPolicyDocumentException", "This resource policy contains invalid Json.");
}

function isPublic({ Effect, Principal }: Statement): boolean {
  return Effect === "Allow" && /^"\*"$|"AWS":\s*"\*"/.test(JSON.stringify(Principal ?? null));
}
