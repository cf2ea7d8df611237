/** What the AWS stand-in remembers, and the helpers with which tests look at it and act behind our back. */
import { randomBytes, randomUUID } from "node:crypto";
import { AwsRefusal } from "./answers.ts";
import {
  type AccessKey,
  AWS_DEFAULTS,
  type AwsRules,
  type AwsSeeds,
  DEFAULT_RULES,
  type Principal,
  type Role,
} from "./seeds.ts";

export interface Version {
  readonly id: string;
  /** One of the two is set. Binary is base64, as on the wire. */
  readonly string: string | null;
  readonly binary: string | null;
  readonly stages: Set<string>;
  readonly createdAt: number;
}

export interface StoredSecret {
  readonly account: string;
  readonly name: string;
  readonly arn: string;
  description: string | null;
  kmsKeyId: string | null;
  readonly tags: Map<string, string>;
  readonly versions: Map<string, Version>;
  readonly createdAt: number;
  changedAt: number;
  accessedAt: number | null;
  /** Scheduled for deletion: since when, and when it is really gone. */
  deletion: { readonly at: number; readonly purge: number } | null;
  rotationEnabled: boolean;
  policy: string | null;
  replicas: { readonly region: string; readonly kmsKeyId: string | null }[];
}

export class AwsState {
  readonly region: string;
  readonly rules: AwsRules;
  readonly keys = new Map<string, AccessKey>();
  readonly roles: Role[];
  secrets: StoredSecret[] = [];
  /** Ids of KMS keys that are disabled. */
  readonly disabledKeys = new Set<string>();
  readonly #clock: () => number;
  #aheadMs = 0;
  #gaps: { readonly account: string; readonly name: string; readonly until: number }[] = [];
  #failures: { readonly operation: string; times: number; readonly refusal: AwsRefusal }[] = [];
  /** What secrets were before their changes, for `readLagMs`; null: not there yet. */
  readonly #past: { readonly arn: string; readonly at: number; readonly before: StoredSecret | null }[] = [];

  constructor(seeds: AwsSeeds = {}) {
    this.#clock = seeds.clock ?? Date.now;
    this.region = seeds.region ?? AWS_DEFAULTS.region;
    this.rules = { ...DEFAULT_RULES, ...seeds.rules };
    this.roles = (seeds.roles ?? [{ arn: AWS_DEFAULTS.roleArn, externalId: AWS_DEFAULTS.externalId }]).map(
      (seed) => ({ externalId: null, allow: ["*"], ...seed }),
    );
    for (const seed of seeds.keys ?? [AWS_DEFAULTS]) this.addKey(seed);
  }

  now(): number {
    return this.#clock() + this.#aheadMs;
  }

  /** Moves this vendor's clock; nobody has to wait. A client that signs with the real time fails after 5 minutes. */
  advance(ms: number): void {
    this.#aheadMs += ms;
  }

  addKey(seed: Partial<Principal> & { accessKeyId: string; secretAccessKey: string }): void {
    const { accessKeyId, secretAccessKey, account = AWS_DEFAULTS.account } = seed;
    const { arn = `arn:aws:iam::${account}:user/sandbox`, allow = ["*"] } = seed;
    const principal = { account, arn, allow };
    this.keys.set(accessKeyId, {
      accessKeyId,
      secretAccessKey,
      sessionToken: null,
      expiresAt: null,
      principal,
    });
  }

  /** Every later call with this key is refused; sessions that it opened live on, as on AWS. */
  revokeKey(accessKeyId: string): void {
    this.keys.delete(accessKeyId);
  }

  /** The next `times` calls of an operation ("PutSecretValue") are refused and change nothing. */
  failNext(
    operation: string,
    code: string,
    options: { times?: number; status?: number; message?: string } = {},
  ): void {
    const { times = 1, status = 400, message = "Injected by the test." } = options;
    this.#failures.push({ operation, times, refusal: new AwsRefusal(code, message, status) });
  }

  takeFailure(operation: string): AwsRefusal | null {
    const armed = this.#failures.find((each) => each.operation === operation && each.times > 0);
    if (armed === undefined) return null;
    armed.times -= 1;
    return armed.refusal;
  }

  // -------------------------------------------------------------- secrets

  /** By name, ARN, or an ARN without its last hyphen and six characters. Scheduled ones included. */
  find(account: string, secretId: string): StoredSecret | undefined {
    this.#purge();
    return this.secrets.find(
      ({ account: owner, name, arn }) =>
        owner === account && (name === secretId || arn === secretId || arn.slice(0, -7) === secretId),
    );
  }

  /** A secret as reads show it, `lagMs` behind the truth. */
  seen(secret: StoredSecret, lagMs: number): StoredSecret | null {
    const then = this.now() - lagMs;
    const change = this.#past.find(({ arn, at }) => arn === secret.arn && at > then);
    return change === undefined ? secret : change.before;
  }

