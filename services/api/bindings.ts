import { z } from "zod";
import { CODES } from "../sync/errors.ts";
import { BINDING_STATES } from "../sync/model.ts";
import { listOperation, serveList } from "./lists.ts";
import { byId, operation, time, word } from "./operation.ts";
import type { Reader } from "./ports.ts";
import type { Router } from "./router.ts";
import { versionOf } from "./version.ts";

export const bindingItem = z
  .object({
    id: z.uuid(),
    rule: z.string().meta({ description: "The rule's name in the configuration." }),
    branch: z.object({ id: z.uuid(), name: z.string() }),
    destination: z.string().meta({ description: "The destination's name in the configuration." }),
    target: z.string().nullable().meta({
      description: "The place, as its adapter writes it; null until the target could be worked out.",
    }),
    reference: z.string().nullable().meta({
      description: "What consumers name the place by, where the vendor has a name of its own for it: an ARN.",
    }),
    state: z.enum(BINDING_STATES),
    since: time.meta({ description: "In this state since." }),
    wanted: z.int().nonnegative().meta({ description: "Rises when one of its inputs moves." }),
    applied: z.int().nonnegative().meta({ description: "Follows `wanted`." }),
    generation: z.int().nonnegative().nullable().meta({
      description: "Of the login; null where several logins make one binding.",
    }),
    code: z.enum(CODES).nullable().meta({ description: "Why it is where it is; null: nothing to say." }),
    cause: z.string().nullable(),
    next: z.string().nullable().meta({ description: "What to do about it." }),
    warning: z
      .string()
      .nullable()
      .meta({ description: "Passwords that production accepts as well, in words." }),
    names: z.array(z.string()).readonly().meta({ description: "Names at the target; never their values." }),
  })
  .meta({ id: "Binding", description: "A rule and a branch." });
export type BindingItem = z.output<typeof bindingItem>;
export const bindingVersion = versionOf(bindingItem);

const filters = {
  source: word.optional(),
  rule: word.optional(),
  destination: word.optional(),
  branch: word.optional().meta({ description: "Id or exact name of a branch." }),
  state: z.enum(BINDING_STATES).optional(),
  code: z.enum(CODES).optional(),
};
export type BindingFilter = z.output<z.ZodObject<typeof filters>>;

export const listBindings = listOperation({
  id: "listBindings",
  path: "/v1/bindings",
  summary: "List the bindings.",
  item: bindingItem,
  filters,
});

export const getBinding = operation({
  id: "getBinding",
  method: "get",
  path: "/v1/bindings/{id}",
  scope: "read",
  summary: "One binding.",
  noun: "binding",
  params: byId,
  answer: bindingItem,
  version: bindingVersion,
});

/** `GET /v1/bindings`, `GET /v1/bindings/:id`. */
export function bindings(router: Router, reader: Reader<BindingItem, BindingFilter>): void {
  serveList(router, listBindings, reader);
  router.on(getBinding, async ({ params, caller }) => await reader.get(params.id, caller.principal.limits));
}
