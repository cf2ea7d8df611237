import { z } from "zod";
import { listOperation, serveList } from "./lists.ts";
import { byId, operation, time, word } from "./operation.ts";
import type { Reader } from "./ports.ts";
import type { Router } from "./router.ts";
import { versionOf } from "./version.ts";

export const loginItem = z
  .object({
    id: z.uuid(),
    source: z.string(),
    branch: z.object({ id: z.uuid(), name: z.string() }),
    role: z.string(),
    database: z.string(),
    generation: z.int().nonnegative().meta({ description: "+1 when password, host or settings change." }),
    changedAt: time.meta({ description: "When this generation was first seen." }),
    proven: z.boolean().meta({ description: "Branchline has logged in with this generation." }),
    provenAt: time.nullable(),
  })
  .meta({ id: "Login", description: "Branch, role and database. Never the password." });
export type LoginItem = z.output<typeof loginItem>;
export const loginVersion = versionOf(loginItem);

const filters = {
  source: word.optional(),
  branch: word.optional().meta({ description: "Id or exact name of a branch." }),
  role: word.optional(),
  database: word.optional(),
};
export type LoginFilter = z.output<z.ZodObject<typeof filters>>;

export const listLogins = listOperation({
  id: "listLogins",
  path: "/v1/logins",
  summary: "List the logins.",
  item: loginItem,
  filters,
});

export const getLogin = operation({
  id: "getLogin",
  method: "get",
  path: "/v1/logins/{id}",
  scope: "read",
  summary: "One login.",
  noun: "login",
  params: byId,
  answer: loginItem,
  version: loginVersion,
});

/** `GET /v1/logins`, `GET /v1/logins/:id`. */
export function logins(router: Router, reader: Reader<LoginItem, LoginFilter>): void {
  serveList(router, listLogins, reader);
  router.on(getLogin, async ({ params, caller }) => await reader.get(params.id, caller.principal.limits));
}
