import type { Hono } from "hono";
import { z } from "zod";
import { BINDING_STATES } from "../sync/model.ts";
import { listing, word } from "./lists.ts";
import type { ApiEnv, Reader } from "./ports.ts";

export const branchItem = z.object({
  id: z.uuid(),
  /** The source's name in the configuration. */
  source: z.string(),
  name: z.string(),
  /** Neon's own id; may change when a branch is restored. */
  neonId: z.string(),
  default: z.boolean(),
  protected: z.boolean(),
  /** Neon's word for it; `gone` once the branch is deleted. */
  state: z.string(),
  /** How many of its bindings are in each state; states without any are left out. */
  bindings: z.partialRecord(z.enum(BINDING_STATES), z.int().nonnegative()),
});
export type BranchItem = z.output<typeof branchItem>;

export const branchFilters = z
  .strictObject({
    /** Name of a source. */
    source: word,
    /** As `state` above. */
    state: word,
    /** Exact name. */
    name: word,
  })
  .partial();
export type BranchFilter = z.output<typeof branchFilters>;

/** `GET /v1/branches`, `GET /v1/branches/:id`. */
export function branches(reader: Reader<BranchItem, BranchFilter>): Hono<ApiEnv> {
  return listing({ noun: "branch", item: branchItem, id: z.uuid(), filters: branchFilters }, reader);
}
