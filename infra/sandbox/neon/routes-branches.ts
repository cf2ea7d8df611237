/** Branches: list, count, create, get, patch, delete, restore, finalize, default. */
import type { Hono } from "hono";
import { z } from "zod";
import { connectionUri } from "./contents.ts";
import { NeonError } from "./errors.ts";
import type { NeonBranch, NeonEndpoint, NeonProject } from "./model.ts";
import {
  annotationJson,
  branchJson,
  databaseJson,
  endpointsJson,
  operationsBegun,
  roleJson,
} from "./render.ts";
import type { NeonState } from "./state.ts";
import {
  badQuery,
  bodyOf,
  booleanQuery,
  branchIfThere,
  branchOf,
  choiceQuery,
  intQuery,
  type NeonContext,
  type NeonEnv,
  projectOf,
  refuseWhileBusy,
} from "./web.ts";

const Name = z.string().min(1).max(256);
/** RFC 3339, to the second, with a time zone. */
const ExpiresAt = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$/);
const Id = z.string().regex(/^[a-z0-9-]{1,60}$/);

const Create = z.object({
  branch: z
    .object({
      parent_id: Id.or(z.literal("")),
      name: Name,
      parent_lsn: z.string(),
      parent_timestamp: z.string(),
      protected: z.boolean(),
      archived: z.boolean(),
      init_source: z.enum(["schema-only", "parent-data"]),
      expires_at: ExpiresAt,
    })
    .partial()
    .optional(),
  endpoints: z.array(z.looseObject({ type: z.enum(["read_write", "read_only"]) })).optional(),
  annotation_value: z.record(z.string(), z.string()).optional(),
});
const Patch = z.object({
  branch: z.object({
    name: Name.optional(),
    protected: z.boolean().optional(),
    expires_at: ExpiresAt.nullable().optional(),
  }),
});
const Restore = z.object({
  source_branch_id: Id,
  source_lsn: z.string().optional(),
  source_timestamp: z.string().optional(),
  preserve_under_name: z.string().optional(),
});
const Finalize = z.object({ name: Name.optional() });

export function branchRoutes(app: Hono<NeonEnv>, state: NeonState): void {
  const branches = "/projects/:project_id/branches";
  const one = `${branches}/:branch_id`;

  app.get(branches, (c) => c.json(listBranches(state, c)));
  app.get(`${branches}/count`, (c) => {
    return c.json({ count: matching(projectOf(state, c), c.req.query("search")).length });
  });
  app.post(branches, async (c) => {
    const project = projectOf(state, c);
    const body = await bodyOf(c, Create, true);
    refuseWhileBusy(state, project);
    return c.json(createBranch(state, project, body), 201);
  });
  app.get(one, (c) => {
    const branch = branchOf(state, c);
    return c.json({ branch: branchJson(branch), annotation: annotationJson(branch) });
  });
  app.patch(one, async (c) => {
    const branch = branchOf(state, c);
    const { branch: wanted } = await bodyOf(c, Patch);
    refuseWhileBusy(state, state.projectOf(branch));
    patchBranch(state, branch, wanted);
    return c.json({ branch: branchJson(branch), operations: [] });
  });
  app.delete(one, (c) => {
    booleanQuery(c, "hard_delete");
    const found = branchIfThere(state, c);
    if (found === undefined) return c.body(null, 204);
    refuseWhileBusy(state, state.projectOf(found));
    const { branch, operations } = state.deleteBranch(found.id);
    return c.json({ branch: branchJson(branch), operations: operationsBegun(operations) });
  });
  app.post(`${one}/restore`, async (c) => {
    const found = branchOf(state, c);
    const body = await bodyOf(c, Restore);
    refuseWhileBusy(state, state.projectOf(found));
    const { branch, operations } = state.restore(found, {
      sourceBranchId: body.source_branch_id,
      pointInTime: body.source_lsn !== undefined || body.source_timestamp !== undefined,
      preserveUnderName: body.preserve_under_name || undefined,
    });
    return c.json({ branch: branchJson(branch), operations: operationsBegun(operations) });
  });
  app.post(`${one}/finalize_restore`, async (c) => {
    const branch = branchOf(state, c);
    const { name } = await bodyOf(c, Finalize, true);
    refuseWhileBusy(state, state.projectOf(branch));
    return c.json({ operations: operationsBegun(state.finalizeRestore(branch, name)) });
  });
  app.post(`${one}/set_as_default`, (c) => {
    const branch = branchOf(state, c);
    refuseWhileBusy(state, state.projectOf(branch));
    state.setAsDefault(branch);
    return c.json({ branch: branchJson(branch), operations: [] });
  });
}

// ---------------------------------------------------------------- list

const SORTS = ["updated_at", "name", "created_at"] as const;
const Cursor = z.object({
  sort_by: z.enum(SORTS),
  sort_order: z.enum(["asc", "desc"]),
  key: z.string(),
  id: z.string(),
});

function matching(project: NeonProject, search = ""): NeonBranch[] {
  const text = search.toLowerCase();
  return [...project.branches.values()].filter(
    ({ name, id }) => name.toLowerCase().includes(text) || id.includes(text),
  );
}

