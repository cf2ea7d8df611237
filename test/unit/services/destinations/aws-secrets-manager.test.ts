import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AWS_DEFAULTS, type AwsState, startAws } from "../../../../infra/sandbox/aws.ts";
import type { Vendor } from "../../../../infra/sandbox/vendor.ts";
import {
  type AwsTarget,
  awsSecretsManager as adapter,
} from "../../../../services/destinations/aws-secrets-manager.ts";
import type { Destination, Observation } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { claim, failure, MARK, put, puts, type Recorded, recordingIo, remove } from "./secret-writer.ts";

const NAME = "prd/billing/db";
const FOUR = { A: "1", B: "2", C: "3", D: "4" };
const NEXT = { A: "5", B: "6", C: "7", D: "8" };

let vendor: Vendor<AwsState>;
let io: Recorded;
let aws: Destination<AwsTarget>;
let where: AwsTarget;

beforeEach(async () => {
  vendor = await startAws();
  [aws, where] = open();
});
afterEach(() => vendor.close());

function open(more: object = {}, secretId = NAME, rest: object = {}): [Destination<AwsTarget>, AwsTarget] {
  const block = adapter.block.parse({
    account: AWS_DEFAULTS.account,
    region: AWS_DEFAULTS.region,
    accessKey: { id: "env:ID", secret: "env:KEY" },
    endpoint: vendor.url,
    stsEndpoint: vendor.url,
    privateNetwork: true,
    ...more,
  });
  io = recordingIo();
  const { accessKeyId, secretAccessKey } = AWS_DEFAULTS;
  const credential = ({ ref }: { ref: string }) =>
    new Secret(ref === "env:ID" ? accessKeyId : secretAccessKey);
  return [adapter.open(block, credential, io), adapter.parseTarget(block, { secretId, ...rest })];
}

async function observe(contents = false): Promise<Observation> {
  const [seen] = await aws.observe([where], { contents });
  if (seen === undefined) throw new Error("no observation");
  return seen;
}

async function write(values: Record<string, string>, owned?: boolean): Promise<Observation> {
  const seen = await observe();
  const results = await aws.apply(where, puts(values, seen, owned), claim(seen));
  expect(results.map(({ error, unsettled }) => [error, unsettled])).toEqual(results.map(() => [null, false]));
  return observe();
}

/** The operations that were asked for since the mark. */
const operations = (since = 0) => vendor.log.slice(since).map(({ operation }) => operation);

describe("number of calls", () => {
  test("is 2 for a first push, 3 for a changed one, 1 for an unchanged one, 2 for a delete", async () => {
    let seen = await observe();
    await aws.apply(where, puts(FOUR, seen), claim(seen));
    expect(operations()).toEqual(["DescribeSecret", "CreateSecret"]);

    [aws] = open();
    let start = vendor.log.length;
    seen = await observe();
    await aws.apply(where, puts(NEXT, seen, true), claim(seen));
    expect(operations(start)).toEqual(["DescribeSecret", "PutSecretValue", "UpdateSecretVersionStage"]);
    expect(vendor.state.json(NAME)).toEqual(NEXT);

    start = vendor.log.length;
    await observe();
    expect(operations(start)).toEqual(["DescribeSecret"]);

    [aws] = open();
    start = vendor.log.length;
    seen = await observe();
    await aws.apply(where, remove(seen, ...Object.keys(NEXT)), claim(seen));
    expect(operations(start)).toEqual(["DescribeSecret", "DeleteSecret"]);
    expect(vendor.state.secret(NAME).deletion).not.toBeNull();
  });
});

