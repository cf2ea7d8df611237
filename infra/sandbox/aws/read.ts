/** Operations that read. All of them are eventually consistent: `readLagMs` and `listLagMs` make that visible. */
import { AwsRefusal, notFound } from "./answers.ts";
import {
  authorise,
  type Call,
  listOf,
  living,
  numberOf,
  type Operation,
  optionalText,
  seconds,
  text,
} from "./input.ts";
import { replicationOf } from "./metadata.ts";
import { holderOf, labelsOf, type StoredSecret, type Version } from "./state.ts";

export const describeSecret: Operation = (call) => {
  const secret = visible(call, text(call, "SecretId", 1, 2048));
  return { ...summary(secret), VersionIdsToStages: stagesOf(secret), ...replication(call, secret) };
};

export const getSecretValue: Operation = (call) => {
  const versionId = optionalText(call, "VersionId", 32, 64);
  const stage = optionalText(call, "VersionStage", 1, 256);
  return shownValue(call, text(call, "SecretId", 1, 2048), versionId, stage);
};

export const batchGetSecretValue: Operation = (call) => {
  const ids = listOf<string>(call, "SecretIdList", 1, 20);
  const filters = listOf<Filter>(call, "Filters", 1, 10);
  if ((ids === null) === (filters === null)) {
    throw new AwsRefusal(
      "InvalidParameterException",
      "You must specify either SecretIdList or Filters, but not both.",
    );
  }
  if (filters !== null) authorise(call.principal, "secretsmanager:ListSecrets", "*");
  const { items, next } = page(
    call,
    ids ??
      listed(call)
        .filter((secret) => matches(secret, filters ?? [], call))
        .map(({ name }) => name),
    20,
  );
  const values: Record<string, unknown>[] = [];
  const errors: Record<string, unknown>[] = [];
  for (const id of items) {
    try {
      authorise(
        call.principal,
        "secretsmanager:GetSecretValue",
        call.state.find(call.principal.account, id)?.name ?? id,
      );
      values.push(shownValue(call, id, null, null));
    } catch (error) {
      if (!(error instanceof AwsRefusal)) throw error;
      errors.push({ SecretId: id, ErrorCode: error.code, Message: error.message });
    }
  }
  return { SecretValues: values, Errors: errors, ...next };
};

/** Unlabelled versions count as deprecated and are shown only on demand. */
export const listSecretVersionIds: Operation = (call) => {
  const secret = visible(call, text(call, "SecretId", 1, 2048));
  const all = call.input["IncludeDeprecated"] === true;
  const versions = [...secret.versions.values()].filter(({ stages }) => all || stages.size > 0);
  const { items, next } = page(call, versions, 100);
  return {
    ARN: secret.arn,
    Name: secret.name,
    Versions: items.map(({ id, stages, createdAt }) => ({
      VersionId: id,
      CreatedDate: seconds(createdAt),
      KmsKeyIds: [secret.kmsKeyId ?? "DefaultEncryptionKey"],
      ...(stages.size === 0 ? {} : { VersionStages: labelsOf(stages) }),
    })),
    ...next,
  };
};

export const listSecrets: Operation = (call) => {
  const filters = listOf<Filter>(call, "Filters", 0, 10) ?? [];
  const planned = call.input["IncludePlannedDeletion"] === true;
  const found = listed(call).filter(
    (secret) => (planned || secret.deletion === null) && matches(secret, filters, call),
  );
  if (call.input["SortOrder"] === "desc") found.reverse();
  const { items, next } = page(call, found, 100);
  return {
    SecretList: items.map((secret) => ({ ...summary(secret), SecretVersionsToStages: stagesOf(secret) })),
    ...next,
  };
};

// ---------------------------------------------------------------- one secret

function visible(call: Call, secretId: string): StoredSecret {
  const { state, principal } = call;
  const found = state.find(principal.account, secretId);
  const seen = found === undefined ? null : state.seen(found, state.rules.readLagMs);
  if (seen === null) throw notFound();
  return seen;
}

function shownValue(
  call: Call,
  secretId: string,
  versionId: string | null,
  stage: string | null,
): Record<string, unknown> {
  const secret = living(visible(call, secretId));
  const version = versionOf(secret, versionId, stage);
  if (secret.kmsKeyId !== null && call.state.disabledKeys.has(secret.kmsKeyId)) {
    throw new AwsRefusal(
      "DecryptionFailure",
      "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
    );
  }
  // Real AWS keeps the day only.
  secret.accessedAt = Math.floor(call.state.now() / 86_400_000) * 86_400_000;
  return {
    ARN: secret.arn,
    Name: secret.name,
    VersionId: version.id,
    ...(version.string === null ? { SecretBinary: version.binary } : { SecretString: version.string }),
    VersionStages: labelsOf(version.stages),
    CreatedDate: seconds(version.createdAt),
  };
}

