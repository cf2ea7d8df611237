import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AWS_DEFAULTS, type AwsState, startAws } from "../../../../infra/sandbox/aws.ts";
import type { Vendor } from "../../../../infra/sandbox/vendor.ts";
import { awsSecretsManager as adapter } from "../../../../services/destinations/aws-secrets-manager.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { CANARY, claim, failure, put, recordingIo, shown } from "./secret-writer.ts";

const { accessKeyId, secretAccessKey, roleArn, externalId, account, region } = AWS_DEFAULTS;
let vendor: Vendor<AwsState>;
const environment = { ...process.env };

beforeEach(async () => {
  vendor = await startAws();
});
afterEach(async () => {
  process.env = { ...environment };
  await vendor.close();
});

function open(more: object = {}, known: Record<string, string> = {}) {
  const values: Record<string, string> = {
    "env:ID": accessKeyId,
    "env:KEY": secretAccessKey,
    "env:EXTERNAL": externalId,
    ...known,
  };
  const block = adapter.block.parse({
    account,
    region,
    accessKey: { id: "env:ID", secret: "env:KEY" },
    endpoint: vendor.url,
    stsEndpoint: vendor.url,
    privateNetwork: true,
    ...more,
  });
  const io = recordingIo();
  const destination = adapter.open(block, ({ ref }) => new Secret(values[ref] ?? ""), io);
  return { io, destination, target: adapter.parseTarget(block, { secretId: "shop/db" }) };
}

const assumed = (sessionName = "branchline") => ({
  assumeRole: { arn: roleArn, externalId: "env:EXTERNAL", sessionName },
});

const operations = () => vendor.log.map(({ operation }) => operation);

describe("check()", () => {
  test("proves the account that the file names", async () => {
    const { destination, target } = open({ account: "999999999999" });
    const error = await failure(destination.check(target));
    expect(error.code).toBe("wrong_account");
    expect(error.message).toBe("expected 999999999999, credential belongs to 123456789012");
  });

  test("reports a key that AWS does not know", async () => {
    const { destination, target } = open({}, { "env:ID": "AKIANOBODY0000000000" });
    expect((await failure(destination.check(target))).code).toBe("unauthenticated");
  });

  test("reports what the key may not do", async () => {
    vendor.state.addKey({ accessKeyId, secretAccessKey, allow: ["secretsmanager:CreateSecret"] });
    const { destination, target } = open();
    const error = await failure(destination.check(target));
    expect(error).toMatchObject({ code: "forbidden", where: { operation: "DescribeSecret", status: 400 } });
    expect(error.where.requestId).toMatch(/^[\w-]+$/);
  });
});

describe("an assumed role", () => {
  test("is taken with its external id, once for many openings", async () => {
    for (let n = 0; n < 3; n += 1) {
      const { destination, target } = open(assumed("once"));
      await destination.observe([target], { contents: false });
    }
    expect(operations()).toEqual(["STS", "DescribeSecret", "DescribeSecret", "DescribeSecret"]);
  });

  test("is refused with another external id, and the error does not repeat it", async () => {
    const { destination, target } = open(assumed("refused"), { "env:EXTERNAL": CANARY });
    const error = await failure(destination.observe([target], { contents: false }));
    expect(error).toMatchObject({ code: "forbidden", where: { operation: "AssumeRole" } });
    expect(shown(error)).not.toContain(CANARY);
  });

  test("is taken anew, once, when its credentials have expired early", async () => {
    const first = open(assumed("expired"));
    await first.destination.observe([first.target], { contents: false });
    vendor.state.failNext("DescribeSecret", "ExpiredTokenException");
    const second = open(assumed("expired"));
    await second.destination.observe([second.target], { contents: false });
    expect(operations().filter((operation) => operation === "STS")).toHaveLength(2);
    vendor.state.failNext("DescribeSecret", "ExpiredTokenException", { times: 5 });
    const third = open(assumed("expired"));
    const error = await failure(third.destination.observe([third.target], { contents: false }));
    expect(error.code).toBe("unauthenticated");
  });
});

