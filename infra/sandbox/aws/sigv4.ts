/** Signature Version 4, verified for real. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { AwsRefusal } from "./answers.ts";
import type { AccessKey } from "./seeds.ts";
import type { AwsState } from "./state.ts";

export interface SignedRequest {
  readonly method: string;
  /** Path and query as they came over the wire. */
  readonly rawUrl: string;
  readonly body: Uint8Array;
  header(name: string): string | undefined;
}

/** The words of the protocol at hand: STS and the JSON services name the same refusals differently. */
export interface Words {
  readonly service: "secretsmanager" | "sts";
  readonly unknownKey: string;
  readonly mismatch: string;
  readonly expired: string;
  readonly absent: string;
}

export const JSON_WORDS: Words = {
  service: "secretsmanager",
  unknownKey: "UnrecognizedClientException",
  mismatch: "InvalidSignatureException",
  expired: "ExpiredTokenException",
  absent: "MissingAuthenticationTokenException",
};

export const STS_WORDS: Words = {
  service: "sts",
  unknownKey: "InvalidClientTokenId",
  mismatch: "SignatureDoesNotMatch",
  expired: "ExpiredToken",
  absent: "MissingAuthenticationToken",
};

const FIVE_MINUTES = 300_000;

/** The key that signed the request, or AWS's refusal. */
export function verify(state: AwsState, request: SignedRequest, words: Words): AccessKey {
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      request.header("authorization") ?? "",
    );
  if (parts === null) throw new AwsRefusal(words.absent, "Missing Authentication Token");
  const [, accessKeyId = "", day = "", region = "", service = "", signedHeaders = "", signature = ""] = parts;
  const key = keyOf(state, accessKeyId, request, words);
  checkScope(state, words, { day, region, service });
  const time = checkTime(state, request, day, words);
  const names = signedHeaders.split(";");
  checkSigned(request, names, words);
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = ["AWS4-HMAC-SHA256", time, scope, sha256(canonical(request, names))].join("\n");
  const signingKey = [day, region, service, "aws4_request"].reduce<string | Buffer>(
    (secret, part) => createHmac("sha256", secret).update(part).digest(),
    `AWS4${key.secretAccessKey}`,
  );
  const expected = createHmac("sha256", signingKey).update(toSign).digest("hex");
  if (timingSafeEqual(Buffer.from(expected), Buffer.from(signature))) return key;
  throw new AwsRefusal(
    words.mismatch,
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
  );
}

function keyOf(state: AwsState, accessKeyId: string, request: SignedRequest, words: Words): AccessKey {
  const key = state.keys.get(accessKeyId);
  const sessionToken = request.header("x-amz-security-token") ?? null;
  if (key === undefined || key.sessionToken !== sessionToken) {
    throw new AwsRefusal(words.unknownKey, "The security token included in the request is invalid.");
  }
  if (key.expiresAt !== null && key.expiresAt <= state.now()) {
    throw new AwsRefusal(words.expired, "The security token included in the request is expired");
  }
  return key;
}

function checkScope(
  state: AwsState,
  words: Words,
  scope: { day: string; region: string; service: string },
): void {
  if (scope.service !== words.service) {
    throw new AwsRefusal(
      words.mismatch,
      `Credential should be scoped to correct service: '${words.service}'.`,
    );
  }
  if (words.service === "secretsmanager" && scope.region !== state.region) {
    throw new AwsRefusal(
      words.mismatch,
      `Credential should be scoped to a valid region, not '${scope.region}'.`,
    );
  }
}

/** `20261120T101500Z`, at most five minutes off. */
function checkTime(state: AwsState, request: SignedRequest, day: string, words: Words): string {
  const time = request.header("x-amz-date") ?? "";
  const at = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (Number.isNaN(at) || !time.startsWith(day)) {
    throw new AwsRefusal(
      words.mismatch,
      "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP",
    );
  }
  const offBy = at - state.now();
  if (offBy < -FIVE_MINUTES)
    throw new AwsRefusal(words.mismatch, `Signature expired: ${time} is now too far in the past`);
  if (offBy > FIVE_MINUTES)
    throw new AwsRefusal(words.mismatch, `Signature not yet current: ${time} is still in the future`);
  return time;
}

/** Host and everything that begins with x-amz- must be under the signature. */
function checkSigned(request: SignedRequest, names: readonly string[], words: Words): void {
  const needed = ["host", "x-amz-date", "x-amz-target", "x-amz-security-token"];
  const left = needed.find((name) => request.header(name) !== undefined && !names.includes(name));
  if (left === undefined) return;
  throw new AwsRefusal(words.mismatch, `'${left}' must be a 'SignedHeader' in the AWS Authorization.`);
}

function canonical(request: SignedRequest, names: readonly string[]): string {
  const [path = "/", query = ""] = request.rawUrl.split("?", 2);
  const sortedQuery = query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
    .sort((a, b) => (a < b ? -1 : 1))
    .join("&");
  const headers = names.map(
    (name) => `${name}:${(request.header(name) ?? "").trim().replaceAll(/ +/g, " ")}\n`,
  );
  return [request.method, path, sortedQuery, headers.join(""), names.join(";"), sha256(request.body)].join(
    "\n",
  );
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
