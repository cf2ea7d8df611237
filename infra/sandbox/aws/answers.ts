/** AWS's two error bodies: JSON 1.1 with `__type` (Secrets Manager) and XML (STS). */
import { randomUUID } from "node:crypto";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

/** Thrown by any rule of this stand-in; the app turns it into AWS's answer. */
export class AwsRefusal extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** A member that the service model refuses. */
export function validation(member: string, constraint: string): AwsRefusal {
  return new AwsRefusal(
    "ValidationException",
    `1 validation error detected: Value at '${member}' failed to satisfy constraint: ${constraint}`,
  );
}

export function notFound(): AwsRefusal {
  return new AwsRefusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
}

export function answerJson(c: Context, body: unknown, status = 200): Response {
  return c.body(JSON.stringify(body), status as ContentfulStatusCode, {
    "content-type": "application/x-amz-json-1.1",
    "x-amzn-requestid": randomUUID(),
  });
}

export function answerXml(c: Context, inner: (requestId: string) => string, status = 200): Response {
  const requestId = randomUUID();
  return c.body(inner(requestId), status as ContentfulStatusCode, {
    "content-type": "text/xml",
    "x-amzn-requestid": requestId,
  });
}

/** In the protocol that the request spoke. */
export function refuse(c: Context, refusal: AwsRefusal): Response {
  const { code, message, status } = refusal;
  // What the service itself refuses has a capital M; what its front door refuses has not.
  const spelling = FRONT_DOOR.has(code) ? "message" : "Message";
  if (!speaksQuery(c)) return answerJson(c, { __type: code, [spelling]: message }, status);
  const inner = `<Type>Sender</Type><Code>${code}</Code><Message>${escapeXml(message)}</Message>`;
  return answerXml(
    c,
    (requestId) =>
      `<ErrorResponse xmlns="${STS_NAMESPACE}"><Error>${inner}</Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
    // STS uses 403 for what Secrets Manager answers with 400.
    status === 400 && AUTHENTICATION.has(code) ? 403 : status,
  );
}

/** What AWS says for a status that a test injects: refusals of the caller and throttling are a 400 here. */
export function awsError(status: number, c: Context): Response {
  const [code, message, real] = STATUS_WORDS[status] ?? [
    "InternalServiceError",
    "An error occurred on the server side.",
    status,
  ];
  return refuse(c, new AwsRefusal(code, message, real));
}

export function speaksQuery(c: Context): boolean {
  return (c.req.header("content-type") ?? "").startsWith("application/x-www-form-urlencoded");
}

export function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

export const STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/";

const AUTHENTICATION = new Set([
  "InvalidClientTokenId",
  "SignatureDoesNotMatch",
  "MissingAuthenticationToken",
  "ExpiredToken",
  "AccessDenied",
]);

const FRONT_DOOR = new Set([
  "ExpiredTokenException",
  "InvalidSignatureException",
  "MissingAuthenticationTokenException",
  "SerializationException",
  "ThrottlingException",
  "UnknownOperationException",
  "UnrecognizedClientException",
  "ValidationException",
]);

const STATUS_WORDS: Readonly<Record<number, readonly [string, string, number]>> = {
  401: ["UnrecognizedClientException", "The security token included in the request is invalid.", 400],
  403: ["AccessDeniedException", "User is not authorized to perform this operation.", 400],
  404: ["UnknownOperationException", "The requested operation is not supported.", 404],
  429: ["ThrottlingException", "Rate exceeded", 400],
  503: ["ServiceUnavailable", "The service is temporarily unavailable.", 503],
};