describe("the standard chain", () => {
  test("serves where no key is named", async () => {
    process.env["AWS_ACCESS_KEY_ID"] = accessKeyId;
    process.env["AWS_SECRET_ACCESS_KEY"] = secretAccessKey;
    const { destination, target } = open({ accessKey: undefined });
    await destination.check(target);
  });
});

describe("settings of the SDK", () => {
  test("come from nowhere but the file", async () => {
    Object.assign(process.env, {
      AWS_ENDPOINT_URL: "http://127.0.0.1:1",
      AWS_ENDPOINT_URL_SECRETS_MANAGER: "http://127.0.0.1:1",
      AWS_ENDPOINT_URL_STS: "http://127.0.0.1:1",
      AWS_REGION: "us-west-2",
      AWS_MAX_ATTEMPTS: "9",
      AWS_USE_FIPS_ENDPOINT: "true",
      AWS_USE_DUALSTACK_ENDPOINT: "true",
    });
    const { destination, target, io } = open(assumed("settings"));
    vendor.state.failNext("DescribeSecret", "ThrottlingException", { times: 9 });
    const error = await failure(destination.check(target));
    expect(error.code).toBe("rate_limited");
    expect(new Set(io.sent.map(({ url }) => new URL(url).origin))).toEqual(new Set([vendor.url]));
    expect(operations()).toEqual(["STS", "STS", "DescribeSecret"]);
  });

  test("name the public endpoint of the region where the file names none", async () => {
    const { destination, target, io } = open({ endpoint: undefined, stsEndpoint: undefined });
    const seen: string[] = [];
    io.fetch = async ({ url }) => {
      seen.push(url);
      throw new Error("no network in tests");
    };
    await failure(destination.observe([target], { contents: false }));
    await failure(destination.check(target));
    expect(seen).toEqual([
      "https://secretsmanager.eu-central-1.amazonaws.com/",
      "https://sts.eu-central-1.amazonaws.com/",
    ]);
  });
});

describe("errors", () => {
  const expected: readonly [aws: string, status: number, code: string][] = [
    ["DecryptionFailure", 400, "forbidden"],
    ["EncryptionFailure", 400, "forbidden"],
    ["AccessDeniedException", 400, "forbidden"],
    ["UnrecognizedClientException", 400, "unauthenticated"],
    ["ThrottlingException", 400, "rate_limited"],
    ["InternalServiceError", 500, "unavailable"],
    ["ServiceUnavailable", 503, "unavailable"],
    ["LimitExceededException", 400, "limit_exceeded"],
    ["ValidationException", 400, "invalid_target"],
    ["InvalidParameterException", 400, "invalid_target"],
    ["PreconditionNotMetException", 400, "invalid_target"],
    ["InvalidRequestException", 400, "conflict"],
    ["SomethingNewException", 400, "internal"],
    ["SomethingNewException", 403, "forbidden"],
    ["SomethingNewException", 502, "unavailable"],
  ];

  test.each(expected)("%s with HTTP %i is %s, and shows no value", async (name, status, code) => {
    vendor.state.edit("shop/db", { A: "0" });
    const { destination, target } = open();
    const [seen] = await destination.observe([target], { contents: true });
    if (seen === undefined) throw new Error("no observation");
    vendor.state.failNext("PutSecretValue", name, { status, message: `${CANARY} in the text` });
    const error = await failure(destination.apply(target, [put("A", CANARY, seen)], claim(seen)));
    expect(error.code).toBe(code);
    expect(error.where).toMatchObject({ vendor: "aws", operation: "PutSecretValue", status });
    expect(shown(error)).not.toContain(CANARY);
    expect(shown(error)).not.toContain(secretAccessKey);
  });
});
