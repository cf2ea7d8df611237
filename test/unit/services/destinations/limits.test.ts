import { describe, expect, test } from "vitest";
import { awsSecretsManager } from "../../../../services/destinations/aws-secrets-manager.ts";
import { github } from "../../../../services/destinations/github.ts";
import { vault } from "../../../../services/destinations/vault.ts";
import { vercel } from "../../../../services/destinations/vercel.ts";
import { type AccountLimits, sharesOf } from "../../../../services/sync/limits.ts";
import type { DestinationAdapter, OutgoingResponse } from "../../../../services/sync/ports.ts";

function limitsOf(adapter: DestinationAdapter, block: unknown): AccountLimits {
  const limits = adapter.limits?.(adapter.block.parse(block), ({ ref }) => `print of ${ref}`);
  if (limits === undefined) throw new Error("has no limits");
  return limits;
}

/** What a call takes, as "limit calls". The method is the operation's first word, or POST as always at AWS. */
function taken(limits: AccountLimits, operation: string): string[] {
  const [method = ""] = /^[A-Z]+(?= )/.exec(operation) ?? ["POST"];
  return sharesOf(limits, { method, operation }).map(({ limit, cost }) => `${limit} ${cost}`);
}

const answer = (status: number, body = "", headers: Record<string, string> = {}): OutgoingResponse => ({
  status,
  headers,
  body,
  requestId: undefined,
  date: undefined,
});

describe("vercel", () => {
  const block = { project: "shop", team: "acme", token: "env:TOKEN" };

  test.each([
    ["GET /v10/projects/{id}/env", "env read 1"],
    ["GET /v1/projects/{id}/env/{id}", "env read 1"],
    ["GET /v1/env", "env read 1"],
    ["POST /v10/projects/{id}/env", "env create 1"],
    ["PATCH /v1/env", "env update 1"],
    ["DELETE /v1/projects/{id}/env", "env batch delete 1"],
    ["DELETE /v9/projects/{id}/env/{id}", "env delete 1"],
    ["GET /v9/projects/{id}", "* 0"],
    ["GET /v2/teams/{id}", "* 0"],
  ])("counts %s as %s", (operation, share) => {
    expect(taken(limitsOf(vercel, block), operation)).toEqual([share]);
  });

  test("shares limits by team, and by token where there is no team", () => {
    expect(limitsOf(vercel, block).account).toBe("vercel api.vercel.com acme");
    expect(limitsOf(vercel, { ...block, team: undefined }).account).toBe(
      "vercel api.vercel.com print of env:TOKEN",
    );
  });
});

describe("github", () => {
  const block = { repository: "acme/shop", token: "env:TOKEN" };

  test("lets writes cost more than reads, and follow each other at a distance", () => {
    const limits = limitsOf(github, block);
    expect(taken(limits, "GET /repos/{owner}/{repo}/actions/secrets")).toEqual(["hour 1", "points 1"]);
    expect(taken(limits, "PUT /repos/{owner}/{repo}/actions/secrets/{name}")).toEqual([
      "hour 1",
      "points 5",
      "write 1",
    ]);
    expect(limits.limits.find(({ name }) => name === "write")).toMatchObject({ calls: 1, perMs: 1_000 });
  });

  test("takes the distance from the configuration, and none for 0", () => {
    const write = (writeSpacingMs: number) =>
      limitsOf(github, { ...block, writeSpacingMs }).limits.find(({ name }) => name === "write")?.perMs;
    expect([write(250), write(0)]).toEqual([250, undefined]);
  });

  test("takes asking for a token for no write", () => {
    const operation = "POST /app/installations/{id}/access_tokens";
    expect(taken(limitsOf(github, block), operation)).toEqual(["hour 1", "points 1"]);
  });

  test("shares limits by installation, and by token where there is no app", () => {
    const app = { id: 1, installation: 42, privateKey: "env:KEY" };
    const ofApp = limitsOf(github, { repository: "acme/shop", app });
    expect(ofApp.account).toBe("github api.github.com installation 42");
    expect(limitsOf(github, block).account).toBe("github api.github.com print of env:TOKEN");
  });

  test.each([
    [
      "a secondary limit that only the body tells",
      answer(403, "You have exceeded a secondary rate limit"),
      60_000,
    ],
    ["a wait in the headers", answer(403, "", { "retry-after": "5" }), 5_000],
    ["a missing permission", answer(403, "Resource not accessible by integration"), null],
    ["a success", answer(200, "secondary rate limit"), null],
  ])("understands %s", (_, response, ms) => {
    expect(limitsOf(github, block).throttledMs?.(response)).toBe(ms);
  });
});

describe("AWS Secrets Manager", () => {
  const block = { account: "123456789012", region: "eu-central-1" };

  test.each([
    ["PutSecretValue", "update 1"],
    ["UpdateSecretVersionStage", "update 1"],
    ["RemoveRegionsFromReplication", "update 1"],
    ["CreateSecret", "create 1"],
    ["DeleteSecret", "delete 1"],
    ["RestoreSecret", "restore 1"],
    ["DescribeSecret", "* 0"],
    ["GetSecretValue", "* 0"],
    ["GetCallerIdentity", "* 0"],
  ])("counts %s as %s", (operation, share) => {
    expect(taken(limitsOf(awsSecretsManager, block), operation)).toEqual([share]);
  });

  test("shares limits by account and region", () => {
    expect(limitsOf(awsSecretsManager, block).account).toBe("aws eu-central-1 123456789012");
  });

  test.each([
    [answer(400, '{"__type":"ThrottlingException"}'), 2_000],
    [answer(400, "", { "x-amzn-errortype": "ThrottlingException" }), 2_000],
    [answer(400, "<Code>Throttling</Code>"), 2_000],
    [answer(429), 2_000],
    // Hours, and of one secret: the other secrets of the account go on.
    [answer(400, '{"__type":"LimitExceededException"}'), null],
    [answer(200, "Throttling"), null],
  ])("knows throttling by its name: %o", (response, ms) => {
    expect(limitsOf(awsSecretsManager, block).throttledMs?.(response)).toBe(ms);
  });
});

test("vault has no limits of its own, and is held as one mount when it says 429", () => {
  const block = { address: "https://vault.example.com", namespace: "team", auth: { token: "env:TOKEN" } };
  const limits = limitsOf(vault, block);
  expect(limits).toMatchObject({ account: "vault https://vault.example.com team secret", limits: [] });
  expect(taken(limits, "GET /v1/{mount}/data/{path}")).toEqual(["* 0"]);
});