describe("apply()", () => {
  test("marks what it creates with tags, and gives it the key and the replicas of the file", async () => {
    [aws, where] = open({ kmsKeyId: "alias/db", replicaRegions: ["eu-west-1"] });
    expect((await write(FOUR)).mark).toEqual(MARK);
    const made = vendor.state.secret(NAME);
    expect([...made.tags]).toEqual([
      ["branchline:installation", "inst-1"],
      ["branchline:rule", "billing"],
      ["branchline:branch", "br-1"],
    ]);
    expect(made.kmsKeyId).toBe("alias/db");
    const bodies = io.sent.map(({ body }) => new TextDecoder().decode(body as Uint8Array));
    expect(bodies.join()).toContain('"AddReplicaRegions":[{"Region":"eu-west-1"}]');
  });

  test("answers the version as it will be observed", async () => {
    const seen = await observe();
    const results = await aws.apply(where, puts(FOUR, seen), claim(seen));
    expect(new Set(results.map(({ version }) => version))).toEqual(new Set([(await observe()).version]));
  });

  test("keeps the keys of others to the last digit", async () => {
    vendor.state.edit(NAME, '{"port":12345678901234567890,"f":1.0,"nested":{"a":[1]}}');
    const seen = await observe();
    await aws.apply(where, [put("A", "1", seen)], claim(seen));
    const current = vendor.state.versions(NAME).find(({ stages }) => stages.includes("AWSCURRENT"));
    expect(current?.value).toBe('{"port":12345678901234567890,"f":1.0,"nested":{"a":[1]},"A":"1"}');
  });

  test("refuses a key of others that a plan made from the version alone could not see", async () => {
    vendor.state.edit(NAME, { A: "theirs" });
    const seen = await observe();
    const error = await failure(aws.apply(where, [put("A", "ours", seen)], claim(seen)));
    expect(error).toMatchObject({ code: "not_owned", names: ["A"] });
    expect(vendor.state.json(NAME)).toEqual({ A: "theirs" });
  });

  test("refuses it too where it knows the keys of the version without reading it", async () => {
    vendor.state.edit(NAME, { THEIRS: "1" });
    let seen = await observe(true);
    await aws.apply(where, [put("A", "1", seen)], claim(seen));
    seen = await observe();
    const changes = [put("A", "2", seen, true), put("THEIRS", "ours", seen)];
    expect(await failure(aws.apply(where, changes, claim(seen)))).toMatchObject({
      code: "not_owned",
      names: ["THEIRS"],
    });
  });

  test("brings an old value back: A, then B, then A again", async () => {
    await write({ A: "first" });
    await write({ A: "second" }, true);
    await write({ A: "first" }, true);
    expect(vendor.state.json(NAME)).toEqual({ A: "first" });
  });

  test("does nothing twice: a repeated claim makes no second version", async () => {
    const seen = await write(FOUR);
    const once = claim(seen);
    const changes = puts(NEXT, seen, true);
    const [first] = await aws.apply(where, changes, once);
    const start = vendor.log.length;
    const [second] = await aws.apply(where, changes, once);
    expect(second).toEqual(first);
    expect(operations(start)).toEqual(["PutSecretValue"]);
    expect(vendor.state.versions(NAME)).toHaveLength(2);
  });

  test("keeps a fixed number of labels, however often it writes", async () => {
    await write({ A: "0" });
    for (let n = 1; n <= 25; n += 1) await write({ A: String(n) }, true);
    const labels = vendor.state.versions(NAME).flatMap(({ stages }) => stages);
    expect(labels.sort()).toEqual(["AWSCURRENT", "AWSPREVIOUS", "branchline"]);
  });

  test("never takes AWSPENDING, which belongs to rotations", async () => {
    await write({ A: "0" });
    await write({ A: "1" }, true);
    expect(io.sent.map(({ body }) => new TextDecoder().decode(body as Uint8Array)).join()).not.toContain(
      "PENDING",
    );
  });

  test("lets a frozen writer lose, and shows nobody its value", async () => {
    const old = await write({ A: "0" });
    await write({ A: "newer" }, true);
    const error = await failure(aws.apply(where, [put("A", "older", old, true)], claim(old)));
    expect(error.code).toBe("conflict");
    expect(vendor.state.json(NAME)).toEqual({ A: "newer" });
    expect(vendor.state.versions(NAME).find(({ value }) => value?.includes("older"))?.stages).toEqual([
      "branchline",
    ]);
  });

  test("writes again under the same token when keys of others have changed meanwhile", async () => {
    vendor.state.edit(NAME, { THEIRS: "1" });
    let seen = await observe(true);
    const token = "0b6f2a52-1111-4222-8333-444455556666";
    vendor.state.failNext("UpdateSecretVersionStage", "InternalServiceError", { status: 500, times: 1 });
    const [lost] = await aws.apply(where, [put("A", "ours", seen)], claim(seen, token));
    expect(lost?.error).toMatchObject({ code: "unavailable", ambiguous: true });
    vendor.state.edit(NAME, { THEIRS: "2" });
    seen = await observe(true);
    const [result] = await aws.apply(where, [put("A", "ours", seen)], claim(seen, token));
    expect(result?.error).toBeNull();
    expect(vendor.state.json(NAME)).toEqual({ THEIRS: "2", A: "ours" });
  });

  test("looks when the answer to a promotion is lost, and finds that it is done", async () => {
    const seen = await write({ A: "0" });
    vendor.addFault({ kind: "die-after-applying", skip: 1, times: 1 });
    const [result] = await aws.apply(where, [put("A", "1", seen, true)], claim(seen));
    expect(result).toMatchObject({ error: null, unsettled: false });
    expect(result?.version).toBe((await observe()).version);
  });

  test("looks when the answer to a creation is lost, and finds that it is done", async () => {
    const seen = await observe();
    vendor.addFault({ kind: "die-after-applying", times: 1 });
    const [result] = await aws.apply(where, [put("A", "1", seen)], claim(seen));
    expect(result).toMatchObject({ error: null, version: (await observe()).version });
  });

  test("writes a secret that has no value yet", async () => {
    vendor.state.create(AWS_DEFAULTS.account, NAME);
    const seen = await observe();
    expect(seen).toMatchObject({ exists: true, version: null, names: [] });
    await aws.apply(where, [put("A", "1", seen)], claim(seen));
    expect(vendor.state.json(NAME)).toEqual({ A: "1" });
  });

  test("refuses a bundle that is too long together with what others keep there", async () => {
    vendor.state.edit(NAME, { THEIRS: "x".repeat(60_000) });
    const seen = await observe(true);
    const error = await failure(aws.apply(where, [put("A", "y".repeat(6_000), seen)], claim(seen)));
    expect(error.code).toBe("invalid_secret");
    expect(vendor.state.versions(NAME)).toHaveLength(1);
  });

  test("reports an exhausted version quota at once", async () => {
    const seen = await write({ A: "0" });
    vendor.state.failNext("PutSecretValue", "LimitExceededException", { times: 10 });
    const start = vendor.log.length;
    const error = await failure(aws.apply(where, [put("A", "1", seen, true)], claim(seen)));
    expect(error.code).toBe("limit_exceeded");
    expect(operations(start)).toEqual(["PutSecretValue"]);
  });
});

