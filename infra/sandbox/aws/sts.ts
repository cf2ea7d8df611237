/** As much of STS as assuming a role takes. https://docs.aws.amazon.com/STS/latest/APIReference/ */
import { randomBytes } from "node:crypto";
import type { Context } from "hono";
import { AwsRefusal, answerXml, escapeXml, STS_NAMESPACE } from "./answers.ts";
import { allows } from "./input.ts";
import type { Principal } from "./seeds.ts";
import type { AwsState } from "./state.ts";

/** One form-encoded call, signature already verified. */
export function answerSts(state: AwsState, principal: Principal, body: string, c: Context): Response {
  const form = new URLSearchParams(body);
  const action = form.get("Action") ?? "";
  if (form.get("Version") !== "2011-06-15") {
    throw new AwsRefusal(
      "InvalidAction",
      `Could not find operation ${action} for version ${form.get("Version")}`,
    );
  }
  const refused = state.takeFailure(action);
  if (refused !== null) throw refused;
  if (action === "GetCallerIdentity") return answer(c, action, callerIdentity(principal));
  if (action === "AssumeRole") return answer(c, action, assumeRole(state, principal, form));
  throw new AwsRefusal("InvalidAction", `Could not find operation ${action} for version 2011-06-15`);
}

function callerIdentity({ arn, account }: Principal): string {
  return `<Arn>${escapeXml(arn)}</Arn><UserId>AIDASANDBOX</UserId><Account>${account}</Account>`;
}

function assumeRole(state: AwsState, principal: Principal, form: URLSearchParams): string {
  const arn = form.get("RoleArn") ?? "";
  const session = form.get("RoleSessionName") ?? "";
  const duration = Number(form.get("DurationSeconds") ?? "3600");
  if (!/^[\w+=,.@-]{2,64}$/.test(session)) {
    throw new AwsRefusal("ValidationError", "Value at 'roleSessionName' failed to satisfy constraint.");
  }
  if (!Number.isInteger(duration) || duration < 900 || duration > 43_200) {
    throw new AwsRefusal("ValidationError", "Value at 'durationSeconds' failed to satisfy constraint.");
  }
  const role = state.roles.find((each) => each.arn === arn);
  // A role that does not exist, one that does not trust the caller, and a caller who may not: all look the same.
  if (
    role === undefined ||
    role.externalId !== form.get("ExternalId") ||
    !allows(principal, "sts:AssumeRole", arn)
  ) {
    throw new AwsRefusal(
      "AccessDenied",
      `User: ${principal.arn} is not authorized to perform: sts:AssumeRole on resource: ${arn}`,
      403,
    );
  }
  const [, , , , account = "", resource = ""] = arn.split(":");
  const sessionArn = `arn:aws:sts::${account}:assumed-role/${resource.split("/").at(-1)}/${session}`;
  const key = {
    accessKeyId: `ASIA${randomBytes(8).toString("hex").toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString("base64"),
    sessionToken: randomBytes(240).toString("base64"),
    expiresAt: state.now() + duration * 1000,
    principal: { account, arn: sessionArn, allow: role.allow },
  };
  state.keys.set(key.accessKeyId, key);
  return [
    `<AssumedRoleUser><AssumedRoleId>AROASANDBOX:${session}</AssumedRoleId><Arn>${sessionArn}</Arn></AssumedRoleUser>`,
    `<Credentials><AccessKeyId>${key.accessKeyId}</AccessKeyId><SecretAccessKey>${key.secretAccessKey}</SecretAccessKey>`,
    `<SessionToken>${key.sessionToken}</SessionToken><Expiration>${new Date(key.expiresAt).toISOString()}</Expiration></Credentials>`,
  ].join("");
}

function answer(c: Context, action: string, result: string): Response {
  return answerXml(
    c,
    (requestId) =>
      `<${action}Response xmlns="${STS_NAMESPACE}"><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${action}Response>`,
  );
}
