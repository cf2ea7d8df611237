import { z } from "zod";
import { checkPattern } from "../sync/patterns.ts";
import { listOperation, serveList } from "./lists.ts";
import { byId, operation, time, word } from "./operation.ts";
import { SCOPES, type Tokens } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import type { Router } from "./router.ts";

const names = z.array(word).min(1).max(100).nullable().default(null);
const globs = z
  .array(word.refine((glob) => checkPattern(glob) === null))
  .min(1)
  .max(100)
  .nullable()
  .default(null);

const limits = z
  .strictObject({
    sources: names.meta({ description: "Names of sources; null: all." }),
    branches: globs.meta({ description: "Globs over names of branches, as in a rule; null: all." }),
    destinations: names.meta({ description: "Names of destinations; null: all." }),
  })
  .meta({ id: "Limits", description: "What lies outside is not there for the token." });

export const tokenItem = z
  .object({
    id: z.uuid(),
    name: z.string(),
    scopes: z.array(z.enum(SCOPES)).readonly(),
    limits: z
      .object({
        sources: z.array(z.string()).readonly().nullable(),
        branches: z.array(z.string()).readonly().nullable(),
        destinations: z.array(z.string()).readonly().nullable(),
      })
      .nullable(),
    revealDefault: z.boolean().meta({
      description:
        "With the scope reveal: also what opens a default or protected branch, or has a password that a protected one accepts.",
    }),
    expiresAt: time.nullable(),
    createdAt: time,
    createdBy: z.string(),
    lastUsedAt: time.nullable().meta({ description: "To the minute." }),
    revokedAt: time.nullable(),
    revision: z.int().positive(),
  })
  .meta({ id: "Token" });
export type TokenItem = z.output<typeof tokenItem>;

const filters = { name: word.optional(), revoked: z.enum(["true", "false"]).optional() };
export type TokenFilter = z.output<z.ZodObject<typeof filters>>;

const newToken = z.strictObject({
  name: word.meta({ description: "Who or what uses it; stands in the audit log." }),
  scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
  limits: limits.nullable().default(null),
  revealDefault: z.boolean().default(false),
  expiresAt: time.nullable().default(null).meta({ description: "Null: when it is revoked." }),
});
export type NewToken = z.output<typeof newToken>;

const tokenChange = z.strictObject({ name: word, expiresAt: time.nullable() }).partial();
export type TokenChange = z.output<typeof tokenChange>;

const common = { scope: "admin", whole: true, noun: "token" } as const;
const version = ({ revision }: TokenItem): string => String(revision);

export const listTokens = listOperation({
  id: "listTokens",
  path: "/v1/tokens",
  summary: "List the tokens; what they are is shown once, when they are made.",
  item: tokenItem,
  filters,
  scope: "admin",
  whole: true,
});

export const getToken = operation({
  ...common,
  id: "getToken",
  method: "get",
  path: "/v1/tokens/{id}",
  summary: "One token.",
  params: byId,
  answer: tokenItem,
  version,
});

export const createToken = operation({
  ...common,
  id: "createToken",
  method: "post",
  path: "/v1/tokens",
  summary: "Make a token. It is shown in this answer and never again.",
  body: newToken,
  answer: tokenItem.extend({ token: z.string() }),
  status: 201,
  secret: true,
});

export const changeToken = operation({
  ...common,
  id: "changeToken",
  method: "patch",
  path: "/v1/tokens/{id}",
  summary: "Change a token's name or its end. Needs `If-Match`.",
  params: byId,
  body: tokenChange,
  answer: tokenItem,
  version,
  problems: ["precondition_failed", "precondition_required", "conflict"],
});

export const revokeToken = operation({
  ...common,
  id: "revokeToken",
  method: "delete",
  path: "/v1/tokens/{id}",
  summary: "Revoke a token, for good and at once.",
  params: byId,
  answer: tokenItem,
  version,
  problems: ["precondition_failed"],
});

/** `/v1/tokens`: list, get, create, change, revoke. All need the scope admin and a token without limits. */
export function tokens(router: Router, store: Tokens): void {
  serveList(router, listTokens, store);
  router.on(getToken, async ({ params }) => await store.get(params.id, null));
  router.on(createToken, async ({ body, caller }) => {
    if (body.limits !== null && body.scopes.includes("admin")) {
      throw refused("limits", "The scope admin cannot be limited: leave out one of the two.");
    }
    if (body.expiresAt !== null && Date.parse(body.expiresAt) <= Date.now()) {
      throw refused("expiresAt", "This time has passed.");
    }
    const { token, secret } = await store.create(body, caller);
    return { ...token, token: secret.reveal() };
  });
  router.on(changeToken, async ({ params, body, caller, c }) => {
    if (c.req.header("if-match") === undefined) {
      throw new ApiProblem("precondition_required", "Send If-Match with the ETag of the token.");
    }
    return await store.change(params.id, body, caller);
  });
  router.on(revokeToken, async ({ params, caller }) => await store.revoke(params.id, caller));
}

const refused = (parameter: string, problem: string): ApiProblem =>
  new ApiProblem("invalid_request", problem, {
    members: { parameters: [{ parameter, problem, pointer: `/${parameter}` }] },
  });
