/** Projects, computes, operations, and who is asking. */
import type { Hono } from "hono";
import { z } from "zod";
import { NeonError } from "./errors.ts";
import type { NeonEndpoint, NeonProject } from "./model.ts";
import type { NeonOperation, Step } from "./operations.ts";
import {
  endpointJson,
  endpointsJson,
  microsecond,
  operationNow,
  operationsBegun,
  projectJson,
  projectListJson,
} from "./render.ts";
import type { NeonState } from "./state.ts";
import {
  badQuery,
  bodyOf,
  branchOf,
  endpointIfThere,
  endpointOf,
  intQuery,
  type NeonContext,
  type NeonEnv,
  projectOf,
  refuseWhileBusy,
} from "./web.ts";

const CreateEndpoint = z.object({
  endpoint: z.looseObject({
    branch_id: z.string().regex(/^[a-z0-9-]{1,60}$/),
    type: z.enum(["read_write", "read_only"]),
  }),
});
const PatchEndpoint = z.object({ endpoint: z.looseObject({ disabled: z.boolean().optional() }) });

export function projectRoutes(app: Hono<NeonEnv>, state: NeonState): void {
  app.get("/auth", (c) => {
    const user = c.get("key").kind === "user";
    const account_id = user ? "629982cc-de05-43db-ae16-28f2399c4910" : state.project.orgId;
    return c.json({ account_id, auth_method: user ? "api_key_user" : "api_key_org" });
  });
  app.get("/projects", (c) => c.json(listProjects(state, c)));
  app.get("/projects/:project_id", (c) => c.json({ project: projectJson(projectOf(state, c)) }));
  app.get("/projects/:project_id/operations", (c) => c.json(listOperations(state, c)));
  app.get("/projects/:project_id/operations/:operation_id", (c) => {
    const row = state.operations.get(projectOf(state, c).id, c.req.param("operation_id"));
    if (row === undefined) throw new NeonError(404, "operation not found");
    return c.json({ operation: operationNow(state, row) });
  });
  endpointRoutes(app, state);
}

function endpointRoutes(app: Hono<NeonEnv>, state: NeonState): void {
  const endpoints = "/projects/:project_id/endpoints";
  const one = `${endpoints}/:endpoint_id`;
  const answer = (endpoint: NeonEndpoint, operations: readonly NeonOperation[]) => ({
    endpoint: endpointJson(endpoint),
    operations: operationsBegun(operations),
  });

  app.get(endpoints, (c) =>
    c.json({ endpoints: endpointsJson([...projectOf(state, c).endpoints.values()]) }),
  );
  app.get("/projects/:project_id/branches/:branch_id/endpoints", (c) => {
    return c.json({ endpoints: endpointsJson(state.endpointsOf(branchOf(state, c))) });
  });
  app.post(endpoints, async (c) => {
    const project = projectOf(state, c);
    const { endpoint: wanted } = await bodyOf(c, CreateEndpoint);
    const branch = project.branches.get(wanted.branch_id);
    if (branch === undefined) throw new NeonError(404, "branch not found");
    refuseWhileBusy(state, project);
    const { endpoint, operations } = state.startEndpoint(branch, wanted.type);
    return c.json(answer(endpoint, operations), 201);
  });
  app.get(one, (c) => c.json({ endpoint: endpointJson(endpointOf(state, c)) }));
  app.patch(one, async (c) => {
    const endpoint = endpointOf(state, c);
    const { endpoint: wanted } = await bodyOf(c, PatchEndpoint);
    refuseWhileBusy(state, projectOf(state, c));
    if (wanted.disabled !== undefined) state.setDisabled(endpoint, wanted.disabled);
    return c.json(answer(endpoint, steps(state, endpoint, ["apply_config", "suspend_compute"])));
  });
  app.delete(one, (c) => {
    const endpoint = endpointIfThere(state, c);
    if (endpoint === undefined) return c.body(null, 204);
    refuseWhileBusy(state, projectOf(state, c));
    return c.json(answer(endpoint, state.deleteEndpoint(endpoint)));
  });
  const verbs = {
    start: ["start_compute"],
    suspend: ["suspend_compute"],
    restart: ["suspend_compute", "start_compute"],
  } as const;
  for (const [verb, actions] of Object.entries(verbs)) {
    app.post(`${one}/${verb}`, (c) => {
      const endpoint = endpointOf(state, c);
      refuseWhileBusy(state, projectOf(state, c));
      if (endpoint.disabled) throw new NeonError(422, "endpoint is disabled");
      return c.json(answer(endpoint, steps(state, endpoint, actions)));
    });
  }
}

const STATE_AFTER: Readonly<Record<string, NeonEndpoint["state"]>> = {
  start_compute: "active",
  suspend_compute: "idle",
};

function steps(state: NeonState, endpoint: NeonEndpoint, actions: readonly string[]): NeonOperation[] {
  const rows = actions.map((action): Step => {
    const after = () => {
      endpoint.state = STATE_AFTER[action] ?? endpoint.state;
    };
    return { action, endpointId: endpoint.id, after };
  });
  return state.operations.record(endpoint.projectId, endpoint.branchId, rows);
}

/** Ten by default; a personal key must say which organization, an organization's key implies it. */
function listProjects(state: NeonState, c: NeonContext): object {
  const key = c.get("key");
  const org = c.req.query("org_id");
  if (key.kind === "user" && org === undefined) {
    throw new NeonError(400, "org_id is required, you can find it on your organization settings page");
  }
  const limit = intQuery(c, "limit", 400, 10);
  const visible = (project: NeonProject): boolean =>
    (key.projects === null || key.projects.includes(project.id)) &&
    (org === undefined || org === project.orgId);
  const search = c.req.query("search") ?? "";
  const found = [...state.projects.values()]
    .filter((project) => visible(project) && `${project.name} ${project.id}`.includes(search))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const cursor = c.req.query("cursor") ?? "";
  const page = found.filter((project) => project.id > cursor).slice(0, limit);
  const last = page.at(-1);
  return {
    projects: page.map(projectListJson),
    applications: {},
    integrations: Object.fromEntries(
      page.flatMap(({ id, integrations }) => (integrations.size === 0 ? [] : [[id, [...integrations]]])),
    ),
    ...(last === undefined ? {} : { pagination: { cursor: last.id } }),
  };
}

/** Newest first. A cursor comes back even on the last page; only an empty page is the end. */
function listOperations(state: NeonState, c: NeonContext): object {
  const project = projectOf(state, c);
  const limit = intQuery(c, "limit", 1000, 100);
  const cursor = c.req.query("cursor");
  const before = cursor === undefined ? Number.POSITIVE_INFINITY : microsFrom(cursor);
  const rows = state.operations.page(project.id, before, limit);
  const last = rows.at(-1);
  const next = last === undefined ? cursor : microsecond(last.createdMicros);
  return {
    operations: rows.map((row) => operationNow(state, row)),
    ...(next === undefined ? {} : { pagination: { cursor: next } }),
  };
}

function microsFrom(cursor: string): number {
  const [, seconds, digits] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z$/.exec(cursor) ?? [];
  if (seconds === undefined || digits === undefined) throw badQuery("cursor");
  return Date.parse(`${seconds}Z`) * 1000 + Number(digits);
}
