/** Environment variables of a project. https://vercel.com/docs/rest-api/reference/endpoints/environment */
import type { Hono } from "hono";
import { VercelRefusal } from "./answers.ts";
import { type Limiter, mayWrite, projectOf, type VercelContext, type VercelEnv } from "./caller.ts";
import { type Draft, jsonBody, objectOf, readDraft, readPatch, stringsOf } from "./draft.ts";
import { checkDraft, exactMatch, refuseConflict, refuseExcess, storedType } from "./rules.ts";
import { type EnvRow, inScope, newId, type VercelProject, type VercelState } from "./state.ts";

/** Adds the routes with exactly the path versions that Vercel serves. */
export function projectEnvRoutes(app: Hono<VercelEnv>, state: VercelState, limiter: Limiter): void {
  const base = (version: string) => `/${version}/projects/:idOrName/env`;
  for (const version of ["v8", "v9", "v10"]) {
    app.get(base(version), (c) => {
      limiter.take(c.get("ownerId"), "read");
      return list(state, c, projectOf(state, c));
    });
  }
  // Upsert exists from v10 on; v9 ignores the word.
  for (const version of ["v9", "v10"]) {
    app.post(base(version), async (c) => {
      limiter.take(c.get("ownerId"), "create");
      return create(state, c, projectOf(state, c), version === "v10" && c.req.query("upsert") === "true");
    });
    app.patch(`${base(version)}/:id`, async (c) => {
      limiter.take(c.get("ownerId"), "update");
      return edit(state, c, projectOf(state, c));
    });
    app.delete(`${base(version)}/:id`, (c) => {
      limiter.take(c.get("ownerId"), "delete");
      const project = projectOf(state, c);
      mayWrite(c.get("token"), project);
      const row = rowOf(project, c);
      remove(state, project, row);
      return c.json(shown(row, false));
    });
  }
  for (const version of ["v1", "v10"]) {
    app.get(`${base(version)}/:id`, (c) => {
      limiter.take(c.get("ownerId"), "read");
      return c.json(shown(rowOf(projectOf(state, c), c), true));
    });
  }
  app.delete(base("v1"), async (c) => {
    limiter.take(c.get("ownerId"), "batchDelete");
    return batchDelete(state, c, projectOf(state, c));
  });
}

// ---------------------------------------------------------------- read

function list(state: VercelState, c: VercelContext, project: VercelProject): Response {
  const { gitBranch, customEnvironmentId, customEnvironmentSlug } = c.req.query();
  const custom =
    customEnvironmentId ?? project.customEnvironments.find(({ slug }) => slug === customEnvironmentSlug)?.id;
  const asked = project.rows.filter(
    (row) =>
      (gitBranch === undefined || row.gitBranch === gitBranch) &&
      (customEnvironmentSlug === undefined || custom !== undefined) &&
      (custom === undefined || inScope(row, custom)),
  );
  const visible = asked.filter((row) => maySee(c, row));
  const envs = visible.map((row) => shown(row, false));
  const hidden = asked.length - visible.length;
  const only = envs[0];
  if (hidden > 0) return c.json({ envs, hiddenProductionEnvCount: hidden });
  if (state.rules.listShape === "single" && envs.length === 1 && only !== undefined) return c.json(only);
  if (state.rules.listShape !== "pagination") return c.json({ envs, hiddenProductionEnvCount: 0 });
  return c.json(page(envs, Number(c.req.query("until") ?? "0"), state.rules.pageSize));
}

/** Vercel's cursors are timestamps elsewhere; here they are positions, to the client they are opaque. */
function page(envs: readonly Record<string, unknown>[], from: number, size: number): Record<string, unknown> {
  const part = envs.slice(from, from + size);
  const next = from + size < envs.length ? from + size : null;
  return { envs: part, pagination: { count: part.length, next, prev: from > 0 ? from : null } };
}

/** A row as the API shows it. Sensitive values never appear; the others in clear only where they are decrypted. */
function shown(row: EnvRow, decrypted: boolean): Record<string, unknown> {
  const { value, gitBranch, comment, ...rest } = row;
  const readable = row.type === "plain" || decrypted;
  const opaque = Buffer.from(JSON.stringify({ v: "v2", id: row.id, at: row.updatedAt })).toString("base64");
  return {
    ...rest,
    target: [...row.target],
    ...(row.type === "sensitive" ? (decrypted ? {} : { value: "" }) : { value: readable ? value : opaque }),
    ...(gitBranch === null ? {} : { gitBranch }),
    ...(comment === null ? {} : { comment }),
    visibility: row.type === "sensitive" ? "secret" : "config",
    ...(row.configurationId === null
      ? {}
      : {
          contentHint: { type: "integration-store-secret", integrationConfigurationId: row.configurationId },
        }),
    decrypted: row.type === "plain" || (decrypted && row.type !== "sensitive"),
  };
}

