import type { Hono } from "hono";
import { z } from "zod";
import { CODES } from "../sync/errors.ts";
import { listing, word } from "./lists.ts";
import type { ApiEnv, Reader } from "./ports.ts";

export const sourceItem = z.object({
  id: z.uuid(),
  /** In the configuration. */
  name: z.string(),
  /** The adapter's: neon. */
  kind: z.string(),
  /** What makes it another source: API host and project id. */
  identity: z.string(),
  /** Branches that are there now, as of the last complete list. */
  branches: z.int().nonnegative(),
  /** When the last complete list of branches was read; null: not yet. */
  listedAt: z.iso.datetime().nullable(),
  /** Set while deletes wait for confirmation, since too many branches vanished at once. */
  heldSince: z.iso.datetime().nullable(),
  /** Why it cannot be watched right now, and what to do about it; null while all is well. */
  code: z.enum(CODES).nullable(),
  cause: z.string().nullable(),
  next: z.string().nullable(),
});
export type SourceItem = z.output<typeof sourceItem>;

export const sourceFilters = z.strictObject({ name: word, kind: word }).partial();
export type SourceFilter = z.output<typeof sourceFilters>;

/** `GET /v1/sources`, `GET /v1/sources/:id` with id or name. */
export function sources(reader: Reader<SourceItem, SourceFilter>): Hono<ApiEnv> {
  return listing({ noun: "source", item: sourceItem, id: word, filters: sourceFilters }, reader);
}
