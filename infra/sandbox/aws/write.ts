/** Operations that make versions and move labels. https://docs.aws.amazon.com/secretsmanager/latest/apireference/ */
import { AwsRefusal, validation } from "./answers.ts";
import {
  authorise,
  type Call,
  changeable,
  listOf,
  type Operation,
  optionalText,
  requestToken,
  secretValueOf,
  text,
} from "./input.ts";
import { applyTags, type Tag, wantedReplicas } from "./metadata.ts";
import {
  alreadyScheduled,
  attach,
  holderOf,
  labelsOf,
  newVersion,
  type StoredSecret,
  type Version,
} from "./state.ts";

type Value = Pick<Version, "string" | "binary">;

export const createSecret: Operation = (call) => {
  const { state, principal } = call;
  const name = text(call, "Name", 1, 512);
  if (!/^[A-Za-z0-9/_+=.@-]+$/.test(name)) {
    throw new AwsRefusal(
      "ValidationException",
      "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
    );
  }
  const tags = listOf<Tag>(call, "Tags", 0, 50) ?? [];
  if (tags.length > 0) authorise(principal, "secretsmanager:TagResource", name);
  const replicas = wantedReplicas(call);
  if (replicas.length > 0) authorise(principal, "secretsmanager:ReplicateSecretToRegions", name);
  const token = requestToken(call);
  const value = secretValueOf(call);
  const known = state.find(principal.account, name);
  if (known !== undefined) return recreated(known, token, value);
  const description = optionalText(call, "Description", 0, 2048);
  const kmsKeyId = optionalText(call, "KmsKeyId", 0, 2048);
  refuseDisabledKey(call, kmsKeyId);
  const secret = state.create(principal.account, name);
  Object.assign(secret, { description, kmsKeyId });
  applyTags(secret, tags);
  secret.replicas.push(...replicas);
  if (value !== null) attach(secret, newVersion(secret, token, value, state.now()), ["AWSCURRENT"]);
  return { ARN: secret.arn, Name: name, ...(value === null ? {} : { VersionId: token }) };
};

export const putSecretValue: Operation = (call) => {
  const token = requestToken(call);
  const stages = listOf<string>(call, "VersionStages", 1, 20);
  const value = secretValueOf(call);
  if (value === null) {
    throw new AwsRefusal(
      "InvalidParameterException",
      "You must provide either SecretString or SecretBinary.",
    );
  }
  const secret = changeable(call);
  refuseDisabledKey(call, secret.kmsKeyId);
  const version = put(call, secret, token, value, stages ?? ["AWSCURRENT"]);
  return { ...idOf(secret), VersionId: token, VersionStages: labelsOf(version.stages) };
};

export const updateSecret: Operation = (call) => {
  const token = requestToken(call);
  const value = secretValueOf(call);
  const description = optionalText(call, "Description", 0, 2048);
  const kmsKeyId = optionalText(call, "KmsKeyId", 0, 2048);
  const secret = changeable(call);
  refuseDisabledKey(call, kmsKeyId ?? secret.kmsKeyId);
  if (value !== null) {
    if (secret.versions.has(token) && call.state.rules.updateReplay === "fails")
      throw tokenUsed(secret, token);
    put(call, secret, token, value, ["AWSCURRENT"]);
  }
  if (description !== null) secret.description = description;
  if (kmsKeyId !== null) secret.kmsKeyId = kmsKeyId;
  secret.changedAt = call.state.now();
  return { ...idOf(secret), ...(value === null ? {} : { VersionId: token }) };
};

