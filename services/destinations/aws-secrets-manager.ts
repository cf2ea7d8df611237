/**
 * AWS Secrets Manager: one secret per place, a JSON object whose keys are the names; or, where the target
 * names a `variable`, the bare value of that one. (API reference of Secrets Manager, checked 2026-11.)
 *
 * - 65,536 bytes a secret. About 100 versions, none removed within a day: compare first, write once.
 * - `ClientRequestToken` becomes the VersionId, so a version says whose it is; DescribeSecret alone shows
 *   whether it is still current, without any right to read values.
 * - The only compare-and-set is UpdateSecretVersionStage. Creating refuses an existing name by itself.
 *   Two exceptions have none: deleting a secret, and reviving one that waits for its deletion.
 * - Tags hold the mark. Nothing secret in names and tags: CloudTrail records both.
 */
import { z } from "zod";
import { credentialRef } from "../sync/credential.ts";
import { SyncError } from "../sync/errors.ts";
import type {
  Applied,
  Change,
  Claim,
  Destination,
  DestinationAdapter,
  Io,
  Observation,
  ResolveCredential,
  Traits,
} from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";
import { AwsCalls, type Described } from "./aws-calls.ts";
import { isAws } from "./aws-errors.ts";
import { awsLimits } from "./aws-limits.ts";
import {
  type ApplyContext,
  applyToSecret,
  SECRET_BYTES,
  scheduledVersion,
} from "./aws-secrets-manager-apply.ts";
import {
  bytesOf,
  type Members,
  observedNames,
  parseMembers,
  printMembers,
  refuseKey,
} from "./json-members.ts";
import { origin } from "./origin.ts";
import { legalSecretName, parseSecretArn } from "./secret-names.ts";
import { invalidTarget, parseTarget, privateNetwork } from "./settings.ts";

const VENDOR = "AWS Secrets Manager";

const region = z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, "expected a region such as eu-central-1");

const block = z
  .strictObject({
    account: z
      .string()
      .regex(/^\d{12}$/, "expected the 12 digits of the account id, in quotes")
      .meta({ description: "The account that must be written to; checked before anything is." }),
    region,
    accessKey: z
      .strictObject({ id: credentialRef, secret: credentialRef })
      .optional()
      .meta({ description: "A fixed key pair. Without it: AWS's standard chain." }),
    assumeRole: z
      .strictObject({
        arn: z.string().regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/.+$/, "expected the ARN of an IAM role"),
        externalId: credentialRef.optional(),
        sessionName: z
          .string()
          .regex(/^[\w+=,.@-]{2,64}$/, "2 to 64 letters, digits and +=,.@-_")
          .optional(),
      })
      .optional(),
    kmsKeyId: z.string().min(1).max(2048).optional().meta({ description: "For new secrets only." }),
    replicaRegions: z.array(region).default([]).meta({ description: "For new secrets only." }),
    recoveryWindowDays: z.int().min(7).max(30).default(30),
    forceDelete: z.boolean().default(false).meta({ description: "Delete at once, without a way back." }),
    readValues: z
      .boolean()
      .default(true)
      .meta({ description: "False: write-only, drift is seen by version ids alone." }),
    endpoint: origin.optional(),
    stsEndpoint: origin.optional(),
    privateNetwork,
  })
  .meta({ description: "One AWS account and region." });

const target = z.strictObject({
  secretId: z
    .string()
    .min(1)
    .max(2048)
    .meta({ description: "Name of the secret, or the ARN of one that exists." }),
  variable: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "The secret's whole text is the value of this one variable, instead of JSON." }),
});

export type AwsBlock = z.output<typeof block>;

export interface AwsTarget {
  readonly account: string;
  readonly region: string;
  readonly endpoint: string | null;
  /** Legal for the vendor, whatever the template gave. */
  readonly name: string;
  readonly byArn: boolean;
  readonly variable: string | null;
}

const traits: Traits = {
  values: "readable",
  grain: "atomic",
  createOnly: true,
  compareAndSet: true,
  mark: true,
  versionGrainMs: 0,
  inFlight: 16, // 50 writes a second and region, shared by everyone in the account
  // What a value may have at most so that its name and the JSON around it still fit.
  limits: { valueBytes: 65_000, names: null, bundleBytes: SECRET_BYTES },
  normaliseName: (name) => name,
  refuseName: refuseKey,
};

export const awsSecretsManager: DestinationAdapter<AwsBlock, AwsTarget> = {
  kind: "awsSecretsManager",
  traits,
  block,
  target,
  parseTarget: parse,
  place: placeOf,
  container: placeOf,
  within: ({ account, region: of, endpoint }, where) =>
    where.account === account && where.region === of && where.endpoint === (endpoint ?? null),
  exposure: () => null,
  limits: awsLimits,
  open: (options, credential, io) => new AwsSecretsManager(options, credential, io),
};

function parse(options: AwsBlock, input: unknown): AwsTarget {
  const { secretId, variable } = parseTarget(VENDOR, target, input);
  const site = { account: options.account, region: options.region, endpoint: options.endpoint ?? null };
  const rest = { ...site, variable: variable ?? null };
  if (!secretId.startsWith("arn:")) return { ...rest, name: legalSecretName(secretId), byArn: false };
  const arn = parseSecretArn(secretId);
  if (arn === null)
    throw invalidTarget(VENDOR, "secretId: expected the whole ARN, with its last six characters");
  if (arn.account !== options.account || arn.region !== options.region) {
    throw invalidTarget(VENDOR, "secretId: the ARN is of another account or region than the destination");
  }
  return { ...rest, name: arn.name, byArn: true };
}

