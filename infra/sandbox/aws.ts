/**
 * AWS Secrets Manager (JSON 1.1) and as much of STS (form and XML) as assuming a role takes, on one port.
 * Signatures are verified; idempotency tokens, staging labels, scheduled deletion and quotas follow the
 * API reference and what was recorded on AWS.
 */
import { type Context, Hono } from "hono";
import { AwsRefusal, answerJson, awsError, refuse, speaksQuery } from "./aws/answers.ts";
import { authorise, type Operation } from "./aws/input.ts";
import {
  deleteResourcePolicy,
  deleteSecret,
  getResourcePolicy,
  putResourcePolicy,
  removeRegionsFromReplication,
  replicateSecretToRegions,
  restoreSecret,
  tagResource,
  untagResource,
} from "./aws/metadata.ts";
import {
  batchGetSecretValue,
  describeSecret,
  getSecretValue,
  listSecrets,
  listSecretVersionIds,
} from "./aws/read.ts";
import type { AwsSeeds, Principal } from "./aws/seeds.ts";
import { JSON_WORDS, STS_WORDS, verify } from "./aws/sigv4.ts";
import { AwsState } from "./aws/state.ts";
import { answerSts } from "./aws/sts.ts";
import { createSecret, putSecretValue, updateSecret, updateSecretVersionStage } from "./aws/write.ts";
import { startVendor, type Vendor, type VendorEnv, type VendorOptions } from "./vendor.ts";

export { AWS_DEFAULTS, type AwsRules, type AwsSeeds } from "./aws/seeds.ts";
export { AwsState } from "./aws/state.ts";

const OPERATIONS: Readonly<Record<string, Operation>> = {
  BatchGetSecretValue: batchGetSecretValue,
  CreateSecret: createSecret,
  DeleteResourcePolicy: deleteResourcePolicy,
  DeleteSecret: deleteSecret,
  DescribeSecret: describeSecret,
  GetResourcePolicy: getResourcePolicy,
  GetSecretValue: getSecretValue,
  ListSecrets: listSecrets,
  ListSecretVersionIds: listSecretVersionIds,
  PutResourcePolicy: putResourcePolicy,
  PutSecretValue: putSecretValue,
  RemoveRegionsFromReplication: removeRegionsFromReplication,
  ReplicateSecretToRegions: replicateSecretToRegions,
  RestoreSecret: restoreSecret,
  TagResource: tagResource,
  UntagResource: untagResource,
  UpdateSecret: updateSecret,
  UpdateSecretVersionStage: updateSecretVersionStage,
};

/** Starts the stand-in. Without seeds: one key that may everything, one role with an external id (`AWS_DEFAULTS`). */
export function startAws(options: VendorOptions & AwsSeeds = {}): Promise<Vendor<AwsState>> {
  const state = new AwsState(options);
  const definition = {
    name: "aws",
    state,
    app: awsApp(state),
    error: awsError,
    inspect,
    operation: (c: Context) => (speaksQuery(c) ? "STS" : targetOf(c)),
  };
  return startVendor(definition, options);
}

function awsApp(state: AwsState): Hono<VendorEnv> {
  const app = new Hono<VendorEnv>();
  app.onError((error, c) => {
    if (error instanceof AwsRefusal) return refuse(c, error);
    throw error;
  });
  app.post("/", async (c) => {
    const body = new Uint8Array(await c.req.arrayBuffer());
    const query = speaksQuery(c);
    const { principal } = verify(
      state,
      { method: "POST", rawUrl: c.env.rawUrl, body, header: (name) => c.req.header(name) },
      query ? STS_WORDS : JSON_WORDS,
    );
    const text = new TextDecoder().decode(body);
    return query ? answerSts(state, principal, text, c) : answerJson(c, call(state, principal, c, text));
  });
  return app;
}

function call(state: AwsState, principal: Principal, c: Context, body: string): Record<string, unknown> {
  const name = targetOf(c) ?? "";
  const operation = OPERATIONS[name];
  const type = c.req.header("content-type") ?? "";
  if (operation === undefined || !type.startsWith("application/x-amz-json-1.1")) {
    throw new AwsRefusal("UnknownOperationException", "The requested operation is not supported.");
  }
  const input = parse(body);
  const refused = state.takeFailure(name);
  if (refused !== null) throw refused;
  authorise(principal, `secretsmanager:${name}`, resourceOf(state, principal, input));
  return operation({ state, principal, input });
}

/** `PutSecretValue` of `X-Amz-Target: secretsmanager.PutSecretValue`. */
function targetOf(c: Context): string | null {
  return /^secretsmanager\.(\w+)$/.exec(c.req.header("x-amz-target") ?? "")?.[1] ?? null;
}

function resourceOf(state: AwsState, principal: Principal, input: Record<string, unknown>): string {
  const named = input["Name"] ?? input["SecretId"];
  if (typeof named !== "string") return "*";
  return state.find(principal.account, named)?.name ?? named;
}

function parse(body: string): Record<string, unknown> {
  try {
    const input: unknown = JSON.parse(body);
    if (typeof input === "object" && input !== null) return input as Record<string, unknown>;
  } catch {
    // Falls through to the refusal.
  }
  throw new AwsRefusal("SerializationException", "Start of structure or map found where not expected.");
}

function inspect(state: AwsState): unknown {
  return {
    region: state.region,
    secrets: state.secrets.map(({ versions, tags, ...rest }) => ({
      ...rest,
      tags: Object.fromEntries(tags),
      versions: [...versions.values()].map(({ stages, ...version }) => ({ ...version, stages: [...stages] })),
    })),
  };
}
