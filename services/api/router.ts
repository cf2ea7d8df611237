/**
 * Serves operations: one way for all of them from the token to the answer. Who may, what is asked, has it been
 * done before, do it, show no more of it than is declared.
 */
import { createHash } from "node:crypto";
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { z } from "zod";
import { entitled } from "./auth.ts";
import { createBodyReader } from "./body.ts";
import { readBody, readParams, readQuery } from "./input.ts";
import { hasBody, mutates, type Operation } from "./operation.ts";
import type { ApiEnv, Caller, Repeats } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import { repeatable } from "./repeats.ts";
import { described } from "./responses.ts";

/** What a handler gets: everything is checked by then. */
export interface Asked<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly caller: Caller;
  /** For what an answer is made of beside its shape: headers, a stream. */
  readonly c: Context<ApiEnv>;
}

/** A good answer with another status than the usual one. */
export class Answered<T> {
  readonly status: number;
  readonly body: T;

  constructor(status: number, body: T) {
    this.status = status;
    this.body = body;
  }
}

/** Null: there is no such thing. A `Response` goes out as it is: only for what is not JSON. */
export type Handle<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, A extends z.ZodType> = (
  asked: Asked<z.output<P>, z.output<Q>, z.output<B>>,
) => Promise<z.input<A> | Answered<z.input<A>> | Response | null>;

export interface Router {
  /** All operations so far, in order. */
  readonly operations: readonly Operation[];
  readonly app: OpenAPIHono<ApiEnv>;
  on<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, A extends z.ZodType>(
    operation: Operation<P, Q, B, A>,
    handle: Handle<P, Q, B, A>,
  ): void;
}

export function createRouter(app: OpenAPIHono<ApiEnv>, repeats: Repeats): Router {
  const withBody = createBodyReader();
  const operations: Operation[] = [];
  return {
    operations,
    app,
    on(operation, handle) {
      // What is kept is looked at as data; its handler, which knows the types, is at hand below.
      operations.push(operation as unknown as Operation);
      app.openAPIRegistry.registerPath(createRoute(described(operation as unknown as Operation)));
      app.on([operation.method.toUpperCase()], [routed(operation.path)], async (c) => {
        const { scope, whole, noun } = operation;
        if (scope !== null) entitled(c.get("principal"), scope, whole);
        const params = readParams(operation.params, c, noun);
        const query = readQuery(operation.query, c);
        const text = hasBody(operation) ? await readText(withBody, c, operation.bodyBytes) : "";
        const body = readBody(operation.body, text);
        const caller = callerOf(c);
        const answer = async (): Promise<Response> => {
          const done = await handle({ params, query, body, caller, c });
          if (done === null) throw new ApiProblem("not_found", `There is no ${noun} with this id.`);
          return done instanceof Response ? done : write(c, operation, done);
        };
        const key = mutates(operation) ? c.req.header("idempotency-key") : undefined;
        if (key === undefined || scope === null) return await answer();
        const request = createHash("sha256").update(`${c.req.method} ${c.req.url}\n${text}`).digest("hex");
        const repeat = { owner: caller.principal.id, key, request, secret: operation.secret };
        return await repeatable(repeats, repeat, answer);
      });
    },
  };
}

function write<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, A extends z.ZodType>(
  c: Context<ApiEnv>,
  { answer, status, version }: Operation<P, Q, B, A>,
  done: z.input<A> | Answered<z.input<A>>,
): Response {
  const { body, status: actual } = done instanceof Answered ? done : { body: done, status };
  const shown = answer.parse(body);
  if (version !== null) c.header("etag", `"${version(shown)}"`);
  return c.body(JSON.stringify(shown), actual as 200, { "content-type": "application/json" });
}

/** Hono's way of writing a path. */
const routed = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ":$1");

const BODY = { bytes: 64 * 1024, timeoutMs: 10_000 } as const;

/** JSON and nothing else, so that no page of somebody's can post here by a form. */
async function readText(
  withBody: ReturnType<typeof createBodyReader>,
  c: Context<ApiEnv>,
  bytes: number = BODY.bytes,
): Promise<string> {
  const text = await withBody(c, { ...BODY, bytes }, async (body) => new TextDecoder().decode(body));
  const type = c.req.header("content-type") ?? "";
  if (text.trim() !== "" && !/^application\/json *(;|$)/i.test(type)) {
    throw new ApiProblem("unsupported_media_type", "Send the body as application/json.");
  }
  return text;
}

/** Without its quotes; null: not said, or any. */
function ifMatchOf(c: Context<ApiEnv>): string | null {
  const header = c.req.header("if-match")?.trim();
  if (header === undefined || header === "*") return null;
  return /^"([^"]*)"$/.exec(header)?.[1] ?? header;
}

/** Who asks. */
export function callerOf(c: Context<ApiEnv>): Caller {
  const { incoming } = (c.env as ApiEnv["Bindings"] | undefined) ?? {};
  const sourceAddress = incoming?.socket.remoteAddress ?? null;
  const common = { principal: c.get("principal"), requestId: c.get("requestId") };
  return { ...common, sourceAddress, ifMatch: ifMatchOf(c) };
}
