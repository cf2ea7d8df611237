/** Variables of a team, shared by its projects. https://vercel.com/docs/environment-variables/shared-environment-variables */
import type { Hono } from "hono";
import { invalid, VercelRefusal } from "./answers.ts";
import type { VercelContext, VercelEnv } from "./caller.ts";
import { jsonBody, objectOf, stringsOf, targetsOf } from "./draft.ts";
import { checkKey } from "./rules.ts";
import { newId, type SharedRow, type VercelState } from "./state.ts";

export function sharedEnvRoutes(app: Hono<VercelEnv>, state: VercelState): void {
  app.get("/v1/env", (c) => {
    const { search, projectId, ids } = c.req.query();
    const data = owned(state, c).filter(
      (row) =>
        (search === undefined || row.key.includes(search)) &&
        (projectId === undefined || row.projectId.includes(projectId)) &&
        (ids === undefined || ids.split(",").includes(row.id)),
    );
    return c.json({
      data: data.map((row) => shown(row, false)),
      pagination: { count: data.length, next: null, prev: null },
    });
  });
  app.get("/v1/env/:id", (c) => c.json(shown(one(state, c, c.req.param("id")), true)));
  app.post("/v1/env", (c) => create(state, c));
  app.patch("/v1/env", (c) => edit(state, c));
  app.delete("/v1/env", async (c) => {
    const body = objectOf(await jsonBody(c), ["ids"]);
    const ids = stringsOf("ids", body["ids"], { min: 1, max: 50 });
    const deleted = owned(state, c).filter((row) => ids.includes(row.id));
    for (const row of deleted) state.shared.splice(state.shared.indexOf(row), 1);
    return c.json({ deleted: deleted.map(({ id }) => id), failed: [] });
  });
  app.patch("/v1/env/:id/unlink/:projectId", (c) => {
    const row = one(state, c, c.req.param("id"));
    row.projectId = row.projectId.filter((id) => id !== c.req.param("projectId"));
    return c.json({ id: row.id });
  });
}

function owned(state: VercelState, c: VercelContext): SharedRow[] {
  return state.shared.filter((row) => row.ownerId === c.get("ownerId"));
}

function one(state: VercelState, c: VercelContext, id: string): SharedRow {
  const row = owned(state, c).find((each) => each.id === id);
  if (row === undefined) throw new VercelRefusal(404, "not_found", "Shared Environment Variable not found.");
  return row;
}

async function create(state: VercelState, c: VercelContext): Promise<Response> {
  const fields = ["evs", "type", "target", "projectId", "applyToAllCustomEnvironments"];
  const body = objectOf(await jsonBody(c), fields);
  const { evs } = body;
  if (!Array.isArray(evs) || evs.length === 0) throw invalid("`evs` should be array.");
  const type = typeOf(body["type"]);
  const target = targetsOf(body["target"]);
  const projectId = stringsOf("projectId", body["projectId"] ?? [], { min: 0, max: 1000 });
  const created: Record<string, unknown>[] = [];
  const failed: { error: Record<string, unknown> }[] = [];
  for (const ev of evs) {
    const { key, value, comment = null } = objectOf(ev, ["key", "value", "comment"]);
    if (typeof key !== "string" || typeof value !== "string")
      throw invalid("missing required property `key`.");
    checkKey(key);
    const rival = owned(state, c).find(
      (row) => row.key === key && row.target.some((each) => target.includes(each)),
    );
    if (rival !== undefined) {
      failed.push({ error: conflict(key, target).error });
      continue;
    }
    const now = state.now();
    const row: SharedRow = {
      id: `env_${newId(24)}`,
      ownerId: c.get("ownerId"),
      key,
      value,
      type,
      target,
      projectId,
      applyToAllCustomEnvironments: body["applyToAllCustomEnvironments"] === true,
      comment: comment === null ? null : String(comment),
      createdAt: now,
      updatedAt: now,
      createdBy: c.get("token").userId,
    };
    state.shared.push(row);
    created.push(shown(row, false));
  }
  if (created.length === 0) throw conflict(String((evs[0] as { key?: unknown }).key), target);
  return c.json({ created, failed }, 201);
}

async function edit(state: VercelState, c: VercelContext): Promise<Response> {
  const { updates } = objectOf(await jsonBody(c), ["updates"]);
  const updated: Record<string, unknown>[] = [];
  const fields = [
    "value",
    "type",
    "target",
    "projectId",
    "projectIdUpdates",
    "comment",
    "applyToAllCustomEnvironments",
  ];
  for (const [id, change] of Object.entries((updates ?? {}) as Record<string, unknown>)) {
    const row = one(state, c, id);
    const patch = objectOf(change, fields);
    const { link = [], unlink = [] } = objectOf(patch["projectIdUpdates"] ?? {}, ["link", "unlink"]);
    if (typeof patch["value"] === "string") row.value = patch["value"];
    if (patch["type"] !== undefined) row.type = typeOf(patch["type"]);
    if (patch["target"] !== undefined) row.target = targetsOf(patch["target"]);
    if (patch["projectId"] !== undefined)
      row.projectId = stringsOf("projectId", patch["projectId"], { min: 0, max: 1000 });
    if (typeof patch["comment"] === "string") row.comment = patch["comment"];
    const gone = stringsOf("unlink", unlink, { min: 0, max: 1000 });
    row.projectId = [
      ...new Set([...row.projectId, ...stringsOf("link", link, { min: 0, max: 1000 })]),
    ].filter((each) => !gone.includes(each));
    row.updatedAt = state.now();
    updated.push(shown(row, false));
  }
  return c.json({ updated, failed: [] });
}

function shown(row: SharedRow, decrypted: boolean): Record<string, unknown> {
  const { value, ...rest } = row;
  const readable = decrypted && row.type !== "sensitive";
  return {
    ...rest,
    created: new Date(row.createdAt).toISOString(),
    ...(readable ? { value } : row.type === "sensitive" ? {} : { value: "" }),
    decrypted: readable,
  };
}

function conflict(key: string, target: readonly string[]): VercelRefusal {
  return new VercelRefusal(
    409,
    "existing_key_and_target",
    `A shared environment variable with the key ${key} already exists for the target ${target.join(", ")}`,
    { extra: { key, target } },
  );
}

function typeOf(input: unknown): "encrypted" | "sensitive" {
  if (input === "encrypted" || input === "sensitive") return input;
  throw invalid('`type` should be equal to one of the allowed values "encrypted, sensitive".');
}