function placeOf({ account, region: where, endpoint: server, name }: AwsTarget): string {
  return ["aws", ...(server === null ? [] : [server]), account, where, name].join("|");
}

class AwsSecretsManager implements Destination<AwsTarget> {
  readonly #options: AwsBlock;
  readonly #io: Io;
  readonly #calls: AwsCalls;
  /** What this piece of work has seen, by secret name, and what each version read held. */
  readonly #described = new Map<string, Described | null>();
  readonly #members = new Map<string, Members>();

  constructor(options: AwsBlock, credential: ResolveCredential, io: Io) {
    const site = {
      region: options.region,
      endpoint: options.endpoint ?? null,
      stsEndpoint: options.stsEndpoint ?? null,
    };
    this.#options = options;
    this.#io = io;
    this.#calls = new AwsCalls(options, site, credential, io);
  }

  async check(where: AwsTarget): Promise<void> {
    const account = await this.#calls.account();
    if (account !== this.#options.account) {
      throw new SyncError(
        "wrong_account",
        `expected ${this.#options.account}, credential belongs to ${account}`,
        { vendor: "aws", operation: "GetCallerIdentity" },
      );
    }
    const now = await this.#calls.describe(where.name);
    if (now === null && where.byArn) {
      throw new SyncError("target_missing", "the ARN names a secret that does not exist", {
        vendor: "aws",
        operation: "DescribeSecret",
      });
    }
  }

  async observe(
    targets: readonly AwsTarget[],
    options: { contents: boolean },
  ): Promise<readonly Observation[]> {
    const seen: Observation[] = [];
    for (const one of targets) seen.push(await this.#observe(one, options.contents));
    return seen;
  }

  apply(where: AwsTarget, changes: readonly Change[], claim: Claim): Promise<readonly Applied[]> {
    const { kmsKeyId, replicaRegions, recoveryWindowDays, forceDelete, readValues } = this.#options;
    const context: ApplyContext = {
      calls: this.#calls,
      name: where.name,
      mayCreate: !where.byArn,
      mayRead: readValues,
      described: this.#described.get(where.name) ?? null,
      kmsKeyId,
      replicaRegions,
      recoveryWindowDays: forceDelete ? null : recoveryWindowDays,
      print: (members) => printFor(where, members),
      read: async (version) => {
        const members = await this.#read(where, version);
        if (members !== null) return members;
        throw new SyncError("not_owned", "the secret's text is no JSON object, so nothing can be added", {
          vendor: "aws",
          operation: "GetSecretValue",
          next: "Choose another secret, or say in the target which `variable` its whole text is.",
        });
      },
    };
    this.#described.delete(where.name); // whatever happens now, it is no longer so
    return applyToSecret(context, changes, claim);
  }

  async #observe(where: AwsTarget, contents: boolean): Promise<Observation> {
    const now = await this.#calls.describe(where.name);
    this.#described.set(where.name, now);
    if (now === null) return { ...NOTHING, exists: false, reference: null };
    const { current, mark, foreign, arn: reference } = now;
    const seen = { ...NOTHING, mark, foreign, reference };
    // No consumer gets a value out of it, and no recorded version equals this one.
    if (now.scheduled) return { ...seen, version: scheduledVersion(current), revives: true };
    if (current === null) return seen;
    if (!contents || !this.#options.readValues) return { ...seen, version: current, contents: false };
    const members = await this.#read(where, current);
    if (members === null) {
      return {
        ...seen,
        version: current,
        foreign: foreign ?? "somebody who keeps other text in it than JSON",
      };
    }
    const names = observedNames(members, current, this.#io);
    return { ...seen, version: current, names, used: { bytes: bytesOf(members) } };
  }

  /** What a version holds; null if it is no map of names. Versions never change, so one reading is enough. */
  async #read(where: AwsTarget, version: string): Promise<Members | null> {
    const key = `${where.name} ${version}`;
    const known = this.#members.get(key);
    if (known !== undefined) return known;
    const text = await this.#calls.read(where.name, version).catch((error: unknown) => {
      throw isAws(error, "ResourceNotFoundException", "InvalidRequestException") ? changedMeanwhile() : error;
    });
    const members = text === null ? null : membersFor(where, text);
    if (members !== null) this.#members.set(key, members);
    return members;
  }
}

const NOTHING: Observation = {
  complete: true,
  contents: true,
  exists: true,
  version: null,
  mark: null,
  foreign: null,
  names: [],
};

function changedMeanwhile(): SyncError {
  return new SyncError("conflict", "the secret changed between two looks at it", {
    vendor: "aws",
    operation: "GetSecretValue",
    next: "Nothing: it is tried again from a fresh observation.",
  });
}

function membersFor({ variable }: AwsTarget, text: Secret): Members | null {
  if (variable === null) return parseMembers(text.reveal());
  return new Map([[variable, new Secret(JSON.stringify(text.reveal()))]]);
}

function printFor({ variable }: AwsTarget, members: Members): Secret {
  if (variable === null) return new Secret(printMembers(members));
  const raw = members.get(variable);
  if (members.size === 1 && raw !== undefined) return new Secret(String(JSON.parse(raw.reveal())));
  if (members.size === 0) {
    throw new SyncError("not_owned", "the secret was not made here, and its only value cannot be taken out", {
      vendor: "aws",
      operation: "DeleteSecret",
      next: "Delete the secret by hand, or release the name.",
    });
  }
  throw new SyncError(
    "invalid_target",
    `the secret is the value of ${variable} alone, and can hold no other`,
    {
      names: [...members.keys()].filter((name) => name !== variable),
      next: "Give every variable a secret of its own, or leave `variable` out of the target.",
    },
  );
}
