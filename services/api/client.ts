/**
 * The typed client for programs in TypeScript: `createBranchline({ url, token })` has one function for each
 * operation, with the shapes that the server itself checks.
 */
import type { z } from "zod";
import type { Operation } from "./operation.ts";
import * as operations from "./operations.ts";

export interface BranchlineOptions {
  /** Of the API: `https://branchline.internal`. */
  readonly url: string;
  readonly token: string;
  /** For proxies and tests; default: the runtime's own. Whoever imports this is not our server, whose calls go another way. */
  readonly fetch?: (request: Request) => Promise<Response>;
}

type Shapes<O> = O extends Operation<infer P, infer Q, infer B, infer A> ? { p: P; q: Q; b: B; a: A } : never;
/** What has members that must be said, must be said. */
type Said<Name extends string, S extends z.ZodType> =
  Record<never, never> extends z.input<S>
    ? { readonly [K in Name]?: z.input<S> }
    : { readonly [K in Name]: z.input<S> };

export type Asking<O> = Said<"params", Shapes<O>["p"]> &
  Said<"query", Shapes<O>["q"]> &
  Said<"body", Shapes<O>["b"]> & {
    /** The same key with the same request within a day is done once. */
    readonly idempotencyKey?: string;
    /** The `etag` of what is meant. */
    readonly ifMatch?: string;
    readonly signal?: AbortSignal;
  };

export type Answer<O> = z.output<Shapes<O>["a"]>;

export type Branchline = {
  readonly [Name in keyof typeof operations]: (
    ...asking: Record<never, never> extends Asking<(typeof operations)[Name]>
      ? [asking?: Asking<(typeof operations)[Name]>]
      : [asking: Asking<(typeof operations)[Name]>]
  ) => Promise<Answer<(typeof operations)[Name]>>;
};

/** The API said no: `code` is the last part of the problem's `type`. */
export class BranchlineError extends Error {
  readonly status: number;
  readonly code: string;
  /** The whole problem document, as far as there was one. */
  readonly problem: Readonly<Record<string, unknown>>;

  constructor(status: number, problem: Readonly<Record<string, unknown>>) {
    const { type, title, detail } = problem;
    super([title, detail].filter((text) => typeof text === "string").join(": ") || `HTTP ${status}`);
    this.name = "BranchlineError";
    this.status = status;
    this.code = typeof type === "string" ? (type.split(":").at(-1) ?? "") : "";
    this.problem = problem;
  }
}

/** Functions reject with `BranchlineError` if the API refuses, and with whatever `fetch` throws if it is not reached. */
export function createBranchline({ url, token, fetch: send = fetch }: BranchlineOptions): Branchline {
  const base = url.replace(/\/+$/, "");
  const functions = Object.entries(operations).map(([name, operation]) => [
    name,
    async (asking: Loose = {}) => {
      const response = await send(requestOf(base, token, operation as unknown as Operation, asking));
      const text = await response.text();
      if (!response.ok) throw new BranchlineError(response.status, problemOf(text));
      return operation.media.includes("application/json") ? operation.answer.parse(JSON.parse(text)) : text;
    },
  ]);
  // One function per operation, each made from its declaration: that is what the type says.
  return Object.fromEntries(functions) as Branchline;
}

interface Loose {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly idempotencyKey?: string;
  readonly ifMatch?: string;
  readonly signal?: AbortSignal;
}

function requestOf(base: string, token: string, { method, path, media }: Operation, asking: Loose): Request {
  const { params = {}, query = {}, body, idempotencyKey, ifMatch, signal } = asking;
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ""));
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  );
  const text = given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
  return new Request(`${base}${filled}${text}`, {
    method: method.toUpperCase(),
    headers: {
      accept: media[0] ?? "*/*",
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
      ...(ifMatch === undefined ? {} : { "if-match": ifMatch }),
    },
    redirect: "error",
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
}

function problemOf(text: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null ? { ...parsed } : {};
  } catch {
    // A proxy in between, most likely.
    return {};
  }
}