function rowOf(project: VercelProject, c: VercelContext): EnvRow {
  const row = project.rows.find(({ id }) => id === c.req.param("id"));
  if (row === undefined || !maySee(c, row)) {
    throw new VercelRefusal(404, "ENV_NOT_FOUND", "Environment Variable not found.");
  }
  return row;
}

function maySee(c: VercelContext, row: EnvRow): boolean {
  return c.get("token").production === "full" || !row.target.includes("production");
}

// ---------------------------------------------------------------- write

async function create(
  state: VercelState,
  c: VercelContext,
  project: VercelProject,
  upsert: boolean,
): Promise<Response> {
  mayWrite(c.get("token"), project);
  const body = await jsonBody(c);
  // A body that the schema refuses fails as a whole, before the first item is looked at.
  const drafts = Array.isArray(body) ? body.map(readDraft) : [readDraft(body)];
  const created: Record<string, unknown>[] = [];
  const failed: { error: Record<string, unknown> }[] = [];
  for (const draft of drafts) {
    try {
      created.push(shown(put(state, c, project, draft, upsert), false));
    } catch (error) {
      if (!(error instanceof VercelRefusal)) throw error;
      if (!Array.isArray(body)) throw error;
      failed.push({ error: error.error });
    }
  }
  if (created.length === 0 && failed.length > 0) {
    throw new VercelRefusal(400, "BAD_REQUEST", "No environment variables were created", {
      beside: { failed },
    });
  }
  return c.json({ created: Array.isArray(body) ? created : created[0], failed }, 201);
}

function put(
  state: VercelState,
  c: VercelContext,
  project: VercelProject,
  draft: Draft,
  upsert: boolean,
): EnvRow {
  const { userId } = c.get("token");
  checkDraft(state, project, draft, c.get("token"));
  const current = upsert ? exactMatch(project, draft) : undefined;
  refuseConflict(state, project, draft, current);
  const now = state.now();
  const next: EnvRow = {
    ...(current ?? { id: newId(16), createdAt: now, createdBy: userId, configurationId: null }),
    key: draft.key,
    value: draft.value,
    type: storedType(state, project, draft, current),
    target: [...draft.target],
    gitBranch: draft.gitBranch,
    customEnvironmentIds: [...draft.customEnvironmentIds],
    comment: draft.comment ?? current?.comment ?? null,
    updatedAt: now,
    updatedBy: current === undefined ? null : userId,
  };
  return settle(state, project, current, next, draft);
}

async function edit(state: VercelState, c: VercelContext, project: VercelProject): Promise<Response> {
  mayWrite(c.get("token"), project);
  const row = rowOf(project, c);
  const patch = readPatch(await jsonBody(c));
  if (row.type === "sensitive" && patch.key !== undefined) {
    throw new VercelRefusal(
      400,
      "BAD_REQUEST",
      "The key of a Sensitive Environment Variable cannot be edited.",
    );
  }
  if (row.type === "sensitive" && patch.type !== undefined && patch.type !== "sensitive") {
    throw new VercelRefusal(
      400,
      "BAD_REQUEST",
      "You cannot change the type of a Sensitive Environment Variable.",
    );
  }
  const draft: Draft = { ...row, ...patch };
  checkDraft(state, project, draft, c.get("token"));
  refuseConflict(state, project, draft, row);
  const next: EnvRow = {
    ...row,
    ...patch,
    target: [...draft.target],
    customEnvironmentIds: [...draft.customEnvironmentIds],
    type: storedType(state, project, draft, row),
    updatedAt: state.now(),
    updatedBy: c.get("token").userId,
  };
  return c.json(shown(settle(state, project, row, next, draft), false));
}

/** Puts `next` in the place of `current` if the project can still hold it. */
function settle(
  state: VercelState,
  project: VercelProject,
  current: EnvRow | undefined,
  next: EnvRow,
  draft: Draft,
): EnvRow {
  const rows =
    current === undefined
      ? [...project.rows, next]
      : project.rows.map((row) => (row === current ? next : row));
  refuseExcess(state, project, rows, draft);
  project.rows = rows;
  return next;
}

function remove(state: VercelState, project: VercelProject, row: EnvRow): void {
  project.rows = project.rows.filter((each) => each !== row);
  if (state.rules.deleteLagMs > 0) project.ghosts.push({ row, until: state.now() + state.rules.deleteLagMs });
}

async function batchDelete(state: VercelState, c: VercelContext, project: VercelProject): Promise<Response> {
  mayWrite(c.get("token"), project);
  const body = objectOf(await jsonBody(c), ["ids"]);
  const ids = stringsOf("ids", body["ids"], { min: 1, max: 1000 });
  const rows = project.rows.filter((row) => ids.includes(row.id));
  for (const row of rows) remove(state, project, row);
  return c.json({ deleted: rows.length, ids: rows.map(({ id }) => id) });
}