  /** Must be called before a secret is changed, and with null before it is made. */
  remember(arn: string, before: StoredSecret | null): void {
    if (this.rules.readLagMs === 0 && this.rules.listLagMs === 0) return;
    this.#past.push({ arn, at: this.now(), before: before === null ? null : structuredClone(before) });
  }

  /** A new and empty secret. Names in the gap after a forced deletion are still scheduled, says AWS. */
  create(account: string, name: string): StoredSecret {
    const now = this.now();
    if (this.#gaps.some((gap) => gap.account === account && gap.name === name && gap.until > now)) {
      throw alreadyScheduled();
    }
    const arn = `arn:aws:secretsmanager:${this.region}:${account}:secret:${name}-${randomBytes(9).toString("base64").replaceAll(/[+/]/g, "x").slice(0, 6)}`;
    this.remember(arn, null);
    const made: StoredSecret = {
      account,
      name,
      arn,
      description: null,
      kmsKeyId: null,
      tags: new Map(),
      versions: new Map(),
      createdAt: now,
      changedAt: now,
      accessedAt: null,
      deletion: null,
      rotationEnabled: false,
      policy: null,
      replicas: [],
    };
    this.secrets.push(made);
    return made;
  }

  erase(secret: StoredSecret): void {
    this.secrets = this.secrets.filter((each) => each !== secret);
    const { account, name } = secret;
    this.#gaps.push({ account, name, until: this.now() + this.rules.forceDeleteGapMs });
  }

  #purge(): void {
    const now = this.now();
    this.secrets = this.secrets.filter(({ deletion }) => deletion === null || deletion.purge > now);
  }

  // -------------------------------------------------------------- for tests

  /** By name, in the default account. Throws on an unknown one: a test that asks for it is wrong. */
  secret(name: string, account: string = AWS_DEFAULTS.account): StoredSecret {
    const found = this.find(account, name);
    if (found === undefined) throw new Error(`the sandbox has no AWS secret ${name}`);
    return found;
  }

  /** The parsed current value; undefined if there is no such secret or no current version. */
  json(name: string, account: string = AWS_DEFAULTS.account): Record<string, unknown> | undefined {
    const secret = this.find(account, name);
    const current = secret === undefined ? undefined : holderOf(secret, "AWSCURRENT");
    return current?.string == null ? undefined : (JSON.parse(current.string) as Record<string, unknown>);
  }

  /** Oldest first, unlabelled ones included. */
  versions(name: string): { id: string; stages: string[]; value: string | null }[] {
    return [...this.secret(name).versions.values()].map(({ id, stages, string }) => ({
      id,
      stages: labelsOf(stages),
      value: string,
    }));
  }

  /** Somebody else's secret, or somebody else's new value of a known one. */
  edit(name: string, value: unknown, account: string = AWS_DEFAULTS.account): void {
    const known = this.find(account, name);
    const secret = known ?? this.create(account, name);
    if (known !== undefined) this.remember(secret.arn, secret);
    const string = typeof value === "string" ? value : JSON.stringify(value);
    attach(secret, newVersion(secret, randomUUID(), { string, binary: null }, this.now()), ["AWSCURRENT"]);
  }

  setRotation(name: string, enabled: boolean): void {
    this.secret(name).rotationEnabled = enabled;
  }
}

// ---------------------------------------------------------------- versions and labels

export function holderOf(secret: StoredSecret, stage: string): Version | undefined {
  return [...secret.versions.values()].find(({ stages }) => stages.has(stage));
}

/** Sorted, as AWS lists them. */
export function labelsOf(stages: ReadonlySet<string>): string[] {
  return [...stages].sort((a, b) => (a < b ? -1 : 1));
}

export function newVersion(
  secret: StoredSecret,
  id: string,
  value: Pick<Version, "string" | "binary">,
  now: number,
): Version {
  const version = { id, ...value, stages: new Set<string>(), createdAt: now };
  secret.versions.set(id, version);
  secret.changedAt = now;
  return version;
}

/**
 * Moves labels onto a version. Whoever loses AWSCURRENT gets AWSPREVIOUS, and loses AWSPENDING if it
 * had that too (so recorded on AWS).
 */
export function attach(secret: StoredSecret, version: Version, stages: readonly string[]): void {
  const former = holderOf(secret, "AWSCURRENT");
  for (const stage of stages) move(secret, stage, version);
  if (!stages.includes("AWSCURRENT") || former === undefined || former === version) return;
  move(secret, "AWSPREVIOUS", former);
  former.stages.delete("AWSPENDING");
}

function move(secret: StoredSecret, stage: string, to: Version): void {
  for (const { stages } of secret.versions.values()) stages.delete(stage);
  to.stages.add(stage);
}

export function alreadyScheduled(): AwsRefusal {
  return new AwsRefusal(
    "InvalidRequestException",
    "You can't create this secret because a secret with this name is already scheduled for deletion.",
  );
}