describe("a secret that waits for its deletion", () => {
  test("is revived under its ARN, and what it held is replaced", async () => {
    let seen = await write(FOUR);
    const { arn } = vendor.state.secret(NAME);
    await aws.apply(where, remove(seen, ...Object.keys(FOUR)), claim(seen));
    seen = await observe();
    expect(seen).toMatchObject({ exists: true, contents: true, names: [], mark: MARK });
    const results = await aws.apply(where, puts(NEXT, seen), claim(seen));
    expect(results.map(({ error }) => error)).toEqual([null, null, null, null]);
    expect(vendor.state.json(NAME)).toEqual(NEXT);
    expect(vendor.state.secret(NAME)).toMatchObject({ arn, deletion: null });
  });

  test("never shows the version that we recorded, so that it counts as lost", async () => {
    const before = await write({ A: "1" });
    await aws.apply(where, remove(before, "A"), claim(before));
    expect((await observe()).version).not.toBe(before.version);
  });

  test("keeps the keys of others when it is revived under other names", async () => {
    vendor.state.edit(NAME, { THEIRS: "1", A: "of the branch that was" });
    vendor.state.secret(NAME).tags.set("branchline:installation", "inst-1");
    vendor.state.secret(NAME).deletion = { at: vendor.state.now(), purge: vendor.state.now() + 86_400_000 };
    const seen = await observe(true);
    await aws.apply(where, [put("A", "1", seen)], claim(seen));
    expect(vendor.state.json(NAME)).toEqual({ THEIRS: "1", A: "1" });
  });

  test("counts as deleted already", async () => {
    const before = await write({ A: "1" });
    await aws.apply(where, remove(before, "A"), claim(before));
    const seen = await observe();
    const start = vendor.log.length;
    expect(await aws.apply(where, remove(seen, "A"), claim(seen))).toMatchObject([{ error: null }]);
    expect(vendor.log).toHaveLength(start);
  });
});

