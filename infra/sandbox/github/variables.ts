/** Readable variables of repositories, environments and organizations. https://docs.github.com/rest/actions/variables */
import type { Hono } from "hono";
import { GitHubRefusal, missing, notFound, unprocessable } from "./answers.ts";
import {
  demand,
  environmentOf,
  type GitHubContext,
  type GitHubEnv,
  jsonBody,
  organizationOf,
  paged,
  repositoryOf,
  stamp,
} from "./caller.ts";
import { REPOSITORY_BASES } from "./repositories.ts";
import { checkName } from "./secrets.ts";
import { type GitHubState, type Level, type Stored, storeIn } from "./state.ts";

export function variableRoutes(app: Hono<GitHubEnv>, state: GitHubState): void {
  for (const base of REPOSITORY_BASES) {
    routes(
      app,
      state,
      `${base}/actions/variables`,
      "actions_variables",
      (c) => repositoryOf(state, c).actions,
    );
    const inEnvironment = `${base}/environments/:environment/variables`;
    routes(app, state, inEnvironment, "environments", (c) => environmentOf(state, c).actions);
  }
  const permission = "organization_actions_variables";
  routes(app, state, "/orgs/:org/actions/variables", permission, (c) => organizationOf(state, c).actions);
}

function routes(
  app: Hono<GitHubEnv>,
  state: GitHubState,
  path: string,
  permission: string,
  level: (c: GitHubContext) => Level,
): void {
  const open = (c: GitHubContext, how: "read" | "write") => {
    const found = level(c);
    demand(c, permission, how);
    return found;
  };
  app.get(path, (c) => {
    const all = [...open(c, "read").variables.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    // Not 30 and 100 as everywhere else.
    const variables = paged(c, all, { default: 10, max: 30 }).map(shown);
    return c.json({ total_count: all.length, variables });
  });
  app.get(`${path}/:name`, (c) => c.json(shown(variableOf(open(c, "read"), c))));
  app.post(path, async (c) => {
    const { kind, variables } = open(c, "write");
    const body = await jsonBody(c);
    const name = textOf(body, "name");
    const value = variableValue(state, body);
    checkName(name, "variable");
    if (variables.has(name.toUpperCase())) {
      throw new GitHubRefusal(409, "Already exists - Variable already exists");
    }
    if (variables.size >= state.rules.variablesPer[kind]) {
      throw unprocessable(
        `Failed to add variable. Maximum number of variables (${state.rules.variablesPer[kind]}) reached.`,
      );
    }
    storeIn(variables, name, value, state.now());
    return c.json({}, 201);
  });
  app.patch(`${path}/:name`, async (c) => {
    const { variables } = open(c, "write");
    const known = variables.get((c.req.param("name") ?? "").toUpperCase());
    if (known === undefined) throw notFound();
    const body = await jsonBody(c);
    storeIn(variables, known.name, "value" in body ? variableValue(state, body) : known.value, state.now());
    return c.body(null, 204);
  });
  app.delete(`${path}/:name`, (c) => {
    const { variables } = open(c, "write");
    if (!variables.delete((c.req.param("name") ?? "").toUpperCase())) throw notFound();
    return c.body(null, 204);
  });
}

function variableOf(level: Level, c: GitHubContext): Stored {
  const found = level.variables.get((c.req.param("name") ?? "").toUpperCase());
  if (found === undefined) throw notFound();
  return found;
}

function textOf(body: Record<string, unknown>, name: string): string {
  const value = body[name];
  if (value === undefined) throw missing(name);
  if (typeof value !== "string")
    throw unprocessable(`Invalid request.\n\nFor 'properties/${name}', a string is expected.`);
  return value;
}

function variableValue(state: GitHubState, body: Record<string, unknown>): string {
  const value = textOf(body, "value");
  if (Buffer.byteLength(value) > state.rules.valueBytes) {
    throw unprocessable("Failed to add variable. Value is too large (48 KB is the maximum).");
  }
  return value;
}

function shown({ name, value, createdAt, updatedAt }: Stored): Record<string, unknown> {
  return { name, value, created_at: stamp(createdAt), updated_at: stamp(updatedAt) };
}
