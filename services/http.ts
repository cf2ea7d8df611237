/**
 * The single place where requests leave the process. One answer per request: a deadline over the whole
 * exchange, no redirects, a bounded body, no private addresses unless allowed, connections kept alive.
 */
import { randomUUID } from "node:crypto";
import { Agent, type Dispatcher } from "undici";
import { guardedLookup, permittedUrl } from "./http/address.ts";
import { SyncError, type SyncErrorOptions } from "./sync/errors.ts";
import type { Fingerprint, Io, OutgoingRequest, OutgoingResponse } from "./sync/ports.ts";
import type { Secret } from "./sync/secret.ts";

export { type CallContext, decodeJson, errorFromStatus, retryAfterMs, throttledMs } from "./http/answer.ts";

/** Version of this program, as vendors see it in `user-agent`. A test keeps it equal to package.json. */
export const VERSION = "0.1.0";

const DEADLINE_MS = 10_000;
/** Shorter than the deadline, so that "never connected" is told from "sent and not answered". */
const CONNECT_MS = 5_000;
const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** One finished exchange, for metrics and limits. Holds no URL, header or body. */
export interface Call {
  readonly vendor: string;
  readonly operation: string;
  /** Null: no answer. */
  readonly status: number | null;
  readonly ms: number;
}

export interface IoOptions {
  readonly fingerprint: (value: Secret) => Fingerprint;
  /** Aborts every exchange under way and refuses new ones. */
  readonly signal: AbortSignal;
  /** Allows http and private or loopback addresses: the destination's own `privateNetwork`. */
  readonly privateNetwork: boolean;
  /** PEM certificates to trust instead of the system's. */
  readonly ca?: string;
  /** Deadline of requests that name none. Default 10 seconds. */
  readonly timeoutMs?: number;
  readonly onCall?: (call: Call) => void;
  /** Resolves when the request may leave, which is not part of its deadline. Throws: it does not leave. */
  readonly admit?: (request: OutgoingRequest) => Promise<void>;
  /** Sees every answer before the adapter does. May not throw. */
  readonly onAnswer?: (request: OutgoingRequest, response: OutgoingResponse) => Promise<void>;
}

/** What an adapter may do to the outside, for one piece of work. Contract: `Io` in sync/ports.ts. */
export function createIo(options: IoOptions): Io {
  return {
    signal: options.signal,
    fingerprint: options.fingerprint,
    async fetch(request) {
      refuseHeaders(request);
      await options.admit?.(request);
      const started = performance.now();
      let status: number | null = null;
      try {
        const response = await exchange(options, request);
        status = response.status;
        await options.onAnswer?.(request, response);
        return response;
      } finally {
        const { vendor, operation } = request;
        options.onCall?.({ vendor, operation, status, ms: performance.now() - started });
      }
    },
  };
}

/** Closes idle connections and ends the busy ones. For shutdown; a later request opens new ones. */
export async function closeConnections(): Promise<void> {
  const open = [...agents.values()];
  agents.clear();
  await Promise.all(open.map((agent) => agent.destroy()));
}

// Connections are shared by the process: one agent per (private or not, trusted certificates).
const agents = new Map<string, Agent>();

function agentFor({ privateNetwork, ca }: IoOptions): Agent {
  const key = `${privateNetwork} ${ca ?? ""}`;
  const known = agents.get(key);
  if (known !== undefined) return known;
  const agent = new Agent({
    connect: {
      lookup: guardedLookup(privateNetwork),
      timeout: CONNECT_MS,
      ...(ca === undefined ? {} : { ca }),
    },
    keepAliveTimeout: 30_000,
  });
  agents.set(key, agent);
  return agent;
}

async function exchange(options: IoOptions, request: OutgoingRequest): Promise<OutgoingResponse> {
  const where = { vendor: request.vendor, operation: request.operation };
  if (options.signal.aborted) throw stopped(where, false);

  const controller = new AbortController();
  const timeoutMs = request.timeoutMs ?? options.timeoutMs ?? DEADLINE_MS;
  const stop = () => controller.abort();
  const deadline = setTimeout(stop, timeoutMs);
  options.signal.addEventListener("abort", stop, { once: true });
  try {
    const url = permittedUrl(request.url, options.privateNetwork);
    const answer = await agentFor(options).request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: request.method as Dispatcher.HttpMethod,
      headers: outgoingHeaders(request),
      body: request.body ?? null,
      signal: controller.signal,
    });
    const headers = flatten(answer.headers);
    const body = await readBody(answer.body);
    if (body === null) throw tooLong(where, answer.statusCode, maySurvive(request));
    return {
      status: answer.statusCode,
      headers,
      body,
      requestId: requestIdOf(headers),
      date: dateOf(headers["date"]),
    };
  } catch (error) {
    if (options.signal.aborted) throw stopped(where, maySurvive(request));
    if (controller.signal.aborted) throw timedOut(where, timeoutMs, maySurvive(request));
    throw asTransportError(error, where, maySurvive(request));
  } finally {
    clearTimeout(deadline);
    options.signal.removeEventListener("abort", stop);
  }
}

