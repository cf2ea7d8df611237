/** Repositories and their environments. https://docs.github.com/rest/deployments/environments */
import type { Hono } from "hono";
import { unprocessable } from "./answers.ts";
import {
  demand,
  environmentOf,
  type GitHubContext,
  type GitHubEnv,
  jsonBody,
  maySee,
  organizationOf,
  paged,
  repositoryOf,
  stamp,
} from "./caller.ts";
import type { Environment, GitHubState, Repository } from "./state.ts";

/** Every repository route exists twice: redirects after a rename lead to the second form. */
export const REPOSITORY_BASES = ["/repos/:owner/:repo", "/repositories/:repositoryId"];

export function repositoryRoutes(app: Hono<GitHubEnv>, state: GitHubState): void {
  app.get("/orgs/:org", (c) => {
    const { id, login } = organizationOf(state, c);
    return c.json({ id, login, type: "Organization" });
  });
  app.get("/installation/repositories", (c) => {
    const mine = state.repositories.filter(({ id }) => maySee(c.get("token"), id));
    const repositories = paged(c, mine, { default: 30, max: 100 }).map(shownRepository);
    return c.json({ total_count: mine.length, repositories });
  });
  for (const base of REPOSITORY_BASES) {
    app.get(base, (c) => c.json(shownRepository(repositoryOf(state, c))));
    app.get(`${base}/environments`, (c) => {
      const all = [...repositoryOf(state, c).environments.values()];
      demand(c, "actions", "read");
      const environments = paged(c, all, { default: 30, max: 100 }).map(shownEnvironment);
      return c.json({ total_count: all.length, environments });
    });
    app.get(`${base}/environments/:environment`, (c) => {
      const found = environmentOf(state, c);
      demand(c, "actions", "read");
      return c.json(shownEnvironment(found));
    });
    app.put(`${base}/environments/:environment`, (c) => putEnvironment(state, c));
    app.delete(`${base}/environments/:environment`, (c) => {
      const { name } = environmentOf(state, c);
      demand(c, "administration", "write");
      repositoryOf(state, c).environments.delete(name.toLowerCase());
      return c.body(null, 204);
    });
  }
}

export function shownRepository(repository: Repository): Record<string, unknown> {
  const { id, owner, name, defaultBranch } = repository;
  return {
    id,
    name,
    full_name: `${owner}/${name}`,
    owner: { login: owner },
    private: repository.private,
    visibility: repository.private ? "private" : "public",
    default_branch: defaultBranch,
    archived: false,
  };
}

async function putEnvironment(state: GitHubState, c: GitHubContext): Promise<Response> {
  const repository = repositoryOf(state, c);
  demand(c, "administration", "write");
  const body = await jsonBody(c);
  const protectionAsked = ["wait_timer", "prevent_self_review", "reviewers"].some((name) => name in body);
  const enterprise = state.findOrganization(repository.owner)?.enterprise ?? false;
  if (protectionAsked && repository.private && !enterprise) {
    throw unprocessable(
      "Failed to create the environment protection rule. Please ensure the billing plan supports the required reviewers protection rule.",
    );
  }
  const name = c.req.param("environment") ?? "";
  const found = repository.environments.get(name.toLowerCase()) ?? state.addEnvironment(repository, name);
  // Whether an empty body resets the rules is not documented; the careful client never learns.
  found.protection = body;
  found.updatedAt = state.now();
  return c.json(shownEnvironment(found));
}

function shownEnvironment(environment: Environment): Record<string, unknown> {
  const { id, name, createdAt, updatedAt, protection } = environment;
  return {
    id,
    name,
    created_at: stamp(createdAt),
    updated_at: stamp(updatedAt),
    protection_rules: Object.keys(protection).map((type, index) => ({ id: index + 1, type })),
    deployment_branch_policy: protection["deployment_branch_policy"] ?? null,
  };
}
