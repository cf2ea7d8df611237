/**
 * Vercel, as far as Branchline uses it: environment variables of projects and teams, and what `check` asks.
 * Strict on purpose: a wrong path version, header, body, team or target set gets Vercel's own refusal.
 * What Vercel's documentation leaves open is a switch in `VercelRules`.
 */
import { Hono } from "hono";
import { startVendor, type Vendor, type VendorOptions } from "./vendor.ts";
import { refuse, VercelRefusal, vercelError } from "./vercel/answers.ts";
import { authenticate, Limiter, ownerOf, projectOf, type VercelEnv } from "./vercel/caller.ts";
import { projectEnvRoutes } from "./vercel/project-env.ts";
import { sharedEnvRoutes } from "./vercel/shared-env.ts";
import { type VercelSeeds, VercelState } from "./vercel/state.ts";

export {
  VERCEL_DEFAULTS,
  VERCEL_RATE_LIMITS,
  type VercelProjectSeed,
  type VercelRules,
  type VercelSeeds,
  VercelState,
} from "./vercel/state.ts";

/** Starts the stand-in. Without seeds: team `acme`, project `shop-web`, one token (`VERCEL_DEFAULTS`). */
export function startVercel(options: VendorOptions & VercelSeeds = {}): Promise<Vendor<VercelState>> {
  const state = new VercelState(options);
  const definition = { name: "vercel", state, app: vercelApp(state), error: vercelError, inspect };
  return startVendor(definition, options);
}

function vercelApp(state: VercelState): Hono<VercelEnv> {
  const app = new Hono<VercelEnv>();
  app.onError((error, c) => {
    if (error instanceof VercelRefusal) return refuse(c, error);
    throw error;
  });
  app.use(async (c, next) => {
    c.set("token", authenticate(state, c));
    c.set("ownerId", ownerOf(state, c.get("token"), c));
    await next();
    c.header("date", new Date(state.now()).toUTCString());
    c.header("x-vercel-id", `fra1::sandbox-${crypto.randomUUID()}`);
  });
  app.get("/v2/user", (c) => {
    const { userId } = c.get("token");
    return c.json({
      user: { id: userId, username: "sandbox", email: "sandbox@example.com", limited: false },
    });
  });
  app.get("/v2/teams/:teamId", (c) => c.json(team(state, c.get("token").teams, c.req.param("teamId"))));
  app.get("/v9/projects/:idOrName", (c) => c.json(project(projectOf(state, c))));
  app.get("/v6/deployments", (c) => c.json(deployments(state, c.req.query())));
  projectEnvRoutes(app, state, new Limiter(state));
  sharedEnvRoutes(app, state);
  return app;
}

function team(state: VercelState, mine: readonly string[], id: string): Record<string, unknown> {
  const found = state.teams.find((each) => each.id === id || each.slug === id);
  if (found === undefined)
    throw new VercelRefusal(404, "not_found", "The specified Team could not be found.");
  if (!mine.includes(found.id)) throw new VercelRefusal(403, "forbidden", "Not authorized");
  return {
    id: found.id,
    slug: found.slug,
    name: found.name,
    sensitiveEnvironmentVariablePolicy: found.enforceSensitive ? "on" : "default",
  };
}

function project(found: ReturnType<VercelState["project"]>): Record<string, unknown> {
  const { id, name, ownerId, link, customEnvironments, deploys } = found;
  const { branches: _, ...shownLink } = link ?? { branches: null };
  return {
    id,
    name,
    accountId: ownerId,
    customEnvironments,
    gitProviderOptions: { createDeployments: deploys ? "enabled" : "disabled" },
    ...(link === null ? {} : { link: { type: "github", repoId: 1, ...shownLink } }),
  };
}

/** One for each git branch that was pushed. */
function deployments(
  state: VercelState,
  { projectId = "", branch }: Readonly<Record<string, string>>,
): Record<string, unknown> {
  const found = state.projects.find(({ id, name }) => id === projectId || name === projectId);
  const known = found?.deploys === true ? [...(found.link?.branches ?? [])] : [];
  const pushed = known.filter((one) => branch === undefined || one === branch);
  return {
    deployments: pushed.map((githubCommitRef, i) => ({ uid: `dpl_${i}`, meta: { githubCommitRef } })),
    pagination: { count: pushed.length, next: null, prev: null },
  };
}

function inspect(state: VercelState): unknown {
  const projects = state.projects.map(({ link, ghosts: _, ...rest }) => ({
    ...rest,
    link: link === null ? null : { ...link, branches: [...link.branches] },
  }));
  return { teams: state.teams, projects, shared: state.shared };
}
