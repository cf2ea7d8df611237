/** Talks to a running Branchline over its API, for the commands. Failures are words and an exit code. */
import { isIP } from "node:net";
import { z } from "zod";
import { type ClientEnvironment, ConfigurationError } from "../config.ts";
import { refuseAddress } from "../http/address.ts";
import { closeConnections, createIo, decodeJson, retryAfterMs } from "../http.ts";
import { SyncError } from "../sync/errors.ts";
import type { OutgoingResponse } from "../sync/ports.ts";
import { CommandError, EXIT } from "./exit.ts";
import { requestIdToken } from "./id-token.ts";

export interface Client {
  /** The decoded answer to a GET. Parameters that are null are left out. Throws `CommandError`. */
  get<T>(path: string, query: Query, shape: z.ZodType<T>): Promise<T>;
  /** The answer to a GET as it is: lines of JSON. Throws `CommandError`. */
  text(path: string, query: Query): Promise<string>;
  /** The decoded answer to a POST of JSON. Throws `CommandError`. */
  post<T>(path: string, body: unknown, shape: z.ZodType<T>, timeoutMs?: number): Promise<T>;
  /** The decoded answer to a DELETE. Throws `CommandError`. */
  delete<T>(path: string, shape: z.ZodType<T>): Promise<T>;
  /** All items of a list, page after page. */
  list<T>(path: string, query: Query, item: z.ZodType<T>): Promise<readonly T[]>;
}

/** What a `Client` throws where a Branchline did not do as it was asked, or where none answered. */
export class Refusal extends CommandError {
  /** The last part of the problem's `type`; empty where nothing of the API's own came. */
  readonly code: string;
  /** How long to leave it alone before the same is asked again; null: to ask again is of no use. */
  readonly againMs: number | null;

  constructor(exitCode: number, message: string, code: string, againMs: number | null) {
    super(exitCode, message);
    this.name = "Refusal";
    this.code = code;
    this.againMs = againMs;
  }
}

export type Query = Readonly<Record<string, string | null>>;

/** Neon is asked while we wait. */
const TIMEOUT_MS = 30_000;
const PAGE = "200";

/** Does something with a client, and leaves no connection open that would keep the process. */
export async function withClient<T>(
  environment: ClientEnvironment,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const { signal } = new AbortController();
  try {
    return await use(createClient(await withToken(environment), signal));
  } finally {
    await closeConnections();
  }
}

/** What is set counts; without it, a job of GitHub Actions proves who it is. */
async function withToken({
  url,
  token,
  idToken,
}: ClientEnvironment): Promise<Pick<ClientEnvironment, "url" | "token">> {
  return { url, token: token ?? (idToken === null ? null : await requestIdToken(idToken)) };
}

/** Throws `ConfigurationError` if the address will not do, `CommandError` if there is no token. */
export function createClient(
  { url, token }: Pick<ClientEnvironment, "url" | "token">,
  signal: AbortSignal,
): Client {
  const base = apiBase(url);
  if (token === null) {
    throw new CommandError(EXIT.denied, "no token: set BRANCHLINE_TOKEN, or BRANCHLINE_ADMIN_TOKEN");
  }
  const io = createIo({ fingerprint: () => "", signal, privateNetwork: true, timeoutMs: TIMEOUT_MS });

  const send = async (
    method: "GET" | "POST" | "DELETE",
    path: string,
    { query = {}, body, timeoutMs = TIMEOUT_MS }: { query?: Query; body?: unknown; timeoutMs?: number },
  ): Promise<OutgoingResponse> => {
    const json = body === undefined ? {} : { "content-type": "application/json" };
    const response = await io
      .fetch({
        vendor: "branchline",
        operation: `${method} ${path}`,
        method,
        timeoutMs,
        url: `${base}${path}${queryText(query)}`,
        headers: { accept: "application/json", authorization: `Bearer ${token.reveal()}`, ...json },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      .catch((error: unknown) => {
        throw unreachable(error, base);
      });
    if (response.status < 200 || response.status > 299) throw refusal(response, base);
    return response;
  };
  const call = async <T>(
    method: "GET" | "POST" | "DELETE",
    path: string,
    shape: z.ZodType<T>,
    options: Parameters<typeof send>[2],
  ): Promise<T> =>
    decodeJson(await send(method, path, options), shape, {
      vendor: "branchline",
      operation: `${method} ${path}`,
    });
  const get: Client["get"] = async (path, query, shape) => await call("GET", path, shape, { query });

  return {
    get,
    text: async (path, query) => (await send("GET", path, { query })).body,
    post: async (path, body, shape, timeoutMs = TIMEOUT_MS) =>
      await call("POST", path, shape, { body, timeoutMs }),
    delete: async (path, shape) => await call("DELETE", path, shape, {}),
    list: async (path, query, item) => {
      const page = z.object({ items: z.array(item), next: z.string().nullable() });
      const items = [];
      let cursor: string | null = null;
      do {
        const answer: z.output<typeof page> = await get(path, { ...query, limit: PAGE, cursor }, page);
        items.push(...answer.items);
        cursor = answer.next;
      } while (cursor !== null);
      return items;
    },
  };
}

function queryText(query: Query): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== null);
  return given.length === 0 ? "" : `?${new URLSearchParams(given).toString()}`;
}

