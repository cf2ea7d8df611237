/** What is in a branch: roles, their passwords, databases; and the connection string made of them. */
import type { Hono } from "hono";
import { z } from "zod";
import { connectionUri } from "./contents.ts";
import { NeonError } from "./errors.ts";
import type { NeonBranch, NeonEndpoint, NeonProject, NeonRole } from "./model.ts";
import { databaseJson, operationsBegun, roleJson } from "./render.ts";
import type { NeonState } from "./state.ts";
import {
  bodyOf,
  booleanQuery,
  branchOf,
  type NeonContext,
  type NeonEnv,
  projectOf,
  refuseWhileBusy,
  requiredQuery,
} from "./web.ts";

const CreateRole = z.object({
  role: z.object({
    name: z.string().refine((name) => name.length > 0 && Buffer.byteLength(name) <= 63),
    no_login: z.boolean().optional(),
  }),
});
const CreateDatabase = z.object({
  database: z.object({ name: z.string().min(1), owner_name: z.string().min(1) }),
});

const RESERVED = /^(pg_.*|neon_superuser|cloud_admin|zenith_admin|public|none)$/;

export function contentRoutes(app: Hono<NeonEnv>, state: NeonState): void {
  roleRoutes(app, state);
  passwordRoutes(app, state);
  databaseRoutes(app, state);
  app.get("/projects/:project_id/connection_uri", (c) => c.json({ uri: uriFor(state, c) }));
}

function roleRoutes(app: Hono<NeonEnv>, state: NeonState): void {
  const roles = "/projects/:project_id/branches/:branch_id/roles";

  app.get(roles, (c) => {
    const branch = branchOf(state, c);
    return c.json({ roles: [...branch.roles.values()].map((role) => roleJson(branch, role)) });
  });
  app.post(roles, async (c) => {
    const branch = branchOf(state, c);
    const { role: wanted } = await bodyOf(c, CreateRole);
    if (RESERVED.test(wanted.name)) throw new NeonError(422, "role name is reserved");
    refuseWhileBusy(state, state.projectOf(branch));
    const { role, operations } = state.createRole(branch, {
      name: wanted.name,
      noLogin: wanted.no_login ?? false,
    });
    return c.json({ role: roleJson(branch, role, true), operations: operationsBegun(operations) }, 201);
  });
  app.get(`${roles}/:role_name`, (c) => {
    const branch = branchOf(state, c);
    return c.json({ role: roleJson(branch, roleOf(state, c, branch)) });
  });
  app.delete(`${roles}/:role_name`, (c) => {
    const branch = branchOf(state, c);
    const role = branch.roles.get(c.req.param("role_name"));
    if (role === undefined) return c.body(null, 204);
    refuseWhileBusy(state, state.projectOf(branch));
    const operations = state.deleteRole(branch, role);
    return c.json({ role: roleJson(branch, role), operations: operationsBegun(operations) });
  });
}

function passwordRoutes(app: Hono<NeonEnv>, state: NeonState): void {
  const role = "/projects/:project_id/branches/:branch_id/roles/:role_name";

  app.get(`${role}/reveal_password`, (c) => {
    const branch = branchOf(state, c);
    return c.json({ password: revealed(state.projectOf(branch), roleOf(state, c, branch)) });
  });
  app.post(`${role}/reset_password`, (c) => {
    const branch = branchOf(state, c);
    const { name } = roleOf(state, c, branch);
    refuseWhileBusy(state, state.projectOf(branch));
    const reset = state.resetPassword(branch.id, name);
    return c.json({
      role: roleJson(branch, reset.role, true),
      operations: operationsBegun(reset.operations),
    });
  });
}

function databaseRoutes(app: Hono<NeonEnv>, state: NeonState): void {
  const databases = "/projects/:project_id/branches/:branch_id/databases";

  app.get(databases, (c) => {
    const branch = branchOf(state, c);
    return c.json({
      databases: [...branch.databases.values()].map((database) => databaseJson(branch, database)),
    });
  });
  app.post(databases, async (c) => {
    const branch = branchOf(state, c);
    const { database: wanted } = await bodyOf(c, CreateDatabase);
    refuseWhileBusy(state, state.projectOf(branch));
    const operations = state.createDatabase(branch, wanted.name, wanted.owner_name);
    const database = state.database(branch, wanted.name);
    return c.json({ database: databaseJson(branch, database), operations: operationsBegun(operations) }, 201);
  });
  app.get(`${databases}/:database_name`, (c) => {
    const branch = branchOf(state, c);
    return c.json({ database: databaseJson(branch, state.database(branch, c.req.param("database_name"))) });
  });
  app.delete(`${databases}/:database_name`, (c) => {
    const branch = branchOf(state, c);
    const database = branch.databases.get(c.req.param("database_name"));
    if (database === undefined) return c.body(null, 204);
    refuseWhileBusy(state, state.projectOf(branch));
    const operations = state.deleteDatabase(branch, database.name);
    return c.json({ database: databaseJson(branch, database), operations: operationsBegun(operations) });
  });
}

function roleOf(state: NeonState, c: NeonContext, branch: NeonBranch): NeonRole {
  return state.role(branch, c.req.param("role_name") ?? "");
}

/** 412 where the project keeps no passwords; NOLOGIN roles never had one. */
function revealed(project: NeonProject, role: NeonRole): string {
  if (!project.storePasswords) throw new NeonError(412, "storing passwords is not enabled for the project");
  if (role.password === null) throw new NeonError(422, "role cannot log in and has no password");
  return role.password;
}

function uriFor(state: NeonState, c: NeonContext): string {
  const project = projectOf(state, c);
  const database = requiredQuery(c, "database_name");
  const roleName = requiredQuery(c, "role_name");
  const pooled = booleanQuery(c, "pooled");
  const branch = branchFor(project, c.req.query("branch_id"));
  const endpoint = endpointFor(state, branch, c.req.query("endpoint_id"));
  const role = state.role(branch, roleName);
  state.database(branch, database);
  revealed(project, role);
  return connectionUri(endpoint, role, database, pooled);
}

/** The default branch where none is named: the classic way to production by accident. */
function branchFor(project: NeonProject, id: string | undefined): NeonBranch {
  const branch =
    id === undefined
      ? [...project.branches.values()].find((candidate) => candidate.default)
      : project.branches.get(id);
  if (branch === undefined) throw new NeonError(404, "branch not found");
  return branch;
}

function endpointFor(state: NeonState, branch: NeonBranch, id: string | undefined): NeonEndpoint {
  if (id === undefined) return state.endpointOf(branch.id);
  const endpoint = state.endpointsOf(branch).find((candidate) => candidate.id === id);
  if (endpoint === undefined) throw new NeonError(404, "endpoint not found");
  return endpoint;
}
