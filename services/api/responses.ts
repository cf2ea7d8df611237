/** An operation in the words of OpenAPI: its good answers, and every problem that it may end in. */
import type { RouteConfig } from "@hono/zod-openapi";
import { z } from "zod";
import { hasBody, type Method, mutates, nothing, type Operation } from "./operation.ts";
import { PROBLEMS, type ProblemCode } from "./problems.ts";

const problemShape = z
  .looseObject({
    type: z.string().meta({ description: "`urn:branchline:problem:` and the code." }),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    requestId: z.string(),
    parameters: z
      .array(
        z.looseObject({
          parameter: z.string(),
          problem: z.string(),
          pointer: z
            .string()
            .optional()
            .meta({ description: "JSON pointer into the body, or `/query/...`." }),
          suggestions: z.array(z.string()).optional(),
        }),
      )
      .optional(),
  })
  .meta({ id: "Problem", description: "RFC 9457. `type` says which; all types are listed at `/docs`." });

/** What `createRoute` takes, with the scope as `x-scope`. */
export function described(operation: Operation): RouteConfig & { method: Method } {
  const { id, method, path, scope, whole, summary, description, params, query, body } = operation;
  const headers = headersOf(operation);
  return {
    operationId: id,
    method,
    path,
    summary,
    tags: [tagOf(path)],
    ...(description === "" ? {} : { description }),
    ...(scope === null
      ? { security: [] }
      : { security: [{ token: [] }], "x-scope": scope, "x-whole": whole }),
    request: {
      ...(params === nothing ? {} : { params: params as never }),
      ...(query === nothing ? {} : { query: query as never }),
      ...(hasBody(operation)
        ? { body: { required: false, content: { "application/json": { schema: body } } } }
        : {}),
      ...(headers === null ? {} : { headers: headers as never }),
    },
    responses: { ...goodAnswers(operation), ...badAnswers(operation) },
  };
}

const tagOf = (path: string): string => /^\/v1\/([a-z-]+)/.exec(path)?.[1] ?? "service";

function headersOf(operation: Operation): z.ZodType | null {
  const key = z.string().min(1).max(255).optional().meta({
    description: "The same key with the same request within 24 hours is done once, and answered alike.",
  });
  const version = z.string().optional().meta({ description: "The `ETag` of what is meant; else 412." });
  const matches = operation.problems.includes("precondition_failed");
  if (!mutates(operation)) return null;
  return z.object({ "Idempotency-Key": key, ...(matches ? { "If-Match": version } : {}) });
}

function goodAnswers({ answer, status, also, media }: Operation): RouteConfig["responses"] {
  const content = Object.fromEntries(
    media.map((type) => [type, { schema: type === JSON_TYPE ? answer : z.string() }]),
  );
  const more = Object.entries(also).map(([code, description]) => [code, { description, content }]);
  return { [status]: { description: "As asked.", content }, ...Object.fromEntries(more) };
}

const JSON_TYPE = "application/json";

function badAnswers(operation: Operation): RouteConfig["responses"] {
  const all = problemsOf(operation);
  const entries = [...new Set(all.map((code) => PROBLEMS[code][0]))].map((status) => {
    const codes = all.filter((code) => PROBLEMS[code][0] === status);
    const description = codes.map((code) => `\`${code}\`: ${PROBLEMS[code][1]}.`).join(" ");
    return [status, { description, content: { "application/problem+json": { schema: problemShape } } }];
  });
  return Object.fromEntries(entries);
}

/** Every code that it may end in, each once. */
export function problemsOf(operation: Operation): ProblemCode[] {
  const { scope, params, problems } = operation;
  const all: ProblemCode[] = ["invalid_request", "internal", "unavailable"];
  if (scope !== null) all.push("unauthenticated", "forbidden", "too_many_requests");
  if (params !== nothing) all.push("not_found");
  if (hasBody(operation)) all.push("malformed", "body_too_slow", "body_too_large", "unsupported_media_type");
  if (mutates(operation) && scope !== null) all.push("repeat_under_way", "repeat_not_kept", "key_reused");
  return [...new Set([...all, ...problems])];
}
