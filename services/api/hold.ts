import { z } from "zod";
import { branchItem, branchVersion } from "./branches.ts";
import { byId, operation } from "./operation.ts";
import type { Hold } from "./ports.ts";
import type { Router } from "./router.ts";

/** Longer than this it is not a pause: suspend the bindings. */
const MOST_SECONDS = 7 * 24 * 3_600;

export const holdBranch = operation({
  id: "holdBranch",
  method: "post",
  path: "/v1/branches/{id}/hold",
  scope: "write",
  summary: "Write nothing of one branch for a while.",
  description: "Ends by itself. Held again, it counts from now.",
  noun: "branch",
  params: byId,
  body: z.strictObject({
    forSeconds: z.int().min(1).max(MOST_SECONDS),
    reason: z.string().min(1).max(500).meta({ description: "Why, in your own words." }),
  }),
  answer: branchItem,
  version: branchVersion,
  problems: ["precondition_failed", "conflict"],
});

export const unholdBranch = operation({
  id: "unholdBranch",
  method: "delete",
  path: "/v1/branches/{id}/hold",
  scope: "write",
  summary: "End the hold of a branch now.",
  noun: "branch",
  params: byId,
  answer: branchItem,
  version: branchVersion,
  problems: ["precondition_failed"],
});

/** `POST` and `DELETE /v1/branches/:id/hold`. */
export function holds(router: Router, hold: Hold): void {
  router.on(holdBranch, async ({ params, body, caller }) => await hold(params.id, body, caller));
  router.on(unholdBranch, async ({ params, caller }) => await hold(params.id, null, caller));
}
