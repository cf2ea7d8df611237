/** The calls to Secrets Manager and STS that we make, each once, each with our errors. */
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  type DescribeSecretResponse,
  GetSecretValueCommand,
  PutSecretValueCommand,
  RemoveRegionsFromReplicationCommand,
  RestoreSecretCommand,
  type SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from "@aws-sdk/client-secrets-manager";
import { SyncError } from "../sync/errors.ts";
import type { Io, Mark, ResolveCredential } from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";
import { type AwsIdentity, type CredentialSource, credentialSource } from "./aws-credentials.ts";
import { awsError, errorNamed, isAws, isExpired } from "./aws-errors.ts";
import { type AwsSite, secretsManager, signedStsCall } from "./aws-transport.ts";

/** What DescribeSecret says, as far as it concerns us. It works on a secret that waits for its deletion too. */
export interface Described {
  readonly arn: string | null;
  /** VersionId that holds AWSCURRENT; null if the secret has no value yet. */
  readonly current: string | null;
  readonly scheduled: boolean;
  readonly mark: Mark | null;
  /** Who else writes it, in words; null: nobody that AWS knows of. */
  readonly foreign: string | null;
  readonly replicas: readonly string[];
}

export interface NewSecret {
  readonly name: string;
  readonly text: Secret;
  /** Becomes the VersionId. The same token with the same text is the same version. */
  readonly token: string;
  readonly mark: Mark;
  readonly kmsKeyId: string | undefined;
  readonly replicaRegions: readonly string[];
}

const CURRENT = "AWSCURRENT";
/**
 * Our staging label. One name for all versions, so that it moves along: a label of its own for each would
 * keep every version from being removed, and a secret takes 20 labels. AWSPENDING belongs to rotations.
 */
const STAGED = "branchline";
const TAGS = {
  installation: "branchline:installation",
  rule: "branchline:rule",
  branch: "branchline:branch",
} as const;

export class AwsCalls {
  readonly #site: AwsSite;
  readonly #io: Io;
  readonly #credentials: CredentialSource;
  #client: SecretsManagerClient;
  #refreshed = false;

  constructor(identity: AwsIdentity, site: AwsSite, credential: ResolveCredential, io: Io) {
    this.#site = site;
    this.#io = io;
    this.#credentials = credentialSource(identity, site, credential, io);
    this.#client = this.#connect();
  }

  /** The account that the credential belongs to. (STS GetCallerIdentity: needs no permission.) */
  async account(): Promise<string> {
    const body = "Action=GetCallerIdentity&Version=2011-06-15";
    let answer = await this.#sts(body);
    if (answer.status === 403 && errorCodeOf(answer.body) === "ExpiredToken" && this.#renew()) {
      answer = await this.#sts(body);
    }
    const { status, requestId } = answer;
    const account = /<Account>(\d{12})<\/Account>/.exec(answer.body)?.[1];
    if (status === 200 && account !== undefined) return account;
    const name = errorCodeOf(answer.body);
    throw errorNamed(name, {
      operation: "GetCallerIdentity",
      write: false,
      status,
      requestId,
      wait: undefined,
    });
  }

  /** Null if there is no such secret. */
  async describe(name: string): Promise<Described | null> {
    try {
      const answer = await this.#call("DescribeSecret", false, (client) =>
        client.send(new DescribeSecretCommand({ SecretId: name })),
      );
      return described(answer, this.#site.region);
    } catch (error) {
      if (isAws(error, "ResourceNotFoundException")) return null;
      throw error;
    }
  }

