/**
 * The stand-in of Neon's API v2: as strict as the real one wherever the OpenAPI document (api-client
 * 2.7.3) says how strict that is, and awkward wherever nothing is promised.
 */
import { randomUUID } from "node:crypto";
import { type Context, Hono } from "hono";
import type { Computes } from "./neon/computes.ts";
import { NeonError, plainError } from "./neon/errors.ts";
import type { RateLimit } from "./neon/limit.ts";
import type { NeonKey, ProjectSeed } from "./neon/model.ts";
import { branchRoutes } from "./neon/routes-branches.ts";
import { contentRoutes } from "./neon/routes-contents.ts";
import { projectRoutes } from "./neon/routes-project.ts";
import { NeonState } from "./neon/state.ts";
import type { NeonEnv } from "./neon/web.ts";
import { startVendor, type Vendor, type VendorOptions } from "./vendor.ts";

export type { Computes } from "./neon/computes.ts";
export { NEON_LIMITS, type RateLimit } from "./neon/limit.ts";
export type { BranchSeed, NeonKey, ProjectSeed, RoleSeed } from "./neon/model.ts";
export { NeonState } from "./neon/state.ts";

/** Reaches the first project and nothing else, as a project-scoped organization key does. */
export const NEON_TOKEN = `napi_${"sandboxprojectkey".padEnd(64, "0")}`;

export const NEON_PROJECT: ProjectSeed = {
  id: "wispy-butterfly-25042691",
  name: "shop",
  roles: [{ name: "shop_owner" }, { name: "shop_app" }],
  databases: [{ name: "shop", owner: "shop_owner" }],
};

export interface NeonOptions extends VendorOptions {
  /** Default: one project "shop" with roles `shop_owner`, `shop_app` and database `shop`. */
  readonly projects?: readonly ProjectSeed[];
  /** Default: NEON_TOKEN, scoped to the first project. */
  readonly keys?: readonly NeonKey[];
  readonly now?: () => number;
  /** How long each operation takes; default 0. While one runs, mutations of its project get 423. */
  readonly operationMs?: number;
  /** Default: none. NEON_LIMITS are the real ones. */
  readonly rateLimit?: RateLimit | null;
  readonly computes?: Computes | null;
  readonly hostSuffix?: string;
}

/** Starts the stand-in; `url` lacks the base path, so clients append `/api/v2`. */
export function startNeon(options: NeonOptions = {}): Promise<Vendor<NeonState>> {
  const projects = options.projects ?? [NEON_PROJECT];
  const scoped = projects[0]?.id ?? "wispy-butterfly-25042691";
  const state = new NeonState({
    ...options,
    projects,
    keys: options.keys ?? [{ token: NEON_TOKEN, kind: "org", projects: [scoped] }],
  });
  state.operations.durationMs = options.operationMs ?? 0;
  state.limiter.set(options.rateLimit ?? null);
  const definition = { name: "neon", state, app: neonApp(state), error: injected, inspect };
  return startVendor<NeonState, NeonEnv>(definition, options);
}

function neonApp(state: NeonState): Hono<NeonEnv> {
  const api = new Hono<NeonEnv>();
  api.use(async (c, next) => {
    const [, token = ""] = /^Bearer (\S+)$/.exec(c.req.header("authorization") ?? "") ?? [];
    const key = state.keys.get(token);
    if (key === undefined) throw plainError(401);
    const route = `${c.req.method} ${c.req.path.replace(/\/(br|ep)-[^/]+/g, "/$1")}`;
    if (!state.limiter.admits(token, route)) throw plainError(429);
    c.set("key", key);
    state.operations.settle();
    await next();
    await state.settled();
  });
  projectRoutes(api, state);
  branchRoutes(api, state);
  contentRoutes(api, state);
  const app = new Hono<NeonEnv>();
  app.route("/api/v2", api);
  app.onError((error, c) => {
    if (error instanceof NeonError) return refusal(c, error);
    throw error;
  });
  return app;
}

const injected = (status: number, c: Context): Response => refusal(c, plainError(status));

function refusal(c: Context, { status, code, message }: NeonError): Response {
  const request_id = c.req.header("x-request-id") ?? randomUUID();
  return c.json({ request_id, code, message }, { status: status as 400 });
}

function inspect(state: NeonState): unknown {
  return [...state.projects.values()].map((project) => ({
    id: project.id,
    branches: [...project.branches.values()].map((branch) => ({
      id: branch.id,
      name: branch.name,
      parent: branch.parentId,
      default: branch.default,
      protected: branch.protected,
      endpoints: state
        .endpointsOf(branch)
        .map(({ id, host, type, disabled }) => ({ id, host, type, disabled })),
      roles: Object.fromEntries([...branch.roles.values()].map((role) => [role.name, role.password])),
      databases: [...branch.databases.keys()],
    })),
  }));
}
