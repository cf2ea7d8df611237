/** A noun that can be listed and looked up: the same paging, filters and answers for each. */
import { z } from "zod";
import { type nothing, type Operation, operation } from "./operation.ts";
import type { Reader, Scope } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import type { Router } from "./router.ts";

export const PAGE_LIMIT = { default: 50, max: 200 } as const;

const paging = {
  limit: z
    .string()
    .regex(/^\d{1,4}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(PAGE_LIMIT.max))
    .default(PAGE_LIMIT.default)
    .meta({ description: `How many at most: 1 to ${PAGE_LIMIT.max}.`, type: "integer" }),
  cursor: z
    .string()
    .max(512)
    .regex(/^[\w-]+$/)
    .transform((cursor) => Buffer.from(cursor, "base64url").toString("utf8"))
    .optional()
    .meta({ description: "`next` of the page before." }),
};

type Query<Filters extends z.ZodRawShape> = z.ZodObject<typeof paging & Filters, z.core.$strict>;
type PageShape<Item extends z.ZodType> = z.ZodObject<{
  items: z.ZodReadonly<z.ZodArray<Item>>;
  next: z.ZodNullable<z.ZodString>;
}>;

export interface ListSpec<Item extends z.ZodType, Filters extends z.ZodRawShape> {
  readonly id: string;
  readonly path: `/${string}`;
  readonly summary: string;
  readonly description?: string;
  readonly item: Item;
  /** Query parameters that filter, each optional; a strict object, so that a typing error filters nothing silently. */
  readonly filters: Filters;
  /** Default: read. */
  readonly scope?: Scope;
  readonly whole?: boolean;
}

/** `GET` of a noun, page by page. */
export function listOperation<Item extends z.ZodType, Filters extends z.ZodRawShape>({
  item,
  filters,
  scope = "read",
  ...spec
}: ListSpec<Item, Filters>): Operation<typeof nothing, Query<Filters>, typeof nothing, PageShape<Item>> {
  const query = z.strictObject({ ...paging, ...filters });
  const answer = z.object({ items: z.array(item).readonly(), next: z.string().nullable() });
  return operation({ method: "get", scope, answer, query, ...spec });
}

/** Serves a list operation from a reader. */
export function serveList<Item extends z.ZodType, Filters extends z.ZodRawShape, Filter>(
  router: Router,
  list: Operation<typeof nothing, Query<Filters>, typeof nothing, PageShape<Item>>,
  reader: Pick<Reader<z.output<Item>, Filter>, "list">,
): void {
  router.on(list, async ({ query, caller }) => {
    // What is left of the query without the paging is the filter: the shape above is made of these two.
    const { limit, cursor, ...filter } = query as { limit: number; cursor?: string } & Filter;
    const { limits } = caller.principal;
    const asked = { limit, after: cursor ?? null, filter: filter as unknown as Filter, limits };
    const page = await reader.list(asked);
    if (page === null) throw new ApiProblem("invalid_request", "The cursor is none of this list.");
    const next = page.next === null ? null : encodeCursor(page.next);
    // The items have the shape that the reader is declared with; writing the answer checks it.
    return { items: page.items, next } as unknown as z.input<PageShape<Item>>;
  });
}

/** Opaque, so that nobody builds on what is inside. */
function encodeCursor(next: string): string {
  return Buffer.from(next, "utf8").toString("base64url");
}