  /** The text of one version; null if it is binary. */
  async read(name: string, version: string): Promise<Secret | null> {
    const answer = await this.#call("GetSecretValue", false, (client) =>
      client.send(new GetSecretValueCommand({ SecretId: name, VersionId: version })),
    );
    return answer.SecretString === undefined ? null : new Secret(answer.SecretString);
  }

  /** Creates only: throws `conflict` if the name exists, unless this very token made it with this text. */
  async create(secret: NewSecret): Promise<{ arn: string | undefined }> {
    const answer = await this.#call("CreateSecret", true, (client) =>
      client.send(
        new CreateSecretCommand({
          Name: secret.name,
          ClientRequestToken: secret.token,
          SecretString: secret.text.reveal(),
          Tags: tagsOf(secret.mark),
          ...(secret.kmsKeyId === undefined ? {} : { KmsKeyId: secret.kmsKeyId }),
          ...(secret.replicaRegions.length === 0
            ? {}
            : { AddReplicaRegions: secret.replicaRegions.map((Region) => ({ Region })) }),
        }),
      ),
    );
    return { arn: answer.ARN };
  }

  /** Adds a version that nobody reads yet. True if it is the current one already: a repeat of what was done. */
  async stage(name: string, token: string, text: Secret): Promise<boolean> {
    const answer = await this.#call("PutSecretValue", true, (client) =>
      client.send(
        new PutSecretValueCommand({
          SecretId: name,
          ClientRequestToken: token,
          SecretString: text.reveal(),
          VersionStages: [STAGED],
        }),
      ),
    );
    return answer.VersionStages?.includes(CURRENT) ?? false;
  }

  /** Compare-and-set: makes `to` current if `from` still is. */
  async promote(name: string, from: string | null, to: string): Promise<void> {
    await this.#call("UpdateSecretVersionStage", true, (client) =>
      client.send(
        new UpdateSecretVersionStageCommand({
          SecretId: name,
          VersionStage: CURRENT,
          MoveToVersionId: to,
          ...(from === null ? {} : { RemoveFromVersionId: from }),
        }),
      ),
    );
  }

  /** Takes back a deletion that waits for its day. */
  async restore(name: string): Promise<void> {
    await this.#call("RestoreSecret", true, (client) =>
      client.send(new RestoreSecretCommand({ SecretId: name })),
    );
  }

  /** Null days: at once and for ever. */
  async delete(name: string, recoveryWindowDays: number | null): Promise<void> {
    await this.#call("DeleteSecret", true, (client) =>
      client.send(
        new DeleteSecretCommand({
          SecretId: name,
          ...(recoveryWindowDays === null
            ? { ForceDeleteWithoutRecovery: true }
            : { RecoveryWindowInDays: recoveryWindowDays }),
        }),
      ),
    );
  }

  /** A secret that has replicas cannot be deleted. */
  async removeReplicas(name: string, regions: readonly string[]): Promise<void> {
    await this.#call("RemoveRegionsFromReplication", true, (client) =>
      client.send(
        new RemoveRegionsFromReplicationCommand({ SecretId: name, RemoveReplicaRegions: [...regions] }),
      ),
    );
  }

  async #call<T>(
    operation: string,
    write: boolean,
    run: (client: SecretsManagerClient) => Promise<T>,
  ): Promise<T> {
    try {
      return await run(this.#client);
    } catch (thrown) {
      if (!isExpired(thrown) || !this.#renew()) throw awsError(thrown, operation, write);
    }
    try {
      return await run(this.#client);
    } catch (thrown) {
      throw awsError(thrown, operation, write);
    }
  }

  async #sts(body: string) {
    try {
      return await signedStsCall(this.#site, () => this.#credentials.get(), body, this.#io);
    } catch (thrown) {
      throw awsError(thrown, "GetCallerIdentity", false);
    }
  }

  /** Fresh credentials once per piece of work; a client keeps those that it has seen. */
  #renew(): boolean {
    if (this.#refreshed) return false;
    this.#refreshed = true;
    this.#credentials.refresh();
    this.#client = this.#connect();
    return true;
  }

  #connect(): SecretsManagerClient {
    return secretsManager(this.#site, () => this.#credentials.get(), this.#io);
  }
}

function described(answer: DescribeSecretResponse, region: string): Described {
  if (answer.Name === undefined) {
    throw new SyncError("unavailable", "AWS answered DescribeSecret without a name", {
      vendor: "aws",
      operation: "DescribeSecret",
    });
  }
  const versions = Object.entries(answer.VersionIdsToStages ?? {});
  return {
    arn: answer.ARN ?? null,
    current: versions.find(([, stages]) => stages.includes(CURRENT))?.[0] ?? null,
    scheduled: answer.DeletedDate !== undefined,
    mark: markOf(answer),
    foreign: foreignWriter(answer, region),
    replicas: (answer.ReplicationStatus ?? []).flatMap(({ Region }) =>
      Region === undefined ? [] : [Region],
    ),
  };
}

function foreignWriter(answer: DescribeSecretResponse, region: string): string | null {
  const { RotationEnabled, OwningService, PrimaryRegion, Type } = answer;
  if (RotationEnabled === true) return "a rotation that is switched on";
  if (OwningService !== undefined && OwningService !== "") return `the AWS service ${word(OwningService)}`;
  if (Type !== undefined && Type !== "") return "a partner whose credentials AWS manages";
  if (PrimaryRegion !== undefined && PrimaryRegion !== region) return `its primary in ${word(PrimaryRegion)}`;
  return null;
}

/** Foreign text goes into messages: only what looks like a name. */
const word = (text: string): string => text.replace(/[^\w.-]/g, "").slice(0, 60);

function markOf({ Tags }: DescribeSecretResponse): Mark | null {
  const tag = (key: string) => Tags?.find(({ Key }) => Key === key)?.Value;
  const installation = tag(TAGS.installation);
  if (installation === undefined) return null;
  return { installation, rule: tag(TAGS.rule) ?? "", branch: tag(TAGS.branch) ?? "" };
}

function tagsOf(mark: Mark): { Key: string; Value: string }[] {
  return [
    { Key: TAGS.installation, Value: tagValue(mark.installation) },
    { Key: TAGS.rule, Value: tagValue(mark.rule) },
    { Key: TAGS.branch, Value: tagValue(mark.branch) },
  ];
}

/** Tag values take letters, digits, spaces and `_.:/=+-@`, 256 at most. */
const tagValue = (text: string): string => text.replace(/[^\p{L}\p{N} _.:/=+@-]/gu, "_").slice(0, 256);

const errorCodeOf = (xml: string): string => /<Code>(\w{1,60})<\/Code>/.exec(xml)?.[1] ?? "UnknownError";