describe("deleting", () => {
  test("leaves 30 days to come back, or as many as the file says", async () => {
    const days = async () => {
      const seen = await write({ A: "1" });
      await aws.apply(where, remove(seen, "A"), claim(seen));
      const { deletion } = vendor.state.secret(NAME);
      return ((deletion?.purge ?? 0) - (deletion?.at ?? 0)) / 86_400_000;
    };
    expect(await days()).toBe(30);
    [aws, where] = open({ recoveryWindowDays: 7 });
    expect(await days()).toBe(7);
  });

  test("forces only where the file says so", async () => {
    [aws, where] = open({ forceDelete: true });
    const seen = await write({ A: "1" });
    await aws.apply(where, remove(seen, "A"), claim(seen));
    expect(vendor.state.find(AWS_DEFAULTS.account, NAME)).toBeUndefined();
  });

  test("says that the name is still being freed after a forced deletion", async () => {
    await vendor.close();
    vendor = await startAws({ rules: { forceDeleteGapMs: 60_000 } });
    [aws, where] = open({ forceDelete: true });
    const seen = await write({ A: "1" });
    await aws.apply(where, remove(seen, "A"), claim(seen));
    const gone = await observe();
    expect(gone.exists).toBe(false);
    const error = await failure(aws.apply(where, [put("A", "1", gone)], claim(gone)));
    expect(error).toMatchObject({ code: "unavailable", retryAfterMs: 5_000 });
  });

  test("takes replicas away first", async () => {
    [aws, where] = open({ replicaRegions: ["eu-west-1"] });
    const seen = await write({ A: "1" });
    vendor.state.secret(NAME).replicas = [{ region: "eu-west-1", kmsKeyId: null }];
    const again = await observe();
    await aws.apply(where, remove(again, "A"), claim(again));
    expect(operations().slice(-2)).toEqual(["RemoveRegionsFromReplication", "DeleteSecret"]);
    expect(seen.version).toBe(again.version);
  });

  test("leaves an empty secret that was not made here", async () => {
    vendor.state.edit(NAME, { A: "1" });
    const seen = await observe(true);
    await aws.apply(where, remove(seen, "A"), claim(seen));
    expect(vendor.state.json(NAME)).toEqual({});
    expect(vendor.state.secret(NAME).deletion).toBeNull();
  });

  test("does not delete a secret that somebody else has changed since", async () => {
    const seen = await write({ A: "1" });
    [aws] = open();
    vendor.state.edit(NAME, { A: "1", THEIRS: "2" });
    expect((await failure(aws.apply(where, remove(seen, "A"), claim(seen)))).code).toBe("conflict");
    expect(vendor.state.secret(NAME).deletion).toBeNull();
  });
});

describe("write-only mode", () => {
  beforeEach(() => {
    const { accessKeyId, secretAccessKey } = AWS_DEFAULTS;
    const allow = ["Create*", "Put*", "Describe*", "Update*", "Delete*", "Restore*", "TagResource"];
    vendor.state.addKey({
      accessKeyId,
      secretAccessKey,
      allow: allow.map((name) => `secretsmanager:${name}`),
    });
    [aws, where] = open({ readValues: false });
  });

  test("creates, changes, deletes and revives without the right to read", async () => {
    await write({ A: "1", B: "2" });
    const seen = await write({ A: "3", B: "4" }, true);
    expect(seen).toMatchObject({ contents: false, names: [] });
    expect(await observe(true)).toEqual(seen);
    await aws.apply(where, remove(seen, "A", "B"), claim(seen));
    await write({ C: "5" });
    expect(vendor.state.json(NAME)).toEqual({ C: "5" });
    expect(operations()).not.toContain("GetSecretValue");
  });

  test("takes a name more or less, if all are written", async () => {
    await write({ A: "1", B: "2" });
    await write({ A: "1", B: "2", C: "3" }, true);
    expect(vendor.state.json(NAME)).toEqual({ A: "1", B: "2", C: "3" });
  });

  test("does not overwrite what somebody else wrote, whose keys it cannot see", async () => {
    await write({ A: "1" });
    vendor.state.edit(NAME, { A: "1", THEIRS: "2" });
    const seen = await observe();
    expect((await failure(aws.apply(where, [put("A", "3", seen, true)], claim(seen)))).code).toBe(
      "not_owned",
    );
    expect(vendor.state.json(NAME)).toEqual({ A: "1", THEIRS: "2" });
  });

  test("does not drop keys that are not written along", async () => {
    await write({ A: "1", B: "2" });
    const seen = await observe();
    expect((await failure(aws.apply(where, [put("A", "3", seen, true)], claim(seen)))).code).toBe(
      "not_owned",
    );
    expect(vendor.state.json(NAME)).toEqual({ A: "1", B: "2" });
  });
});