function versionOf(secret: StoredSecret, versionId: string | null, stage: string | null): Version {
  if (versionId === null) {
    const wanted = stage ?? "AWSCURRENT";
    const holder = holderOf(secret, wanted);
    if (holder === undefined) throw noValue(`staging label: ${wanted}`);
    return holder;
  }
  const version = secret.versions.get(versionId);
  if (version === undefined) throw noValue(`VersionId: ${versionId}`);
  if (stage !== null && !version.stages.has(stage)) {
    throw new AwsRefusal(
      "InvalidRequestException",
      "You provided a VersionStage that is not associated to the provided VersionId.",
    );
  }
  return version;
}

/** The same class as a missing secret; only the message tells them apart. */
function noValue(which: string): AwsRefusal {
  return new AwsRefusal(
    "ResourceNotFoundException",
    `Secrets Manager can't find the specified secret value for ${which}`,
  );
}

function summary(secret: StoredSecret): Record<string, unknown> {
  const { arn, name, description, kmsKeyId, createdAt, changedAt, accessedAt, deletion, tags } = secret;
  return {
    ARN: arn,
    Name: name,
    ...(description === null ? {} : { Description: description }),
    ...(kmsKeyId === null ? {} : { KmsKeyId: kmsKeyId }),
    ...(secret.rotationEnabled
      ? { RotationEnabled: true, RotationRules: { AutomaticallyAfterDays: 30 } }
      : {}),
    CreatedDate: seconds(createdAt),
    LastChangedDate: seconds(changedAt),
    ...(accessedAt === null ? {} : { LastAccessedDate: seconds(accessedAt) }),
    ...(deletion === null ? {} : { DeletedDate: seconds(deletion.at) }),
    ...(tags.size === 0 ? {} : { Tags: [...tags].map(([Key, Value]) => ({ Key, Value })) }),
  };
}

/** Absent, not empty, for a secret that never had a value. */
function stagesOf(secret: StoredSecret): Record<string, string[]> | undefined {
  const labelled = [...secret.versions.values()].filter(({ stages }) => stages.size > 0);
  if (labelled.length === 0) return undefined;
  return Object.fromEntries(labelled.map(({ id, stages }) => [id, labelsOf(stages)]));
}

function replication(call: Call, secret: StoredSecret): Record<string, unknown> {
  if (secret.replicas.length === 0) return {};
  return { PrimaryRegion: call.state.region, ReplicationStatus: replicationOf(secret) };
}

// ---------------------------------------------------------------- lists

interface Filter {
  readonly Key: string;
  readonly Values: readonly string[];
}

function listed(call: Call): StoredSecret[] {
  const { state, principal } = call;
  return state.secrets
    .filter(({ account }) => account === principal.account)
    .map((secret) => state.seen(secret, Math.max(state.rules.listLagMs, state.rules.readLagMs)))
    .filter((secret) => secret !== null);
}

function matches(secret: StoredSecret, filters: readonly Filter[], call: Call): boolean {
  return filters.every(({ Key, Values }) => {
    const wanted = Values.filter((value) => !value.startsWith("!"));
    const unwanted = Values.filter((value) => value.startsWith("!")).map((value) => value.slice(1));
    const texts = textsOf(secret, Key, call);
    const hit = (value: string) => texts.some((each) => each.startsWith(value));
    return (wanted.length === 0 || wanted.some(hit)) && !unwanted.some(hit);
  });
}

function textsOf(secret: StoredSecret, key: string, call: Call): string[] {
  const description = secret.description ?? "";
  const tagKeys = [...secret.tags.keys()];
  const tagValues = [...secret.tags.values()];
  const byKey: Record<string, string[]> = {
    name: [secret.name],
    description: [description],
    "tag-key": tagKeys,
    "tag-value": tagValues,
    "primary-region": secret.replicas.length > 0 ? [call.state.region] : [],
    "owning-service": [],
    all: [secret.name, description, ...tagKeys, ...tagValues],
  };
  const texts = byKey[key];
  if (texts === undefined) throw new AwsRefusal("InvalidParameterException", `Invalid filter key ${key}.`);
  return texts;
}

function page<T>(call: Call, all: readonly T[], max: number): { items: T[]; next: Record<string, unknown> } {
  const size = numberOf(call, "MaxResults", max, 1, max);
  const token = optionalText(call, "NextToken", 1, 4096);
  const from = token === null ? 0 : Number(Buffer.from(token, "base64url").toString());
  if (Number.isNaN(from)) throw new AwsRefusal("InvalidNextTokenException", "Invalid NextToken.");
  const end = from + size;
  const next = end < all.length ? { NextToken: Buffer.from(String(end)).toString("base64url") } : {};
  return { items: all.slice(from, end), next };
}