// ---------------------------------------------------------------- where

function apiBase(text: string): string {
  const refuse = (problem: string, hint: string): never => {
    throw new ConfigurationError([{ where: "BRANCHLINE_URL", problem, hint }]);
  };
  const hint = "For example https://branchline.internal or http://127.0.0.1:8420";
  if (!URL.canParse(text) || !/^https?:\/\//i.test(text))
    refuse("is not a URL of the form https://host", hint);
  const url = new URL(text);
  if (url.username + url.password + url.search + url.hash !== "")
    refuse("holds more than an address", "The token belongs into BRANCHLINE_TOKEN.");
  if (url.protocol === "http:" && !isPrivate(url.hostname))
    refuse("would carry the token over the internet in the clear", "Write https.");
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

/** Loopback, private addresses, and names that only a private network can have. */
function isPrivate(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0) return refuseAddress(host, false) !== null;
  return !host.includes(".") || /\.(localhost|local|internal|lan|test|svc)$|\.svc\./.test(host);
}

// ---------------------------------------------------------------- what went wrong

function unreachable(error: unknown, base: string): Error {
  if (!(error instanceof SyncError)) return new CommandError(EXIT.failed, "the request could not be made");
  const refused = error.message.includes("ECONNREFUSED");
  const why = refused ? `no Branchline answers at ${base}` : `${base}: ${error.message}`;
  const next = refused
    ? "Start one with `branchline serve`, or set BRANCHLINE_URL to the address of one that runs."
    : "Check BRANCHLINE_URL and this network.";
  return new Refusal(EXIT.unavailable, `${why}\n  ${next}`, "", error.code === "unavailable" ? 0 : null);
}

const problemShape = z.object({
  type: z.string().default(""),
  detail: z.string().default(""),
  title: z.string().default(""),
  parameters: z
    .array(
      z.object({ parameter: z.string(), problem: z.string(), suggestions: z.array(z.string()).default([]) }),
    )
    .default([]),
});
type ProblemBody = z.output<typeof problemShape>;

function refusal(response: OutgoingResponse, base: string): Refusal {
  const problem = problemOf(response);
  const passes = response.status === 429 || response.status >= 500;
  const [exitCode, words] = meaningOf(response.status, problem, base);
  const code = problem.type.split(":").at(-1) ?? "";
  return new Refusal(exitCode, words, code, passes ? (retryAfterMs(response) ?? 0) : null);
}

function meaningOf(status: number, problem: ProblemBody, base: string): [exitCode: number, words: string] {
  const said = problem.detail || problem.title || `HTTP ${status}`;
  switch (status) {
    case 401:
      return [
        EXIT.denied,
        `${base} does not accept the token\n  Set BRANCHLINE_TOKEN to a token of that installation.`,
      ];
    case 403:
      return [EXIT.denied, `the token may not do this: ${said}`];
    case 400:
      return [EXIT.data, `${said}${list(problem)}`];
    case 404:
      return [EXIT.missing, `${said}${list(problem)}`];
    case 409:
      return [EXIT.unavailable, said];
    default:
      return status === 429 || status >= 500
        ? [EXIT.unavailable, `${base} cannot do this now: ${said}`]
        : [EXIT.failed, said];
  }
}

function problemOf({ body }: OutgoingResponse): ProblemBody {
  try {
    return problemShape.parse(JSON.parse(body));
  } catch {
    // A proxy in between, most likely; its page is of no use to anybody here.
    return problemShape.parse({});
  }
}

function list({ parameters }: ProblemBody): string {
  return parameters
    .map(({ parameter, problem, suggestions }) => {
      const known = suggestions.length === 0 ? "" : `; did you mean ${suggestions.join(", ")}?`;
      return `\n  ${parameter}: ${problem}${known}`;
    })
    .join("");
}