/** The one compare-and-swap of the service: a label moves only away from the version named as its holder. */
export const updateSecretVersionStage: Operation = (call) => {
  const stage = text(call, "VersionStage", 1, 256);
  const from = optionalText(call, "RemoveFromVersionId", 32, 64);
  const to = optionalText(call, "MoveToVersionId", 32, 64);
  const secret = changeable(call);
  const holder = holderOf(secret, stage);
  const target = to === null ? null : secret.versions.get(to);
  if (target === undefined) throw new AwsRefusal("InvalidParameterException", `Not a valid version: ${to}`);
  if (from === null && holder !== undefined && holder !== target) {
    throw new AwsRefusal(
      "InvalidParameterException",
      `The parameter RemoveFromVersionId can't be empty. Staging label ${stage} is currently attached to version ${holder.id}, so you must explicitly reference that version in RemoveFromVersionId.`,
    );
  }
  if (from !== null && from !== holder?.id) {
    throw new AwsRefusal(
      "InvalidParameterException",
      `Staging label ${stage} isn't attached to version ${from}, so it can't be removed from there.`,
    );
  }
  if (target === null) {
    if (stage === "AWSCURRENT" || from === null) {
      throw new AwsRefusal(
        "InvalidParameterException",
        `You can only move staging label ${stage} to a different secret version. It can't be completely removed.`,
      );
    }
    holder?.stages.delete(stage);
  } else {
    attach(secret, target, [stage]);
  }
  secret.changedAt = call.state.now();
  return idOf(secret);
};

export function idOf(secret: StoredSecret): { ARN: string; Name: string } {
  return { ARN: secret.arn, Name: secret.name };
}

/** A repeated create: done already, or one of two different "exists". */
function recreated(known: StoredSecret, token: string, value: Value | null): Record<string, unknown> {
  if (known.deletion !== null) throw alreadyScheduled();
  const version = known.versions.get(token);
  if (version === undefined) {
    throw new AwsRefusal(
      "ResourceExistsException",
      `The operation failed because the secret ${known.name} already exists.`,
    );
  }
  if (!sameValue(version, value)) throw tokenUsed(known, token);
  return { ...idOf(known), VersionId: token };
}

/** A known token changes nothing, not even its labels; a new one makes a version. */
function put(
  call: Call,
  secret: StoredSecret,
  token: string,
  value: Value,
  stages: readonly string[],
): Version {
  const known = secret.versions.get(token);
  if (known !== undefined) {
    if (sameValue(known, value)) return known;
    throw tokenUsed(secret, token);
  }
  if (stages.some((stage) => stage.length < 1 || stage.length > 256)) {
    throw validation(
      "versionStages",
      "Member must satisfy constraint: [Member must have length between 1 and 256]",
    );
  }
  makeRoom(call, secret);
  const first = secret.versions.size === 0;
  const version = newVersion(secret, token, value, call.state.now());
  attach(secret, version, first ? [...new Set([...stages, "AWSCURRENT"])] : stages);
  return version;
}

/** Old unlabelled versions go; if that is not enough, the quota is reached for hours. */
function makeRoom(call: Call, secret: StoredSecret): void {
  const { versionQuota, versionAgeMs } = call.state.rules;
  const old = call.state.now() - versionAgeMs;
  for (const { id, stages, createdAt } of secret.versions.values()) {
    if (secret.versions.size < versionQuota) return;
    if (stages.size === 0 && createdAt < old) secret.versions.delete(id);
  }
  if (secret.versions.size < versionQuota) return;
  throw new AwsRefusal(
    "LimitExceededException",
    `You've reached the maximum number of versions (${versionQuota}) for secret ${secret.arn}.`,
  );
}

function sameValue(version: Version, value: Value | null): boolean {
  return version.string === (value?.string ?? null) && version.binary === (value?.binary ?? null);
}

function tokenUsed(secret: StoredSecret, token: string): AwsRefusal {
  return new AwsRefusal(
    "ResourceExistsException",
    `You can't use ClientRequestToken ${token} because that value is already in use for a version of secret ${secret.arn}.`,
  );
}

function refuseDisabledKey(call: Call, kmsKeyId: string | null): void {
  if (kmsKeyId === null || !call.state.disabledKeys.has(kmsKeyId)) return;
  throw new AwsRefusal(
    "EncryptionFailure",
    "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is available, enabled, and not in an invalid state.",
  );
}
