/**
 * The AWS SDK on top of `Io.fetch`: the SDK knows shapes and signatures, our client knows deadlines,
 * addresses and connections. One try per call: the SDK's own retries take an exhausted version quota
 * (`LimitExceededException`) for throttling.
 */
import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import type { Io, OutgoingResponse } from "../sync/ports.ts";

export type AwsCredentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
};

/** What the SDK hands to a request handler (smithy `HttpRequest`), as far as we use it. */
interface SignedRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

interface Answer {
  readonly response: {
    readonly statusCode: number;
    readonly headers: Record<string, string>;
    readonly body: Uint8Array;
  };
}

/** A smithy HttpHandler that sends through `Io.fetch`. Its errors (SyncError) pass through the SDK as they are. */
export function requestHandler(io: Io) {
  return {
    metadata: { handlerProtocol: "http/1.1" },
    async handle(request: SignedRequest): Promise<Answer> {
      const answer = await io.fetch({
        vendor: "aws",
        operation: operationOf(request),
        method: request.method,
        url: urlOf(request),
        headers: withoutHop(request.headers),
        ...(request.body === undefined ? {} : { body: bytesOf(request.body) }),
      });
      return {
        response: {
          statusCode: answer.status,
          headers: { ...answer.headers },
          body: new TextEncoder().encode(answer.body),
        },
      };
    },
    updateHttpClientConfig(): void {},
    httpHandlerConfigs: () => ({}),
  };
}

export interface AwsSite {
  readonly region: string;
  /** Null: the region's public endpoint. */
  readonly endpoint: string | null;
  readonly stsEndpoint: string | null;
}

export function secretsManager(
  site: AwsSite,
  credentials: () => Promise<AwsCredentials>,
  io: Io,
): SecretsManagerClient {
  return new SecretsManagerClient({
    // Every setting that the SDK would else take from the environment or a profile is said here.
    region: site.region,
    endpoint: site.endpoint ?? publicEndpoint("secretsmanager", site.region),
    credentials,
    maxAttempts: 1,
    retryMode: "standard",
    defaultsMode: "standard",
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    requestHandler: requestHandler(io),
  });
}

export function publicEndpoint(service: "secretsmanager" | "sts", region: string): string {
  const suffix = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  return `https://${service}.${region}.${suffix}`;
}

/**
 * One call to STS in its form-encoded protocol. The Secrets Manager client has no command for it, but its
 * signer signs for any service; a signer remembers the service it first signed for, so this client is used
 * for nothing else.
 */
export async function signedStsCall(
  site: AwsSite,
  credentials: () => Promise<AwsCredentials>,
  body: string,
  io: Io,
): Promise<OutgoingResponse> {
  const client = secretsManager(site, credentials, io);
  const url = new URL(site.stsEndpoint ?? publicEndpoint("sts", site.region));
  const signer = await client.config.signer({
    name: "sigv4",
    signingName: "sts",
    signingRegion: site.region,
    properties: {},
  });
  const signed = await signer.sign({
    method: "POST",
    protocol: url.protocol,
    hostname: url.hostname,
    path: "/",
    query: {},
    headers: { host: url.host, "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
    body,
  });
  return io.fetch({
    vendor: "aws",
    operation: "GetCallerIdentity",
    method: "POST",
    url: url.href,
    headers: withoutHop(signed.headers),
    body,
  });
}

const textOf = (body: unknown): string =>
  typeof body === "string" ? body : body instanceof Uint8Array ? new TextDecoder().decode(body) : "";

/** The SDK may hand over a string, bytes, or a subclass of bytes that warns when used as text. */
function bytesOf(body: unknown): string | Uint8Array {
  if (typeof body === "string") return body;
  if (body instanceof Uint8Array) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  throw new TypeError("the SDK sent a body that is neither text nor bytes");
}

/** Secrets Manager names its operation in a header (JSON 1.1), STS in the form that it posts. */
function operationOf(request: SignedRequest): string {
  const target = request.headers["x-amz-target"];
  if (target !== undefined) return target.slice(target.indexOf(".") + 1);
  return new URLSearchParams(textOf(request.body)).get("Action") ?? "unknown";
}

function urlOf({ protocol, hostname, port, path }: SignedRequest): string {
  return `${protocol}//${hostname}${port === undefined ? "" : `:${port}`}${path}`;
}

/** `host` and `content-length` are the connection's own; it sets the very same. */
function withoutHop(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !["host", "content-length"].includes(name.toLowerCase())),
  );
}
