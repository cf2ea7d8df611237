import { Hono } from "hono";
import { scoped } from "./auth.ts";
import { checked, word } from "./lists.ts";
import type { ApiEnv, Matching } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

/** `GET /v1/rules/:rule/branches`: which branches a rule means, of those that the last watch saw. */
export function matching(match: Matching): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get("/:rule/branches", scoped("read"), async (c) => {
    const found = await match(checked(word, c.req.param("rule")));
    if (found === null) throw new ApiProblem("not_found", "There is no rule with this name.");
    return c.json(found);
  });
}