/** A credential with a line end in it would look like a connection that fails, and be tried again for ever. */
function refuseHeaders({ vendor, operation, headers = {} }: OutgoingRequest): void {
  const refused = Object.keys(headers).find((name) => UNCARRIED.test(headers[name] ?? ""));
  if (refused === undefined) return;
  const credential = CREDENTIAL_HEADER.test(refused);
  const what = credential ? "the credential" : `the header ${refused.toLowerCase()}`;
  throw new SyncError(
    credential ? "unauthenticated" : "internal",
    `${what} for ${vendor} holds a character that no HTTP header can carry`,
    { vendor, operation, next: "Put it there again without line ends, and without what was copied along." },
  );
}

const UNCARRIED = /[^\t\x20-\x7e\x80-\xff]/;
const CREDENTIAL_HEADER = /authorization|token/i;

function outgoingHeaders(request: OutgoingRequest): Record<string, string> {
  const headers: Record<string, string> = {
    "user-agent": `branchline/${VERSION}`,
    "x-request-id": randomUUID(),
  };
  for (const [name, value] of Object.entries(request.headers ?? {})) headers[name.toLowerCase()] = value;
  return headers;
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name.toLowerCase()] = Array.isArray(value) ? value.join(", ") : value;
  }
  return flat;
}

/** The whole body as text, or null if it is longer than anything a vendor has reason to send. */
async function readBody(body: AsyncIterable<Buffer> & { destroy(): unknown }): Promise<string | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return null; // leaving the loop destroys the stream
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const REQUEST_ID_HEADERS = ["x-github-request-id", "x-vercel-id", "x-amzn-requestid", "x-request-id"];

function requestIdOf(headers: Readonly<Record<string, string>>): string | undefined {
  for (const name of REQUEST_ID_HEADERS) {
    const id = headers[name];
    // Shown in errors and logs: take it only if it looks like an id.
    if (id !== undefined && /^[\w:.=/+-]{1,200}$/.test(id)) return id;
  }
  return undefined;
}

function dateOf(header: string | undefined): Date | undefined {
  const ms = Date.parse(header ?? "");
  return Number.isNaN(ms) ? undefined : new Date(ms);
}

// ---------------------------------------------------------------- failures without an answer

type Where = Pick<SyncErrorOptions, "vendor" | "operation"> & { readonly vendor: string };

/** Whether this request, once sent, may take effect without anybody telling us. */
function maySurvive({ method }: OutgoingRequest): boolean {
  return !["GET", "HEAD", "OPTIONS", "LIST"].includes(method.toUpperCase());
}

function stopped(where: Where, ambiguous: boolean): SyncError {
  return new SyncError("unavailable", `the call to ${where.vendor} was stopped with the work it belongs to`, {
    ...where,
    ambiguous,
    next: "Nothing: the work is taken up again.",
  });
}

function timedOut(where: Where, timeoutMs: number, ambiguous: boolean): SyncError {
  return new SyncError("unavailable", `${where.vendor} did not answer within ${timeoutMs / 1000} s`, {
    ...where,
    ambiguous,
    next: "Nothing: it is tried again. If it stays, look at the vendor's status page and at this network.",
  });
}

function tooLong(where: Where, status: number, ambiguous: boolean): SyncError {
  return new SyncError("internal", `the answer of ${where.vendor} is longer than ${MAX_BODY_BYTES} bytes`, {
    ...where,
    status,
    ambiguous,
    next: "Check that the configured address is the vendor's API.",
  });
}

/** Failures that happen before the first byte of a request is sent. */
const NEVER_SENT = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "UND_ERR_CONNECT_TIMEOUT",
]);
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ERR_TLS/;

function asTransportError(error: unknown, where: Where, ambiguous: boolean): SyncError {
  if (error instanceof SyncError) return withWhere(error, where);
  const code = codeOf(error);
  if (CERTIFICATE.test(code)) {
    return new SyncError("unavailable", `the TLS certificate of ${where.vendor} was refused (${code})`, {
      ...where,
      next: "Check the configured address and the trusted certificates.",
    });
  }
  return new SyncError("unavailable", `the connection to ${where.vendor} failed (${code})`, {
    ...where,
    ambiguous: ambiguous && !NEVER_SENT.has(code),
    next: "Nothing: it is tried again. If it stays, check the configured address and this network.",
  });
}

/** A refused address is found deep inside the connection, where the call is not known. */
function withWhere(error: SyncError, where: Where): SyncError {
  if (error.where.vendor !== undefined) return error;
  const { code, message, next } = error;
  return new SyncError(code, `${where.vendor}: ${message}`, {
    ...where,
    ...(next === undefined ? {} : { next }),
  });
}

/** The error's code if it looks like one. Messages of HTTP clients are not repeated: they hold URLs. */
function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[A-Z][A-Z0-9_]{2,60}$/.test(code) ? code : "no code";
}
