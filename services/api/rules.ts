import { z } from "zod";
import { stateCounts } from "./branches.ts";
import { listOperation, serveList } from "./lists.ts";
import { byName, operation, time, word } from "./operation.ts";
import type { Reader } from "./ports.ts";
import type { Router } from "./router.ts";
import { versionOf } from "./version.ts";

export const ruleItem = z
  .object({
    id: z.uuid(),
    name: z.string(),
    source: z.string(),
    destination: z.string(),
    revision: z.int().nonnegative().meta({ description: "+1 with every change of its text." }),
    orphanedAt: time.nullable().meta({
      description: "It left the file then; what it wrote is kept in step. Null: it is in force.",
    }),
    bindings: stateCounts,
    definition: z.record(z.string(), z.unknown()).meta({
      description: "As it is understood: presets, `extends` and defaults filled in.",
    }),
  })
  .meta({ id: "Rule", description: "Which branches go to which target, under which names." });
export type RuleItem = z.output<typeof ruleItem>;
export const ruleVersion = versionOf(ruleItem, "bindings");

const filters = {
  source: word.optional(),
  destination: word.optional(),
  name: word.optional(),
  orphaned: z.enum(["true", "false"]).optional(),
};
export type RuleFilter = z.output<z.ZodObject<typeof filters>>;

export const listRules = listOperation({
  id: "listRules",
  path: "/v1/rules",
  summary: "List the rules.",
  item: ruleItem,
  filters,
});

export const getRule = operation({
  id: "getRule",
  method: "get",
  path: "/v1/rules/{id}",
  scope: "read",
  summary: "One rule, by id or name.",
  noun: "rule",
  params: byName,
  answer: ruleItem,
  version: ruleVersion,
});

/** `GET /v1/rules`, `GET /v1/rules/:id`. */
export function rules(router: Router, reader: Reader<RuleItem, RuleFilter>): void {
  serveList(router, listRules, reader);
  router.on(getRule, async ({ params, caller }) => await reader.get(params.id, caller.principal.limits));
}
