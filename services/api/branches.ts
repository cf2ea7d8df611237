import { z } from "zod";
import { BINDING_STATES } from "../sync/model.ts";
import { listOperation, serveList } from "./lists.ts";
import { byId, operation, time, word } from "./operation.ts";
import type { Reader } from "./ports.ts";
import type { Router } from "./router.ts";
import { versionOf } from "./version.ts";

export const stateCounts = z
  .partialRecord(z.enum(BINDING_STATES), z.int().nonnegative())
  .meta({ description: "How many of its bindings are in each state; states without any are left out." });

export const branchItem = z
  .object({
    id: z.uuid(),
    source: z.string().meta({ description: "The source's name in the configuration." }),
    name: z.string(),
    neonId: z.string().meta({ description: "Neon's own id; may change when a branch is restored." }),
    default: z.boolean(),
    protected: z.boolean(),
    state: z.string().meta({ description: "Neon's word for it; `gone` once the branch is deleted." }),
    heldUntil: time
      .nullable()
      .meta({ description: "Nothing of it is written until then; null: it is not held." }),
    heldReason: z.string().nullable(),
    bindings: stateCounts,
  })
  .meta({ id: "Branch" });
export type BranchItem = z.output<typeof branchItem>;
export const branchVersion = versionOf(branchItem, "bindings");

const filters = {
  source: word.optional().meta({ description: "Name of a source." }),
  state: word.optional().meta({ description: "As `state` in the answer." }),
  name: word.optional().meta({ description: "Exact name." }),
};
export type BranchFilter = z.output<z.ZodObject<typeof filters>>;

export const listBranches = listOperation({
  id: "listBranches",
  path: "/v1/branches",
  summary: "List the branches.",
  item: branchItem,
  filters,
});

export const getBranch = operation({
  id: "getBranch",
  method: "get",
  path: "/v1/branches/{id}",
  scope: "read",
  summary: "One branch.",
  noun: "branch",
  params: byId,
  answer: branchItem,
  version: branchVersion,
});

/** `GET /v1/branches`, `GET /v1/branches/:id`. */
export function branches(router: Router, reader: Reader<BranchItem, BranchFilter>): void {
  serveList(router, listBranches, reader);
  router.on(getBranch, async ({ params, caller }) => await reader.get(params.id, caller.principal.limits));
}
