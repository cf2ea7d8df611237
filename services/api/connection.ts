/**
 * The only answers that hold a secret: what opens a branch, read from Neon at this moment. They need the
 * scope reveal, are in the audit log before they leave, and are never stored on the way (`no-store`).
 */
import { type Context, Hono } from "hono";
import { z } from "zod";
import { scoped } from "./auth.ts";
import { checked, invalid, queryOf, word } from "./lists.ts";
import type { ApiEnv, Caller, Reveal } from "./ports.ts";

/** Neon's names have at most 256 characters. Never empty: a lost variable does not mean the default branch. */
const branch = z
  .string()
  .max(256)
  .regex(/^\P{Cc}+$/u);

const loginQuery = z.strictObject({ branch, role: word, database: word }).partial();
const connectionQuery = loginQuery.extend({ pooled: z.enum(["true", "false"]), form: word }).partial();
const variablesQuery = loginQuery.extend({ preset: word, rule: word }).partial();

/**
 * `GET /v1/sources/:source/connection?branch=&pooled=&role=&database=&form=` and
 * `GET /v1/sources/:source/env?branch=&preset=|rule=`. The source by id or name.
 */
export function connections(reveal: Reveal): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get("/:source/connection", scoped("reveal"), async (c) => {
      const query = checked(connectionQuery, queryOf(c));
      const pooled = query.pooled === "true";
      const { form = null } = query;
      const found = await reveal.connection({ ...loginOf(c, query), pooled, form }, callerOf(c));
      return c.json({
        connectionUri: found.value.reveal(),
        branch: found.branch,
        pooled,
        ...(query.role === undefined ? {} : { role: found.role }),
        ...(query.database === undefined ? {} : { database: found.database }),
        ...(form === null ? {} : { form }),
      });
    })
    .get("/:source/env", scoped("reveal"), async (c) => {
      const query = checked(variablesQuery, queryOf(c));
      const { preset = null, rule = null } = query;
      refuseTwo(query, "rule", ["preset", "role", "database"]);
      const found = await reveal.variables({ ...loginOf(c, query), preset, rule }, callerOf(c));
      const variables = found.variables.map(({ value, ...rest }) => ({ ...rest, value: value.reveal() }));
      return c.json({ branch: found.branch, variables });
    });
}

function refuseTwo(query: Readonly<Record<string, unknown>>, one: string, others: readonly string[]): void {
  const both = query[one] === undefined ? [] : others.filter((name) => query[name] !== undefined);
  if (both.length > 0)
    throw invalid(both.map((parameter) => ({ parameter, problem: `is said by the ${one} already` })));
}

function loginOf(c: Context<ApiEnv>, query: z.output<typeof loginQuery>) {
  const source = c.req.param("source") ?? "";
  const { branch: name = null, role = null, database = null } = query;
  return { source, branch: name, role, database };
}

/** Who asks. */
export function callerOf(c: Context<ApiEnv>): Caller {
  const { incoming } = (c.env as ApiEnv["Bindings"] | undefined) ?? {};
  const sourceAddress = incoming?.socket.remoteAddress ?? null;
  return { principal: c.get("principal"), requestId: c.get("requestId"), sourceAddress };
}