describe("observe()", () => {
  test("calls a rotated secret somebody else's", async () => {
    await write({ A: "1" });
    vendor.state.setRotation(NAME, true);
    expect((await observe()).foreign).toMatch(/rotation/);
  });

  test("calls a secret somebody else's whose text is no JSON object", async () => {
    vendor.state.edit(NAME, "postgresql://plain");
    expect(await observe(true)).toMatchObject({ names: [], foreign: expect.stringMatching(/JSON/) });
    const seen = await observe();
    expect((await failure(aws.apply(where, [put("A", "1", seen)], claim(seen)))).code).toBe("not_owned");
  });

  test("tells a number from the same digits as text", async () => {
    vendor.state.edit(NAME, { port: 5432 });
    const number = (await observe(true)).names[0]?.fingerprint;
    vendor.state.edit(NAME, { port: "5432" });
    expect((await observe(true)).names[0]?.fingerprint).not.toBe(number);
  });
});

describe("a target with a variable", () => {
  beforeEach(() => {
    [aws, where] = open({}, NAME, { variable: "DATABASE_URL" });
  });

  test("keeps its value bare", async () => {
    await write({ DATABASE_URL: "postgresql://x" });
    const [version] = vendor.state.versions(NAME);
    expect(version?.value).toBe("postgresql://x");
    expect((await observe(true)).names.map(({ name }) => name)).toEqual(["DATABASE_URL"]);
    await write({ DATABASE_URL: "postgresql://y" }, true);
    expect(vendor.state.versions(NAME).map(({ value }) => value)).toEqual([
      "postgresql://x",
      "postgresql://y",
    ]);
  });

  test("refuses any other name before anything is written", async () => {
    const seen = await observe();
    const error = await failure(aws.apply(where, puts({ DATABASE_URL: "1", B: "2" }, seen), claim(seen)));
    expect(error).toMatchObject({ code: "invalid_target", names: ["B"] });
    expect(vendor.state.secrets).toEqual([]);
  });
});

describe("parseTarget() and place()", () => {
  const block = () => adapter.block.parse({ account: "123456789012", region: "eu-central-1" });
  const arn = (account: string) => `arn:aws:secretsmanager:eu-central-1:${account}:secret:prd/db-a1B2c3`;

  test("give a name and its ARN one place", () => {
    const places = ["prd/db", arn("123456789012")].map((secretId) =>
      adapter.place(adapter.parseTarget(block(), { secretId })),
    );
    expect(places[0]).toBe(places[1]);
  });

  test("refuse the ARN of another account", () => {
    expect(() => adapter.parseTarget(block(), { secretId: arn("999999999999") })).toThrow(/another account/);
  });

  test("encode what a branch name may hold and a secret name may not", () => {
    const { name } = adapter.parseTarget(block(), { secretId: "preview/feat #1/db" });
    expect(name).toMatch(/^preview\/feat__1\/db_[0-9a-f]{8}$/);
  });

  test("never make a secret that was named by its ARN", async () => {
    [aws, where] = open({}, arn("123456789012"));
    const seen = await observe();
    expect((await failure(aws.apply(where, [put("A", "1", seen)], claim(seen)))).code).toBe("target_missing");
  });
});
