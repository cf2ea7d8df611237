import { z } from "zod";
import { operation, word } from "./operation.ts";
import type { Matching } from "./ports.ts";
import type { Router } from "./router.ts";

export const matchBranches = operation({
  id: "matchBranches",
  method: "get",
  path: "/v1/rules/{rule}/branches",
  scope: "read",
  summary: "Which branches a rule means, of those that the last watch saw, and why.",
  noun: "rule",
  params: z.strictObject({ rule: word.meta({ description: "Name of the rule." }) }),
  answer: z.object({
    rule: z.string(),
    source: z.string(),
    matches: z.int().nonnegative(),
    of: z.int().nonnegative(),
    branches: z
      .array(z.object({ id: z.string(), name: z.string(), matches: z.boolean(), why: z.string() }))
      .readonly(),
    nearMisses: z
      .array(z.string())
      .readonly()
      .meta({ description: "Names that the patterns miss by little." }),
  }),
});

/** `GET /v1/rules/:rule/branches`. */
export function matching(router: Router, match: Matching): void {
  router.on(matchBranches, async ({ params, caller }) => await match(params.rule, caller.principal.limits));
}
