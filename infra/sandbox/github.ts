/**
 * GitHub's REST API, as far as Branchline uses it: secrets and variables at each level, environments,
 * apps and their tokens. Sealed boxes are really opened and JWTs really verified, so what a test reads
 * back is what a workflow would have seen.
 */
import { Hono } from "hono";
import sodium from "libsodium-wrappers";
import { GitHubRefusal, githubError, refuse, requestId } from "./github/answers.ts";
import { appRoutes, isForApps } from "./github/app.ts";
import { authenticate, checkHeaders, type GitHubEnv } from "./github/caller.ts";
import { Limiter } from "./github/limits.ts";
import { repositoryRoutes } from "./github/repositories.ts";
import { secretRoutes } from "./github/secrets.ts";
import { appsOf, type GitHubSeeds } from "./github/seeds.ts";
import { GitHubState, type Level } from "./github/state.ts";
import { variableRoutes } from "./github/variables.ts";
import { startVendor, type Vendor, type VendorOptions } from "./vendor.ts";

export { type Delivery, signDelivery } from "./github/deliveries.ts";
export { GITHUB_DEFAULTS, type GitHubRules, type GitHubSeeds } from "./github/seeds.ts";
export { GitHubState } from "./github/state.ts";

/**
 * Starts the stand-in. Without seeds: organization `acme`, repository `acme/shop` with environments
 * `production` and `preview`, one token, one app whose private key is in `state.apps` (`GITHUB_DEFAULTS`).
 */
export async function startGitHub(options: VendorOptions & GitHubSeeds = {}): Promise<Vendor<GitHubState>> {
  await sodium.ready;
  const state = new GitHubState(options, await appsOf(options.apps));
  const definition = { name: "github", state, app: githubApp(state), error: githubError, inspect };
  return startVendor(definition, options);
}

function githubApp(state: GitHubState): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const limiter = new Limiter(state);
  app.onError((error, c) => {
    if (!(error instanceof GitHubRefusal)) throw error;
    const refused = refuse(c, error);
    refused.headers.set("date", new Date(state.now()).toUTCString());
    return refused;
  });
  app.use(async (c, next) => {
    const refused = checkHeaders(c);
    if (refused !== null) return refused;
    let limits: Record<string, string> = {};
    if (!isForApps(c.req.path)) {
      c.set("token", authenticate(state, c));
      limits = limiter.take(c.get("token"), c.req.method);
    }
    await next();
    for (const [name, value] of Object.entries(limits)) c.res.headers.set(name, value);
    c.res.headers.set("date", new Date(state.now()).toUTCString());
    c.res.headers.set("x-github-request-id", requestId());
    return undefined;
  });
  app.get("/user", (c) => {
    if (c.get("token").kind === "installation") {
      throw new GitHubRefusal(403, "Resource not accessible by integration");
    }
    return c.json({ login: "sandbox", id: 1, type: "User" });
  });
  appRoutes(app, state);
  repositoryRoutes(app, state);
  secretRoutes(app, state);
  variableRoutes(app, state);
  return app;
}

function inspect(state: GitHubState): unknown {
  const level = ({ secrets, variables }: Level) => ({
    secrets: Object.fromEntries(
      [...secrets].map(([name, { value, updatedAt }]) => [name, { value, updatedAt }]),
    ),
    variables: Object.fromEntries([...variables].map(([name, { value }]) => [name, value])),
  });
  return {
    organizations: state.organizations.map(({ login, actions }) => ({ login, ...level(actions) })),
    repositories: state.repositories.map(({ id, owner, name, actions, dependabot, environments }) => ({
      id,
      fullName: `${owner}/${name}`,
      ...level(actions),
      dependabot: level(dependabot),
      environments: Object.fromEntries(
        [...environments.values()].map((each) => [each.name, level(each.actions)]),
      ),
    })),
  };
}
