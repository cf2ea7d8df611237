/** A noun that can be listed and looked up: the same paging, filters and answers for each. */
import { type Context, Hono } from "hono";
import { z } from "zod";
import { scoped } from "./auth.ts";
import type { ApiEnv, Reader } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

export const PAGE_LIMIT = { default: 50, max: 200 } as const;

/**
 * A filter's value. Never empty, so that a lost variable does not mean "all"; and without control
 * characters, which Postgres would refuse.
 */
export const word = z
  .string()
  .max(255)
  .regex(/^\P{Cc}+$/u);

export interface Listing<Item, Filter> {
  /** One of them, in words: "branch". */
  readonly noun: string;
  /** The answer. What is not in here does not leave, whatever the reader gave. */
  readonly item: z.ZodType<Item>;
  /** What an id looks like; anything else is not asked for. */
  readonly id: z.ZodType<string>;
  /** Query parameters that filter, each optional; a strict object, so that a typing error filters nothing silently. */
  readonly filters: z.ZodType<Filter>;
}

/** `GET /` with `?limit=&cursor=` and the filters, `GET /:id`. Both need the scope read. */
export function listing<Item, Filter>(
  { noun, item, id, filters }: Listing<Item, Filter>,
  reader: Reader<Item, Filter>,
): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get("/", scoped("read"), async (c) => {
      const { limit, cursor, ...given } = queryOf(c);
      const filter = checked(filters, given);
      const paging = checked(pagingQuery, { limit, cursor });
      const page = await reader.list({ limit: paging.limit, after: paging.cursor, filter });
      if (page === null) throw new ApiProblem("invalid_request", "The cursor is none of this list.");
      const next = page.next === null ? null : encodeCursor(page.next);
      return c.json({ items: page.items.map((one) => item.parse(one)), next });
    })
    .get("/:id", scoped("read"), async (c) => {
      const known = id.safeParse(c.req.param("id"));
      const found = known.success ? await reader.get(known.data) : null;
      if (found === null) throw new ApiProblem("not_found", `There is no ${noun} with this id.`);
      return c.json(item.parse(found));
    });
}

const pagingQuery = z.object({
  limit: z
    .string()
    .regex(/^\d{1,4}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(PAGE_LIMIT.max))
    .default(PAGE_LIMIT.default),
  cursor: z
    .string()
    .max(512)
    .regex(/^[\w-]+$/)
    .transform((cursor) => Buffer.from(cursor, "base64url").toString("utf8"))
    .optional()
    .transform((cursor) => cursor ?? null),
});

/** Opaque, so that nobody builds on what is inside. */
function encodeCursor(next: string): string {
  return Buffer.from(next, "utf8").toString("base64url");
}

/** The query as single values. Throws if one is given twice: nobody knows which is meant. */
export function queryOf(c: Context<ApiEnv>): Record<string, string | undefined> {
  const entries = Object.entries(c.req.queries()).map(([name, values]) => {
    if (values.length > 1) throw invalid([{ parameter: name, problem: "given more than once" }]);
    return [name, values[0]] as const;
  });
  return Object.fromEntries(entries);
}

/** Throws naming every parameter that is not understood. */
export function checked<Output>(schema: z.ZodType<Output>, query: unknown): Output {
  const result = schema.safeParse(query);
  if (result.success) return result.data;
  throw invalid(
    result.error.issues.flatMap((issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((parameter) => ({ parameter, problem: "is not known here" }))
        : [{ parameter: issue.path.join("."), problem: "has a value that is not possible here" }],
    ),
  );
}

export function invalid(parameters: readonly ParameterProblem[]): ApiProblem {
  return new ApiProblem("invalid_request", "Some query parameters are not understood.", {
    members: { parameters: parameters.map(pointed) },
  });
}

export interface ParameterProblem {
  readonly parameter: string;
  readonly problem: string;
  /** What was meant, most likely. */
  readonly suggestions?: readonly string[];
}

/** With the place as a JSON pointer (RFC 6901) into the query, for programs that show it there. */
export const pointed = (one: ParameterProblem): object => ({
  ...one,
  pointer: `/query/${one.parameter.replaceAll("~", "~0").replaceAll("/", "~1")}`,
});
