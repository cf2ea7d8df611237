/** One call of Secrets Manager, and the members of its input with the bounds of the service model. */
import { AwsRefusal, notFound, validation } from "./answers.ts";
import type { Principal } from "./seeds.ts";
import type { AwsState, StoredSecret, Version } from "./state.ts";

export interface Call {
  readonly state: AwsState;
  readonly principal: Principal;
  readonly input: Readonly<Record<string, unknown>>;
}

export type Operation = (call: Call) => Record<string, unknown>;

export function optionalText(
  call: Call,
  name: string,
  min = 0,
  max = Number.POSITIVE_INFINITY,
): string | null {
  const value = call.input[name];
  if (value === undefined || value === null) return null;
  if (typeof value !== "string") throw new AwsRefusal("SerializationException", `Expected a string: ${name}`);
  const member = name.charAt(0).toLowerCase() + name.slice(1);
  if (value.length < min) throw validation(member, `Member must have length greater than or equal to ${min}`);
  if (value.length > max) throw validation(member, `Member must have length less than or equal to ${max}`);
  return value;
}

export function text(call: Call, name: string, min = 0, max = Number.POSITIVE_INFINITY): string {
  const value = optionalText(call, name, min, max);
  if (value === null) {
    throw validation(name.charAt(0).toLowerCase() + name.slice(1), "Member must not be null");
  }
  return value;
}

/** A list of at most `max` items of any kind. */
export function listOf<T>(call: Call, name: string, min: number, max: number): T[] | null {
  const value = call.input[name];
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value)) throw new AwsRefusal("SerializationException", `Expected a list: ${name}`);
  const member = name.charAt(0).toLowerCase() + name.slice(1);
  if (value.length < min) throw validation(member, `Member must have length greater than or equal to ${min}`);
  if (value.length > max) throw validation(member, `Member must have length less than or equal to ${max}`);
  return value as T[];
}

export function numberOf(call: Call, name: string, fallback: number, min: number, max: number): number {
  const value = call.input[name] ?? fallback;
  const member = name.charAt(0).toLowerCase() + name.slice(1);
  if (typeof value !== "number") throw new AwsRefusal("SerializationException", `Expected a number: ${name}`);
  if (value < min) throw validation(member, `Member must have value greater than or equal to ${min}`);
  if (value > max) throw validation(member, `Member must have value less than or equal to ${max}`);
  return value;
}

/** `ClientRequestToken`: optional with an SDK, which makes one up; demanded on the wire. */
export function requestToken(call: Call): string {
  const token = optionalText(call, "ClientRequestToken", 32, 64);
  if (token !== null) return token;
  throw new AwsRefusal(
    "InvalidRequestException",
    "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
  );
}

/** `SecretString` or `SecretBinary`, 1 to 65,536 bytes; null if neither is there. */
export function secretValueOf(call: Call): Pick<Version, "string" | "binary"> | null {
  const string = optionalText(call, "SecretString");
  const binary = optionalText(call, "SecretBinary");
  if (string === null && binary === null) return null;
  if (string !== null && binary !== null) {
    throw new AwsRefusal(
      "InvalidParameterException",
      "You can't specify both a binary secret value and a string secret value in the same secret.",
    );
  }
  const bytes = string === null ? Buffer.from(binary ?? "", "base64").length : Buffer.byteLength(string);
  const member = string === null ? "secretBinary" : "secretString";
  if (bytes < 1) throw validation(member, "Member must have length greater than or equal to 1");
  if (bytes > 65_536) throw validation(member, "Member must have length less than or equal to 65536");
  return { string, binary };
}

/** The secret of `SecretId`, scheduled ones included. */
export function secretOf(call: Call): StoredSecret {
  const found = call.state.find(call.principal.account, text(call, "SecretId", 1, 2048));
  if (found === undefined) throw notFound();
  return found;
}

/** The same, refused if it is scheduled for deletion; and noted, since it is about to change. */
export function changeable(call: Call): StoredSecret {
  const secret = living(secretOf(call));
  call.state.remember(secret.arn, secret);
  return secret;
}

export function living(secret: StoredSecret): StoredSecret {
  if (secret.deletion === null) return secret;
  throw new AwsRefusal(
    "InvalidRequestException",
    "You can't perform this operation on the secret because it was marked for deletion.",
  );
}

/** AWS's times are seconds since the epoch, with a fraction. */
export function seconds(ms: number): number {
  return ms / 1000;
}

/** 400 AccessDeniedException unless the caller's policy allows the action on the secret. */
export function authorise(principal: Principal, action: string, resource: string): void {
  if (allows(principal, action, resource)) return;
  throw new AwsRefusal(
    "AccessDeniedException",
    `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${resource} because no identity-based policy allows the ${action} action`,
  );
}

export function allows(principal: Principal, action: string, resource: string): boolean {
  return principal.allow.some((entry) => {
    const [actions = "", resources = "*"] = entry.split(" ");
    return glob(actions, action) && glob(resources, resource);
  });
}

function glob(pattern: string, value: string): boolean {
  const source = pattern.split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${source.join(".*")}$`).test(value);
}
