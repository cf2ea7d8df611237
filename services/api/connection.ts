/**
 * The only answers that hold a connection string: what opens a branch, read from Neon at this moment. They need the
 * scope reveal, are in the audit log before they leave, and are never stored on the way (`no-store`).
 */
import { z } from "zod";
import { invalid } from "./input.ts";
import { operation, word } from "./operation.ts";
import type { Commit, LoginRequest, Reveal } from "./reveal-port.ts";
import type { Router } from "./router.ts";

/** Neon's names have at most 256 characters. Never empty: a lost variable does not mean the default branch. */
const branch = z
  .string()
  .max(256)
  .regex(/^\P{Cc}+$/u)
  .optional()
  .meta({ description: "Name or Neon's id; left out: the default branch." });

const login = { branch, role: word.optional(), database: word.optional() };
/** Never a shortened one: it could mean another. */
const sha = z
  .string()
  .regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/)
  .optional()
  .meta({
    description:
      "A commit, whole, with `gitBranch`: answered only when Neon has been looked at since Branchline heard of it, from GitHub or by this very request.",
  });

const warning = z.string().optional().meta({
  description: "Of a token that may not see production: the default branch accepts a password of these.",
});

const bySource = z.strictObject({ source: word.meta({ description: "Id or name." }) });

export const revealConnection = operation({
  id: "revealConnection",
  method: "get",
  path: "/v1/sources/{source}/connection",
  scope: "reveal",
  summary: "The connection string of a branch, as Neon has it now.",
  noun: "source",
  params: bySource,
  query: z.strictObject({
    ...login,
    pooled: z.enum(["true", "false"]).optional(),
    form: word.optional().meta({ description: "How it is written; left out: as a URL." }),
  }),
  answer: z.object({
    connectionUri: z.string(),
    branch: z.string(),
    pooled: z.boolean(),
    role: z.string().optional(),
    database: z.string().optional(),
    form: z.string().optional(),
    warning,
  }),
  problems: ["source_unready", "source_failed"],
  secret: true,
});

export const revealVariables = operation({
  id: "revealVariables",
  method: "get",
  path: "/v1/sources/{source}/env",
  scope: "reveal",
  summary: "The variables of a preset or a rule for a branch, as Neon has them now.",
  noun: "source",
  params: bySource,
  query: z.strictObject({
    ...login,
    preset: word.optional(),
    rule: word.optional(),
    gitBranch: word.optional().meta({ description: "The git branch of `sha`, as GitHub names it." }),
    sha,
  }),
  answer: z.object({
    branch: z.string(),
    variables: z.array(
      z.object({
        name: z.string(),
        value: z.string(),
        secret: z.boolean().meta({ description: "It holds a password." }),
      }),
    ),
    warning,
  }),
  problems: ["source_unready", "source_failed", "commit_unseen"],
  secret: true,
});

/** `GET /v1/sources/:source/connection` and `GET /v1/sources/:source/env`. The source by id or name. */
export function connections(router: Router, reveal: Reveal): void {
  router.on(revealConnection, async ({ params, query, caller }) => {
    const pooled = query.pooled === "true";
    const { form = null } = query;
    const found = await reveal.connection({ ...loginOf(params.source, query), pooled, form }, caller);
    return {
      connectionUri: found.value.reveal(),
      branch: found.branch,
      pooled,
      ...(query.role === undefined ? {} : { role: found.role }),
      ...(query.database === undefined ? {} : { database: found.database }),
      ...(form === null ? {} : { form }),
      ...(found.warning === null ? {} : { warning: found.warning }),
    };
  });
  router.on(revealVariables, async ({ params, query, caller }) => {
    const { preset = null, rule = null } = query;
    refuseTwo(query, "rule", ["preset", "role", "database"]);
    const asked = { ...loginOf(params.source, query), preset, rule, commit: commitOf(query) };
    const found = await reveal.variables(asked, caller);
    const variables = found.variables.map(({ value, ...rest }) => ({ ...rest, value: value.reveal() }));
    return {
      branch: found.branch,
      variables,
      ...(found.warning === null ? {} : { warning: found.warning }),
    };
  });
}

function refuseTwo(query: Readonly<Record<string, unknown>>, one: string, others: readonly string[]): void {
  const both = query[one] === undefined ? [] : others.filter((name) => query[name] !== undefined);
  if (both.length > 0)
    throw invalid(both.map((parameter) => ({ parameter, problem: `is said by the ${one} already` })));
}

function commitOf({
  gitBranch,
  sha,
}: {
  gitBranch?: string | undefined;
  sha?: string | undefined;
}): Commit | null {
  if (gitBranch !== undefined && sha !== undefined) return { gitBranch, sha };
  if (gitBranch === undefined && sha === undefined) return null;
  throw invalid([{ parameter: sha === undefined ? "sha" : "gitBranch", problem: "the two go together" }]);
}

interface LoginQuery {
  readonly branch?: string | undefined;
  readonly role?: string | undefined;
  readonly database?: string | undefined;
}

const loginOf = (source: string, { branch, role, database }: LoginQuery): LoginRequest => ({
  source,
  branch: branch ?? null,
  role: role ?? null,
  database: database ?? null,
});
