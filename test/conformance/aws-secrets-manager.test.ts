import { randomUUID } from "node:crypto";
import {
  CreateSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { describe } from "vitest";
import { AWS_DEFAULTS, startAws } from "../../infra/sandbox/aws.ts";
import {
  type AwsBlock,
  type AwsTarget,
  awsSecretsManager,
} from "../../services/destinations/aws-secrets-manager.ts";
import { Secret } from "../../services/sync/secret.ts";
import { type DestinationFixture, describeDestination } from "./destination.suite.ts";
import { NEEDS_FAULTS } from "./needs-faults.ts";

describeDestination("AWS Secrets Manager, stand-in", { open: openStandIn });

// Any server that speaks Secrets Manager and STS on one address and takes any key.
const server = process.env["AWS_ENDPOINT_URL_SECRETS_MANAGER"];
describe.skipIf(server === undefined)("at AWS_ENDPOINT_URL_SECRETS_MANAGER", () =>
  describeDestination("AWS Secrets Manager", {
    open: async () => openServer(server ?? ""),
    skip: [
      { reason: "a server that is not ours cannot be told to fail", tests: NEEDS_FAULTS },
      {
        reason: "stand-ins of others take any key and do not check signatures",
        tests: ["reports a credential that is not accepted"],
      },
    ],
  }),
);

function blockFor(endpoint: string, account: string) {
  return {
    account,
    region: AWS_DEFAULTS.region,
    accessKey: { id: "env:AWS_ID", secret: "env:AWS_SECRET" },
    endpoint,
    stsEndpoint: endpoint,
    privateNetwork: true,
  };
}

const missing = (account: string) =>
  `arn:aws:secretsmanager:${AWS_DEFAULTS.region}:${account}:secret:nowhere-a1B2c3`;

async function openStandIn(): Promise<DestinationFixture<AwsBlock, AwsTarget>> {
  const vendor = await startAws();
  const { accessKeyId, secretAccessKey } = AWS_DEFAULTS;
  const nameOf = (target: unknown) => (target as { secretId: string }).secretId;
  return {
    adapter: awsSecretsManager,
    block: blockFor(vendor.url, AWS_DEFAULTS.account),
    credential: ({ ref }) => new Secret(ref === "env:AWS_ID" ? accessKeyId : secretAccessKey),
    wrongCredential: ({ ref }) =>
      new Secret(ref === "env:AWS_ID" ? "AKIAWRONG00000000000" : "wrong-secret-key"),
    secrets: [accessKeyId, secretAccessKey, "wrong-secret-key"],
    target: (n) => ({ secretId: `shop/preview-${n}/db` }),
    missingTarget: { secretId: missing(AWS_DEFAULTS.account) },
    badTarget: { secretId: "" },
    badNames: ["", "LINE\nBREAK"],
    putForeign: async (target, name, value) =>
      vendor.state.edit(nameOf(target), { ...vendor.state.json(nameOf(target)), [name]: value }),
    readBack: async (target, name) => vendor.state.json(nameOf(target))?.[name] as string | undefined,
    // Every call is POST /, so whatever comes next fails: the write, and the look at what became of it.
    fault: async ({ during: _, ...fault }) => vendor.addFault(fault),
    clearFaults: async () => vendor.clearFaults(),
    calls: async () => vendor.log.length,
    close: () => vendor.close(),
  };
}

async function openServer(endpoint: string): Promise<DestinationFixture<AwsBlock, AwsTarget>> {
  const client = new SecretsManagerClient({
    endpoint,
    region: AWS_DEFAULTS.region,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  });
  const prefix = `branchline-${randomUUID()}`;
  const nameOf = (target: unknown) => (target as { secretId: string }).secretId;
  let calls = 0;
  const read = async (SecretId: string): Promise<Record<string, string>> => {
    try {
      const command = new GetSecretValueCommand({ SecretId, VersionStage: "AWSCURRENT" });
      return JSON.parse((await client.send(command)).SecretString ?? "{}");
    } catch {
      return {}; // no such secret
    }
  };
  return {
    adapter: awsSecretsManager,
    block: blockFor(endpoint, AWS_DEFAULTS.account),
    credential: () => new Secret("test"),
    wrongCredential: () => new Secret("test"),
    secrets: [],
    target: (n) => ({ secretId: `${prefix}/${n}/db` }),
    missingTarget: { secretId: missing(AWS_DEFAULTS.account) },
    badTarget: { secretId: "" },
    badNames: [""],
    async putForeign(target, name, value) {
      const Name = nameOf(target);
      const SecretString = JSON.stringify({ ...(await read(Name)), [name]: value });
      await client
        .send(new PutSecretValueCommand({ SecretId: Name, SecretString }))
        .catch(() => client.send(new CreateSecretCommand({ Name, SecretString })));
    },
    readBack: async (target, name) => (await read(nameOf(target)))[name],
    fault: () => Promise.reject(new Error("not here")),
    clearFaults: async () => undefined,
    calls: async () => calls++,
    close: async () => client.destroy(),
  };
}