/** Pages by key, not by number: branches that come and go in between move nothing. */
function listBranches(state: NeonState, c: NeonContext): object {
  const project = projectOf(state, c);
  const limit = intQuery(c, "limit", 10_000, state.pageSize);
  booleanQuery(c, "include_deleted");
  const sort_by = choiceQuery(c, "sort_by", SORTS, "updated_at");
  const sort_order = choiceQuery(c, "sort_order", ["asc", "desc"], "desc");
  const direction = sort_order === "asc" ? 1 : -1;
  const keyOf = (branch: NeonBranch): string => {
    if (sort_by === "name") return branch.name;
    return String(sort_by === "created_at" ? branch.createdAt : branch.updatedAt).padStart(16, "0");
  };
  const compare = (a: { key: string; id: string }, b: { key: string; id: string }): number =>
    direction * (order(a.key, b.key) || order(a.id, b.id));
  const rows = matching(project, c.req.query("search"))
    .map((branch) => ({ branch, key: keyOf(branch), id: branch.id }))
    .sort(compare);
  const cursor = readCursor(c.req.query("cursor"));
  if (cursor !== null && (cursor.sort_by !== sort_by || cursor.sort_order !== sort_order))
    throw badQuery("cursor");
  const left = cursor === null ? rows : rows.filter((row) => compare(row, cursor) > 0);
  const page = left.slice(0, limit);
  const last = page.at(-1);
  const next =
    last === undefined || left.length <= limit
      ? {}
      : {
          next: Buffer.from(JSON.stringify({ sort_by, sort_order, key: last.key, id: last.id })).toString(
            "base64",
          ),
        };
  const annotated = page.filter(({ branch }) => branch.annotation !== null);
  return {
    branches: page.map(({ branch }) => branchJson(branch)),
    annotations: Object.fromEntries(annotated.map(({ branch }) => [branch.id, annotationJson(branch)])),
    pagination: { ...next, sort_by, sort_order },
  };
}

const order = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

function readCursor(text: string | undefined): z.infer<typeof Cursor> | null {
  if (text === undefined || text === "") return null;
  try {
    return Cursor.parse(JSON.parse(Buffer.from(text, "base64").toString("utf8")));
  } catch {
    throw badQuery("cursor");
  }
}

// ---------------------------------------------------------------- create and patch

function createBranch(state: NeonState, project: NeonProject, body: z.infer<typeof Create>): object {
  const { branch: wanted = {}, endpoints: computes = [], annotation_value } = body;
  const parent = state.parentIn(project, wanted.parent_id || undefined);
  const expiresAt = wanted.expires_at === undefined ? null : checkedExpiry(state, wanted.expires_at);
  if (computes.filter(({ type }) => type === "read_write").length > 1) {
    throw new NeonError(422, "read_write endpoint already exists");
  }
  const seed = {
    name: wanted.name ?? `${parent.name}-${project.branches.size}-${state.now().toString(36)}`,
    protected: wanted.protected ?? false,
    ...(expiresAt === null ? {} : { expiresAt }),
    endpoints: computes.map(({ type }) => type),
    ...(annotation_value === undefined ? {} : { annotation: annotation_value }),
  };
  const made = state.startBranch(project, parent, seed, wanted.init_source);
  const { branch } = made;
  return {
    branch: branchJson(branch),
    endpoints: endpointsJson(made.endpoints),
    operations: operationsBegun(made.operations),
    roles: [...branch.roles.values()].map((role) => roleJson(branch, role)),
    databases: [...branch.databases.values()].map((database) => databaseJson(branch, database)),
    ...connectionUris(branch, made.endpoints),
  };
}

/** Only with a compute, and absent when there is more than one role or database to choose from. */
function connectionUris(branch: NeonBranch, endpoints: readonly NeonEndpoint[]): object {
  const [role, ...otherRoles] = branch.roles.values();
  const [database, ...otherDatabases] = branch.databases.values();
  const endpoint = endpoints.find(({ type }) => type === "read_write");
  if (!role || !database || !endpoint || otherRoles.length + otherDatabases.length > 0) return {};
  const connection_parameters = {
    database: database.name,
    password: role.password,
    role: role.name,
    host: endpoint.host,
    pooler_host: endpoint.host.replace(endpoint.id, `${endpoint.id}-pooler`),
  };
  const connection_uri = connectionUri(endpoint, role, database.name, false);
  return { connection_uris: [{ connection_uri, connection_parameters }] };
}

function patchBranch(state: NeonState, branch: NeonBranch, wanted: z.infer<typeof Patch>["branch"]): void {
  const expiresAt = wanted.expires_at ? checkedExpiry(state, wanted.expires_at) : null;
  if (expiresAt !== null && (branch.default || (wanted.protected ?? branch.protected))) {
    throw new NeonError(422, "cannot set an expiration on a default or protected branch");
  }
  if (wanted.name !== undefined) {
    state.refuseTakenName(state.projectOf(branch), wanted.name, branch);
    branch.name = wanted.name;
  }
  if (wanted.protected !== undefined) branch.protected = wanted.protected;
  if (wanted.expires_at !== undefined) {
    branch.expiresAt = expiresAt?.getTime() ?? null;
    branch.ttlSeconds = expiresAt === null ? null : Math.round((expiresAt.getTime() - state.now()) / 1000);
  }
  branch.updatedAt = state.now();
}

function checkedExpiry(state: NeonState, text: string): Date {
  const at = new Date(text);
  const ahead = at.getTime() - state.now();
  if (!(ahead > 0 && ahead <= 30 * 86_400_000)) {
    throw new NeonError(422, "expires_at must be in the future and at most 30 days ahead");
  }
  return at;
}
