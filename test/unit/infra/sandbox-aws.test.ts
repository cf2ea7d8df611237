import { randomUUID } from "node:crypto";
import {
  BatchGetSecretValueCommand,
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  ListSecretVersionIdsCommand,
  PutResourcePolicyCommand,
  PutSecretValueCommand,
  RemoveRegionsFromReplicationCommand,
  ReplicateSecretToRegionsCommand,
  RestoreSecretCommand,
  SecretsManagerClient,
  TagResourceCommand,
  UpdateSecretCommand,
  UpdateSecretVersionStageCommand,
} from "@aws-sdk/client-secrets-manager";
import { fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import { afterEach, describe, expect, test } from "vitest";
import { AWS_DEFAULTS, startAws } from "../../../infra/sandbox/aws.ts";

const { region, accessKeyId, secretAccessKey, roleArn, externalId } = AWS_DEFAULTS;
const KEY = { accessKeyId, secretAccessKey };
const NAME = "prd/billing/db";
const opened: { close(): unknown }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

type ClientOptions = ConstructorParameters<typeof SecretsManagerClient>[0];

/** A stand-in, and the real SDK pointed at it. */
async function start(options: Parameters<typeof startAws>[0] = {}) {
  const aws = await startAws(options);
  opened.push(aws);
  const client = (more: ClientOptions = {}) => {
    const made = new SecretsManagerClient({
      endpoint: aws.url,
      region,
      credentials: KEY,
      maxAttempts: 1,
      ...more,
    });
    opened.push({ close: () => made.destroy() });
    return made;
  };
  return { aws, client, sdk: client(), state: aws.state };
}

/** `Name: message` of what a call was refused with. */
async function refusal(attempt: Promise<unknown>): Promise<string> {
  const outcome = await attempt.then(
    () => "no refusal",
    (error: Error & { $metadata?: { httpStatusCode?: number } }) =>
      `${error.$metadata?.httpStatusCode} ${error.name}: ${error.message}`,
  );
  return outcome;
}

const create = (value: string | null = '{"a":"1"}', token: string = randomUUID(), name = NAME) =>
  new CreateSecretCommand({
    Name: name,
    ClientRequestToken: token,
    ...(value === null ? {} : { SecretString: value }),
  });
const put = (value: string, token: string = randomUUID(), stages?: string[]) =>
  new PutSecretValueCommand({
    SecretId: NAME,
    SecretString: value,
    ClientRequestToken: token,
    ...(stages === undefined ? {} : { VersionStages: stages }),
  });
const get = (more: { VersionId?: string; VersionStage?: string } = {}) =>
  new GetSecretValueCommand({ SecretId: NAME, ...more });

describe("signatures", () => {
  test("are verified: key, secret, region and clock", async () => {
    const { client, sdk, state } = await start();
    await sdk.send(create());
    const attempt = (more: ClientOptions) => refusal(client(more).send(get()));
    const other = { ...KEY, accessKeyId: "AKIANOBODY0000000000" };
    expect(await attempt({ credentials: other })).toContain("400 UnrecognizedClientException");
    const wrong = { ...KEY, secretAccessKey: "wrong" };
    expect(await attempt({ credentials: wrong })).toContain(
      "400 InvalidSignatureException: The request signature",
    );
    expect(await attempt({ region: "us-east-1" })).toContain(
      "InvalidSignatureException: Credential should be scoped",
    );
    const stolen = { ...KEY, sessionToken: "t" };
    expect(await attempt({ credentials: stolen })).toContain("UnrecognizedClientException");
    state.advance(600_000);
    expect(await attempt({})).toContain("InvalidSignatureException: Signature expired");
  });

  test("cover the body", async () => {
    const { client } = await start();
    const tampering = client();
    tampering.middlewareStack.add(
      (next) => (args) => {
        const other = { Name: NAME, SecretString: "two", ClientRequestToken: randomUUID() };
        Object.assign(args.request as object, { body: JSON.stringify(other) });
        return next(args);
      },
      { step: "finalizeRequest", priority: "low" },
    );
    expect(await refusal(tampering.send(create("one")))).toContain("InvalidSignatureException");
  });

  test("are demanded", async () => {
    const { aws } = await start();
    const headers = {
      "x-amz-target": "secretsmanager.ListSecrets",
      "content-type": "application/x-amz-json-1.1",
    };
    const answer = await fetch(aws.url, { method: "POST", headers, body: "{}" });
    expect([answer.status, ((await answer.json()) as { __type: string }).__type]).toEqual([
      400,
      "MissingAuthenticationTokenException",
    ]);
    expect(answer.headers.get("x-amzn-requestid")).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe("assumed roles", () => {
  test("need the external id, and end", async () => {
    const { aws, client, sdk, state } = await start();
    await sdk.send(create());
    const assume = (id: string) =>
      client({
        credentials: fromTemporaryCredentials({
          masterCredentials: KEY,
          params: { RoleArn: roleArn, RoleSessionName: "branchline", ExternalId: id, DurationSeconds: 900 },
          clientConfig: { endpoint: aws.url, region, maxAttempts: 1 },
        }),
      });
    const assumed = assume(externalId);
    expect((await assumed.send(get())).SecretString).toBe('{"a":"1"}');
    expect(await refusal(assume("guess").send(get()))).toContain("403 AccessDenied: User: arn:aws:iam::");
    const session = await assumed.config.credentials();
    state.advance(901_000);
    const late = client({
      credentials: session,
      // Signs with the stand-in's time, so that only the session's age is wrong.
      systemClockOffset: 901_000,
    });
    expect(await refusal(late.send(get()))).toContain("ExpiredTokenException");
    expect(aws.log.map(({ operation }) => operation)).toContain("STS");
  });
});

describe("IAM", () => {
  test("refuses what the key's policy does not name", async () => {
    const { client, sdk, state } = await start();
    await sdk.send(create());
    const writer = { accessKeyId: "AKIAWRITER0000000000", secretAccessKey: "w" };
    const allow = [
      "secretsmanager:DescribeSecret prd/*",
      "secretsmanager:PutSecretValue prd/*",
      "secretsmanager:Batch*",
    ];
    state.addKey({ ...writer, allow });
    const narrow = client({ credentials: writer });
    expect((await narrow.send(put("2"))).VersionStages).toEqual(["AWSCURRENT"]);
    expect(await refusal(narrow.send(get()))).toContain(
      "400 AccessDeniedException: User: arn:aws:iam::123456789012:user/sandbox is not authorized to perform: secretsmanager:GetSecretValue",
    );
    const batch = new BatchGetSecretValueCommand({ SecretIdList: [NAME] });
    expect((await narrow.send(batch)).Errors).toMatchObject([{ ErrorCode: "AccessDeniedException" }]);
    const elsewhere = new DescribeSecretCommand({ SecretId: "dev/x" });
    expect(await refusal(narrow.send(elsewhere))).toContain("AccessDeniedException");
  });
});

describe("tokens", () => {
  test("make CreateSecret repeatable, and tell the two kinds of exists apart", async () => {
    const { sdk } = await start();
    const token = randomUUID();
    const first = await sdk.send(create("v", token));
    expect(first.VersionId).toBe(token);
    expect((await sdk.send(create("v", token))).ARN).toBe(first.ARN);
    expect(await refusal(sdk.send(create("w", token)))).toContain("ResourceExistsException: You can't use");
    expect(await refusal(sdk.send(create("v")))).toBe(
      `400 ResourceExistsException: The operation failed because the secret ${NAME} already exists.`,
    );
  });

  test("make a replayed put answer with the labels of today and move nothing: A, B, A leaves B", async () => {
    const { sdk, state } = await start();
    await sdk.send(create('{"v":"0"}'));
    const [a, b] = [randomUUID(), randomUUID()];
    await sdk.send(put('{"v":"A"}', a));
    await sdk.send(put('{"v":"B"}', b));
    expect((await sdk.send(put('{"v":"A"}', a))).VersionStages).toEqual(["AWSPREVIOUS"]);
    expect(state.json(NAME)).toEqual({ v: "B" });
    expect(await refusal(sdk.send(put('{"v":"C"}', a)))).toContain("ResourceExistsException: You can't use");
  });

  test("let UpdateSecret be repeated, unless told to follow the documentation", async () => {
    const { sdk, state } = await start();
    await sdk.send(create());
    const update = new UpdateSecretCommand({
      SecretId: NAME,
      SecretString: "u",
      ClientRequestToken: randomUUID(),
    });
    await sdk.send(update);
    expect(await refusal(sdk.send(update))).toBe("no refusal");
    state.rules.updateReplay = "fails";
    expect(await refusal(sdk.send(update))).toContain("ResourceExistsException");
    const described = new UpdateSecretCommand({ SecretId: NAME, Description: "d" });
    expect("VersionId" in (await sdk.send(described))).toBe(false);
    expect(state.versions(NAME)).toHaveLength(2);
  });

  test("are demanded on the wire, and have 32 to 64 characters", async () => {
    const { client, sdk } = await start();
    const bare = client();
    bare.middlewareStack.add(
      (next) => (args) => {
        const body = JSON.stringify({ Name: NAME, SecretString: "v" });
        Object.assign(args.request as object, { body });
        return next(args);
      },
      { step: "build", priority: "high" },
    );
    expect(await refusal(bare.send(create()))).toContain(
      "InvalidRequestException: You must provide a ClientRequestToken value.",
    );
    expect(await refusal(sdk.send(create("v", "short")))).toContain("ValidationException");
  });
});

describe("staging labels", () => {
  test("follow a plain put: current, previous, nothing", async () => {
    const { sdk, state } = await start();
    await sdk.send(create("1"));
    await sdk.send(put("2"));
    await sdk.send(put("3"));
    expect(state.versions(NAME).map(({ stages }) => stages)).toEqual([[], ["AWSPREVIOUS"], ["AWSCURRENT"]]);
    const ids = (more: object) => sdk.send(new ListSecretVersionIdsCommand({ SecretId: NAME, ...more }));
    expect((await ids({})).Versions).toHaveLength(2);
    expect((await ids({ IncludeDeprecated: true })).Versions).toHaveLength(3);
    const described = await sdk.send(new DescribeSecretCommand({ SecretId: NAME }));
    expect(Object.values(described.VersionIdsToStages ?? {})).toEqual([["AWSPREVIOUS"], ["AWSCURRENT"]]);
  });

  test("move only away from the version that is named as their holder", async () => {
    const { sdk, state } = await start();
    const [first, second] = [randomUUID(), randomUUID()];
    await sdk.send(create("1", first));
    expect((await sdk.send(put("2", second, ["AWSPENDING"]))).VersionStages).toEqual(["AWSPENDING"]);
    expect((await sdk.send(get())).SecretString).toBe("1");
    const promote = (from?: string) =>
      sdk.send(
        new UpdateSecretVersionStageCommand({
          SecretId: NAME,
          VersionStage: "AWSCURRENT",
          MoveToVersionId: second,
          ...(from === undefined ? {} : { RemoveFromVersionId: from }),
        }),
      );
    expect(await refusal(promote())).toContain(
      "InvalidParameterException: The parameter RemoveFromVersionId can't",
    );
    expect(await refusal(promote(randomUUID()))).toContain("InvalidParameterException");
    await promote(first);
    expect(state.versions(NAME).map(({ stages }) => stages)).toEqual([
      ["AWSPREVIOUS"],
      ["AWSCURRENT", "AWSPENDING"],
    ]);
    expect(await refusal(promote(first))).toContain("InvalidParameterException");
    await sdk.send(put("3"));
    expect(state.versions(NAME).map(({ stages }) => stages)).toEqual([[], ["AWSPREVIOUS"], ["AWSCURRENT"]]);
  });

  test("must fit the version that is read", async () => {
    const { sdk } = await start();
    const first = randomUUID();
    await sdk.send(create("1", first));
    await sdk.send(put("2"));
    expect((await sdk.send(get({ VersionId: first }))).SecretString).toBe("1");
    expect(await refusal(sdk.send(get({ VersionId: first, VersionStage: "AWSCURRENT" })))).toContain(
      "InvalidRequestException: You provided a VersionStage",
    );
  });
});

describe("not found", () => {
  test("has one class and two messages: no secret, no value", async () => {
    const { sdk } = await start();
    expect(await refusal(sdk.send(get()))).toBe(
      "400 ResourceNotFoundException: Secrets Manager can't find the specified secret.",
    );
    await sdk.send(create(null));
    expect(await refusal(sdk.send(get()))).toBe(
      "400 ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
    );
    expect(
      (await sdk.send(new DescribeSecretCommand({ SecretId: NAME }))).VersionIdsToStages,
    ).toBeUndefined();
    expect((await sdk.send(put("1", randomUUID(), ["AWSPENDING"]))).VersionStages).toEqual([
      "AWSCURRENT",
      "AWSPENDING",
    ]);
  });
});

describe("deletion", () => {
  const remove = (more: object = {}) => new DeleteSecretCommand({ SecretId: NAME, ...more });

  test("schedules: describe still works, everything else is refused, restore brings it back", async () => {
    const { sdk, state } = await start();
    await sdk.send(create());
    await sdk.send(remove());
    const described = await sdk.send(new DescribeSecretCommand({ SecretId: NAME }));
    expect(described.DeletedDate).toBeInstanceOf(Date);
    const marked =
      "InvalidRequestException: You can't perform this operation on the secret because it was marked";
    expect(await refusal(sdk.send(get()))).toContain(marked);
    expect(await refusal(sdk.send(put("2")))).toContain(marked);
    const tag = new TagResourceCommand({ SecretId: NAME, Tags: [{ Key: "k", Value: "v" }] });
    expect(await refusal(sdk.send(tag))).toContain(marked);
    expect(await refusal(sdk.send(create()))).toContain(
      "InvalidRequestException: You can't create this secret",
    );
    expect(await refusal(sdk.send(remove()))).toContain("InvalidRequestException: You tried to perform");
    expect((await sdk.send(new ListSecretsCommand({}))).SecretList).toEqual([]);
    expect(
      (await sdk.send(new ListSecretsCommand({ IncludePlannedDeletion: true }))).SecretList,
    ).toHaveLength(1);
    await sdk.send(new RestoreSecretCommand({ SecretId: NAME }));
    await sdk.send(put('{"a":"2"}'));
    expect(state.json(NAME)).toEqual({ a: "2" });
  });

  test("is final after its window, which is 7 to 30 days", async () => {
    const { sdk, state } = await start();
    await sdk.send(create());
    expect(await refusal(sdk.send(remove({ RecoveryWindowInDays: 6 })))).toContain(
      "InvalidParameterException",
    );
    const both = { RecoveryWindowInDays: 7, ForceDeleteWithoutRecovery: true };
    expect(await refusal(sdk.send(remove(both)))).toContain("InvalidParameterException");
    await sdk.send(remove({ RecoveryWindowInDays: 7 }));
    state.advance(7 * 86_400_000);
    expect(state.json(NAME)).toBeUndefined();
  });

  test("by force takes scheduled ones, forgives missing ones, and leaves a gap where told so", async () => {
    const { sdk, state } = await start({ rules: { forceDeleteGapMs: 5000 } });
    const first = await sdk.send(create());
    await sdk.send(remove());
    await sdk.send(remove({ ForceDeleteWithoutRecovery: true }));
    expect(await refusal(sdk.send(remove({ ForceDeleteWithoutRecovery: true })))).toBe("no refusal");
    expect(await refusal(sdk.send(remove()))).toContain("ResourceNotFoundException");
    expect(await refusal(sdk.send(create()))).toContain("already scheduled for deletion");
    state.advance(5000);
    expect((await sdk.send(create())).ARN).not.toBe(first.ARN);
  });

  test("is refused while there are replicas", async () => {
    const { sdk } = await start();
    await sdk.send(create());
    const regions = [{ Region: "eu-west-1" }];
    await sdk.send(new ReplicateSecretToRegionsCommand({ SecretId: NAME, AddReplicaRegions: regions }));
    expect(await refusal(sdk.send(remove()))).toContain("still has replica regions [eu-west-1]");
    await sdk.send(
      new RemoveRegionsFromReplicationCommand({ SecretId: NAME, RemoveReplicaRegions: ["eu-west-1"] }),
    );
    expect(await refusal(sdk.send(remove()))).toBe("no refusal");
  });
});

describe("bounds", () => {
  test.each(["a b", "a#b", "a:b", "pr/é", "x".repeat(513)])("refuse the name %j", async (name) => {
    const { sdk } = await start();
    expect(await refusal(sdk.send(create("v", randomUUID(), name)))).toContain("400 ValidationException");
  });

  test("hold a value to 65,536 bytes", async () => {
    const { sdk } = await start();
    await sdk.send(create());
    expect(await refusal(sdk.send(put("é".repeat(32_768))))).toBe("no refusal");
    expect(await refusal(sdk.send(put(`${"é".repeat(32_768)}x`)))).toContain("ValidationException");
    expect(await refusal(sdk.send(put("")))).toContain("ValidationException");
  });

  test("fill up with young versions, and empty after a day", async () => {
    const { sdk, state } = await start({ rules: { versionQuota: 3 } });
    await sdk.send(create("1"));
    await sdk.send(put("2"));
    await sdk.send(put("3"));
    expect(await refusal(sdk.send(put("4")))).toContain("LimitExceededException");
    for (const version of state.secret(NAME).versions.values()) {
      Object.assign(version, { createdAt: version.createdAt - 86_400_001 });
    }
    expect(await refusal(sdk.send(put("4")))).toBe("no refusal");
    expect(state.versions(NAME).map(({ value }) => value)).toEqual(["2", "3", "4"]);
  });
});

describe("around the value", () => {
  test("tags add up, and rotation and the policy stay as they were", async () => {
    const { sdk, state } = await start();
    await sdk.send(create());
    state.setRotation(NAME, true);
    const policy = JSON.stringify({ Statement: { Effect: "Allow", Principal: "*", Action: "*" } });
    const open = new PutResourcePolicyCommand({
      SecretId: NAME,
      ResourcePolicy: policy,
      BlockPublicPolicy: true,
    });
    expect(await refusal(sdk.send(open))).toContain("PublicPolicyException");
    await sdk.send(new PutResourcePolicyCommand({ SecretId: NAME, ResourcePolicy: policy }));
    for (const Key of ["a", "b"]) {
      await sdk.send(new TagResourceCommand({ SecretId: NAME, Tags: [{ Key, Value: "v" }] }));
    }
    await sdk.send(put("2"));
    const described = await sdk.send(new DescribeSecretCommand({ SecretId: NAME }));
    expect(described).toMatchObject({ RotationEnabled: true, Tags: [{ Key: "a" }, { Key: "b" }] });
    expect(state.secret(NAME).policy).toBe(policy);
  });

  test("lists page, filter by prefix, and find by ARN without its suffix", async () => {
    const { sdk } = await start();
    for (const name of ["a/1", "a/2", "b/1"]) await sdk.send(create("v", randomUUID(), name));
    const first = await sdk.send(new ListSecretsCommand({ MaxResults: 2 }));
    const rest = await sdk.send(new ListSecretsCommand({ MaxResults: 2, NextToken: first.NextToken }));
    expect([first.SecretList?.length, rest.SecretList?.length, rest.NextToken]).toEqual([2, 1, undefined]);
    const batch = new BatchGetSecretValueCommand({ Filters: [{ Key: "name", Values: ["a/"] }] });
    expect((await sdk.send(batch)).SecretValues?.map(({ Name }) => Name)).toEqual(["a/1", "a/2"]);
    const arn = first.SecretList?.[0]?.ARN ?? "";
    const partial = new DescribeSecretCommand({ SecretId: arn.slice(0, -7) });
    expect((await sdk.send(partial)).Name).toBe("a/1");
  });

  test("reads lag behind where told so", async () => {
    const { sdk, state } = await start({ rules: { readLagMs: 2000 } });
    await sdk.send(create("1"));
    expect(await refusal(sdk.send(get()))).toContain("ResourceNotFoundException");
    state.advance(2001);
    await sdk.send(put("2"));
    expect((await sdk.send(get())).SecretString).toBe("1");
    state.advance(2001);
    expect((await sdk.send(get())).SecretString).toBe("2");
  });

  test("a disabled key of KMS fails reads and writes", async () => {
    const { sdk, state } = await start();
    await sdk.send(new CreateSecretCommand({ Name: NAME, SecretString: "v", KmsKeyId: "key-1" }));
    state.disabledKeys.add("key-1");
    expect(await refusal(sdk.send(get()))).toContain("DecryptionFailure");
    expect(await refusal(sdk.send(put("2")))).toContain("EncryptionFailure");
  });

  test("one operation can be made to fail", async () => {
    const { sdk, state } = await start();
    await sdk.send(create("1"));
    state.failNext("PutSecretValue", "ThrottlingException", { message: "Rate exceeded" });
    expect(await refusal(sdk.send(put("2")))).toBe("400 ThrottlingException: Rate exceeded");
    expect((await sdk.send(get())).SecretString).toBe("1");
    expect(await refusal(sdk.send(put("2")))).toBe("no refusal");
  });
});
