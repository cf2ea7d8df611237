import type { Hono } from "hono";
import { z } from "zod";
import { CODES } from "../sync/errors.ts";
import { BINDING_STATES } from "../sync/model.ts";
import { listing, word } from "./lists.ts";
import type { ApiEnv, Reader } from "./ports.ts";

export const bindingItem = z.object({
  id: z.uuid(),
  /** The rule's name in the configuration. */
  rule: z.string(),
  branch: z.object({ id: z.uuid(), name: z.string() }),
  /** The destination's name in the configuration. */
  destination: z.string(),
  /** The place, as its adapter writes it; null until the target could be worked out. */
  target: z.string().nullable(),
  /** What consumers name the place by, where the vendor has a name of its own for it: an ARN. */
  reference: z.string().nullable(),
  state: z.enum(BINDING_STATES),
  /** In this state since. */
  since: z.iso.datetime(),
  wanted: z.int().nonnegative(),
  applied: z.int().nonnegative(),
  /** Of the login; null where several logins make one binding. */
  generation: z.int().nonnegative().nullable(),
  /** Why it is where it is, and what to do about it; null while there is nothing to say. */
  code: z.enum(CODES).nullable(),
  cause: z.string().nullable(),
  next: z.string().nullable(),
  /** Passwords that production accepts as well, in words. */
  warning: z.string().nullable(),
  /** Names at the target; never their values. */
  names: z.array(z.string()).readonly(),
});
export type BindingItem = z.output<typeof bindingItem>;

export const bindingFilters = z
  .strictObject({
    /** Names in the configuration. */
    source: word,
    rule: word,
    destination: word,
    /** Id or exact name of a branch. */
    branch: word,
    state: z.enum(BINDING_STATES),
    code: z.enum(CODES),
  })
  .partial();
export type BindingFilter = z.output<typeof bindingFilters>;

/** `GET /v1/bindings`, `GET /v1/bindings/:id`. */
export function bindings(reader: Reader<BindingItem, BindingFilter>): Hono<ApiEnv> {
  return listing({ noun: "binding", item: bindingItem, id: z.uuid(), filters: bindingFilters }, reader);
}
