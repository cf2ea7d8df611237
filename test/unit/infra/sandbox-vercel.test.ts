import { afterEach, describe, expect, test } from "vitest";
import { startVercel, VERCEL_DEFAULTS, VERCEL_RATE_LIMITS } from "../../../infra/sandbox/vercel.ts";

const { teamId, token, projectName, customEnvironmentId } = VERCEL_DEFAULTS;
const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const vendor of opened.splice(0)) await vendor.close();
});

/** A stand-in and a client that says everything right unless told otherwise. */
async function start(options: Parameters<typeof startVercel>[0] = {}) {
  const vercel = await startVercel(options);
  opened.push(vercel);
  const call = async (
    method: string,
    path: string,
    body?: unknown,
    more: { team?: string | null; token?: string | null; type?: string } = {},
  ) => {
    const url = new URL(vercel.url + path);
    if (more.team !== null) url.searchParams.set("teamId", more.team ?? teamId);
    const headers: Record<string, string> = {};
    if (more.token !== null) headers["authorization"] = `Bearer ${more.token ?? token}`;
    if (body !== undefined) headers["content-type"] = more.type ?? "application/json";
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    const response = await fetch(url, init);
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      json: text === "" ? null : JSON.parse(text),
    };
  };
  const project = vercel.state.project(projectName);
  return { vercel, call, project, state: vercel.state };
}

const ENV = `/v10/projects/${projectName}/env`;
const preview = (more: Record<string, unknown> = {}) => ({
  key: "DATABASE_URL",
  value: "postgres://one",
  type: "sensitive",
  target: ["preview"],
  ...more,
});

describe("authentication", () => {
  test("tells a missing token from a wrong one", async () => {
    const { call } = await start();
    const missing = await call("GET", ENV, undefined, { token: null });
    expect([missing.status, missing.json.error.missingToken]).toEqual([401, true]);
    const wrong = await call("GET", ENV, undefined, { token: "nobody" });
    expect([wrong.status, wrong.json.error]).toEqual([
      403,
      { code: "forbidden", message: "Not authorized", invalidToken: true },
    ]);
  });

  test("finds a team's project only with the team in the query", async () => {
    const { call } = await start();
    const without = await call("GET", ENV, undefined, { team: null });
    expect([without.status, without.json.error.code]).toEqual([404, "not_found"]);
    const other = await call("GET", ENV, undefined, { team: "team_other" });
    expect([other.status, other.json.error.message]).toMatchObject([
      403,
      expect.stringContaining("team_other"),
    ]);
    expect((await call("GET", `${ENV}?slug=acme`, undefined, { team: null })).status).toBe(200);
  });

  test("answers what a check asks: user, team, project", async () => {
    const { call } = await start();
    expect((await call("GET", "/v2/user")).json.user.id).toBe(VERCEL_DEFAULTS.userId);
    expect((await call("GET", `/v2/teams/${teamId}`)).json.slug).toBe("acme");
    const project = (await call("GET", `/v9/projects/${projectName}`)).json;
    expect(project).toMatchObject({ id: VERCEL_DEFAULTS.projectId, accountId: teamId });
    expect(project.link).toMatchObject({ org: "acme", repo: "shop", productionBranch: "main" });
  });
});

describe("create", () => {
  test("answers 201 with the row and keeps a sensitive value to itself", async () => {
    const { call, state } = await start();
    const made = await call("POST", ENV, preview());
    expect([made.status, made.json.failed]).toEqual([201, []]);
    expect(made.json.created).toMatchObject({ key: "DATABASE_URL", type: "sensitive", target: ["preview"] });
    expect(JSON.stringify(made.json)).not.toContain("postgres://");
    const one = await call("GET", `/v1/projects/${projectName}/env/${made.json.created.id}`);
    expect("value" in one.json).toBe(false);
    expect(state.values(projectName, { target: "preview" })).toEqual({ DATABASE_URL: "postgres://one" });
  });

  test("shows an encrypted value only one by one", async () => {
    const { call } = await start();
    const { id } = (await call("POST", ENV, preview({ type: "encrypted" }))).json.created;
    expect((await call("GET", `${ENV}?decrypt=true`)).json.envs[0].value).not.toBe("postgres://one");
    expect((await call("GET", `/v1/projects/${projectName}/env/${id}`)).json.value).toBe("postgres://one");
  });

  test("refuses a duplicate with 400 ENV_CONFLICT and says which variable", async () => {
    const { call } = await start();
    await call("POST", ENV, preview());
    const { status, json } = await call("POST", ENV, preview());
    expect([status, json.error.code, json.error.envVarKey]).toEqual([400, "ENV_CONFLICT", "DATABASE_URL"]);
    expect(json.error.message).toContain("on branch undefined");
  });

  test("refuses what its schema does not know, wholly, before the first item", async () => {
    const { call, project } = await start();
    const bodies: unknown[] = [
      { key: "A", type: "plain", target: ["preview"] },
      preview({ type: "secret" }),
      preview({ target: [] }),
      preview({ branch: "feature-x" }),
      preview({ comment: "x".repeat(501) }),
      [preview(), preview({ key: "B", target: ["staging"] })],
    ];
    for (const body of bodies) {
      const { status, json } = await call("POST", ENV, body);
      expect([status, json.error.code]).toEqual([400, "bad_request"]);
    }
    expect((await call("POST", ENV, preview(), { type: "text/plain" })).json.error.message).toBe(
      "Invalid JSON",
    );
    expect(project.rows).toEqual([]);
  });

  test.each([
    ["1ABC", "KEY_INVALID_CHARACTERS"],
    ["A-B", "KEY_INVALID_CHARACTERS"],
    ["TZ", "RESERVED_ENV_VARIABLE"],
    ["", "KEY_INVALID_LENGTH"],
  ])("refuses the name %j", async (key, code) => {
    const { call } = await start();
    const { status, json } = await call("POST", ENV, preview({ key }));
    expect([status, json.error.code]).toEqual([400, code]);
  });

  test("refuses sensitive on development, unless told that Vercel changed its mind", async () => {
    const { call, state } = await start();
    const body = preview({ target: ["development"] });
    expect((await call("POST", ENV, body)).status).toBe(400);
    state.rules.sensitiveOnDevelopment = "allow";
    expect((await call("POST", ENV, body)).status).toBe(201);
  });

  test("wants a git branch that exists, is not production's, and a target of exactly preview", async () => {
    const { call, state } = await start();
    const attempt = async (more: Record<string, unknown>) =>
      (await call("POST", ENV, preview(more))).json.error;
    expect(await attempt({ gitBranch: "nowhere" })).toMatchObject({
      code: "git_branch_not_found",
      message: 'Branch "nowhere" not found in the connected Git repository',
    });
    expect((await attempt({ gitBranch: "main" })).message).toContain("Production Branch");
    expect((await attempt({ gitBranch: "" })).code).toBe("git_branch_not_found");
    expect(await attempt({ gitBranch: "feature-x", target: ["preview", "production"] })).toBeDefined();
    state.addBranch(projectName, "nowhere");
    expect(await attempt({ gitBranch: "nowhere" })).toBeUndefined();
  });

  test("answers 201 with failed[] when some items fail, 400 with failed[] when all do", async () => {
    const { call } = await start();
    const some = await call("POST", ENV, [preview(), preview({ key: "TZ" })]);
    expect([some.status, some.json.created.length, some.json.failed[0].error.code]).toEqual([
      201,
      1,
      "RESERVED_ENV_VARIABLE",
    ]);
    const all = await call("POST", ENV, [preview(), preview({ key: "TZ" })]);
    expect([all.status, all.json.error]).toEqual([
      400,
      { code: "BAD_REQUEST", message: "No environment variables were created" },
    ]);
    expect(all.json.failed.map((item: { error: { code: string } }) => item.error.code)).toEqual([
      "ENV_CONFLICT",
      "RESERVED_ENV_VARIABLE",
    ]);
  });

  test("turns readable types sensitive where the team's policy enforces it", async () => {
    const { call, state } = await start();
    for (const team of state.teams) team.enforceSensitive = true;
    expect((await call("POST", ENV, preview({ type: "plain" }))).json.created.type).toBe("sensitive");
    const development = preview({ type: "plain", target: ["development"] });
    expect((await call("POST", ENV, development)).json.created.type).toBe("plain");
  });

  test("counts variables per environment and bytes per deployment", async () => {
    const { call } = await start({ rules: { variablesPerEnvironment: 2, deploymentBytes: 100 } });
    await call("POST", ENV, [preview({ key: "A" }), preview({ key: "B" })]);
    expect((await call("POST", ENV, preview({ key: "C" }))).json.error.code).toBe("MAX_ENVS_EXCEEDED");
    const long = preview({ key: "C", value: "x".repeat(100), target: ["production"] });
    expect((await call("POST", ENV, long)).status).toBe(400);
  });
});

describe("upsert", () => {
  test("updates a row whose target set is exactly the same, and keeps its id", async () => {
    const { call, state } = await start();
    const before = (await call("POST", ENV, preview())).json.created;
    state.advance(1000);
    const after = (await call("POST", `${ENV}?upsert=true`, preview({ value: "two" }))).json.created;
    expect([after.id, after.createdAt]).toEqual([before.id, before.createdAt]);
    expect(after.updatedAt).toBeGreaterThan(before.updatedAt);
    expect(state.values(projectName, { target: "preview" })).toEqual({ DATABASE_URL: "two" });
  });

  test("refuses a partial overlap of targets", async () => {
    const { call } = await start();
    await call("POST", ENV, preview({ target: ["production", "preview"] }));
    const { status, json } = await call("POST", `${ENV}?upsert=true`, preview());
    expect([status, json.error.code, json.error.target]).toEqual([400, "ENV_CONFLICT", ["preview"]]);
  });

  test("keeps a branch's row and the branch-less row apart", async () => {
    const { call, state } = await start();
    await call("POST", `${ENV}?upsert=true`, preview());
    await call("POST", `${ENV}?upsert=true`, preview({ gitBranch: "feature-x", value: "of x" }));
    await call("POST", `${ENV}?upsert=true`, preview({ gitBranch: "feature-y", value: "of y" }));
    const at = (gitBranch?: string) =>
      state.values(projectName, { target: "preview", ...(gitBranch === undefined ? {} : { gitBranch }) });
    expect([at(), at("feature-x"), at("feature-y")].map((env) => env["DATABASE_URL"])).toEqual([
      "postgres://one",
      "of x",
      "of y",
    ]);
    const listed = await call("GET", `${ENV}?gitBranch=feature-x`);
    expect(listed.json.envs).toMatchObject([{ gitBranch: "feature-x" }]);
  });

  test("tells custom environments apart", async () => {
    const { call } = await start();
    const staging = { ...preview(), target: [], customEnvironmentIds: [customEnvironmentId] };
    expect((await call("POST", ENV, staging)).status).toBe(201);
    expect((await call("POST", ENV, preview())).status).toBe(201);
    const listed = await call("GET", `${ENV}?customEnvironmentSlug=staging`);
    expect(listed.json.envs).toMatchObject([{ customEnvironmentIds: [customEnvironmentId] }]);
  });

  test("does not exist on v9", async () => {
    const { call } = await start();
    await call("POST", ENV, preview());
    const { json } = await call("POST", `/v9/projects/${projectName}/env?upsert=true`, preview());
    expect(json.error.code).toBe("ENV_CONFLICT");
  });
});

describe("list", () => {
  test("says how many production rows it hides, and lets them be upserted unseen", async () => {
    const { call, state } = await start();
    state.addToken({ token: "narrow", production: "hidden" });
    state.seed(projectName, { key: "A", value: "old", type: "sensitive" });
    const { json } = await call("GET", ENV, undefined, { token: "narrow" });
    expect(json).toEqual({ envs: [], hiddenProductionEnvCount: 1 });
    const row = preview({ key: "A", value: "new", target: ["production"] });
    expect((await call("POST", `${ENV}?upsert=true`, row, { token: "narrow" })).status).toBe(201);
    expect(state.values(projectName)).toEqual({ A: "new" });
  });

  test("can answer each shape of Vercel's union", async () => {
    const { call, state } = await start({ rules: { listShape: "single", pageSize: 2 } });
    for (const key of ["A"]) state.seed(projectName, { key, value: key });
    expect((await call("GET", ENV)).json.key).toBe("A");
    for (const key of ["B", "C"]) state.seed(projectName, { key, value: key });
    state.rules.listShape = "pagination";
    const first = (await call("GET", ENV)).json;
    const second = (await call("GET", `${ENV}?until=${first.pagination.next}`)).json;
    expect([first.envs.length, second.envs.length, second.pagination.next]).toEqual([2, 1, null]);
  });

  test("names the integration that owns a row", async () => {
    const { call, state } = await start();
    state.seed(projectName, { key: "PGHOST", value: "h", configurationId: "icfg_neon" });
    expect((await call("GET", ENV)).json.envs[0].configurationId).toBe("icfg_neon");
  });
});

describe("edit and delete", () => {
  test("edits the value of a sensitive row but never its key or type", async () => {
    const { call, state } = await start();
    const { id } = (await call("POST", ENV, preview())).json.created;
    const path = `/v9/projects/${projectName}/env/${id}`;
    expect((await call("PATCH", path, { value: "two" })).status).toBe(200);
    expect((await call("PATCH", path, { key: "DATABASE_URL", value: "three" })).status).toBe(400);
    expect((await call("PATCH", path, { type: "plain" })).status).toBe(400);
    expect(state.values(projectName, { target: "preview" })).toEqual({ DATABASE_URL: "two" });
  });

  test("turns a readable row sensitive, or silently does not where told so", async () => {
    const { call, state } = await start();
    const { id } = (await call("POST", ENV, preview({ type: "encrypted" }))).json.created;
    const path = `/v9/projects/${projectName}/env/${id}`;
    state.rules.typeChange = "keep";
    expect((await call("PATCH", path, { type: "sensitive" })).json.type).toBe("encrypted");
    state.rules.typeChange = "allow";
    expect((await call("PATCH", path, { type: "sensitive" })).json.type).toBe("sensitive");
  });

  test("deletes one row, and a batch of 1 to 1000 ids of which unknown ones are passed over", async () => {
    const { call, project } = await start();
    const ids: string[] = [];
    for (const key of ["A", "B"]) ids.push((await call("POST", ENV, preview({ key }))).json.created.id);
    const path = `/v9/projects/${projectName}/env/${ids[0]}`;
    expect((await call("DELETE", path)).json.key).toBe("A");
    expect((await call("DELETE", path)).status).toBe(404);
    const batch = `/v1/projects/${projectName}/env`;
    expect((await call("DELETE", batch, { ids: [] })).status).toBe(400);
    expect((await call("DELETE", batch, { ids: [ids[1], "gone"] })).json).toEqual({
      deleted: 1,
      ids: [ids[1]],
    });
    expect(project.rows).toEqual([]);
    expect((await call("DELETE", ENV, { ids })).status).toBe(404);
  });

  test("lets a deleted row stand in the way for a while where told so", async () => {
    const { call, state } = await start({ rules: { deleteLagMs: 5000 } });
    const { id } = (await call("POST", ENV, preview())).json.created;
    await call("DELETE", `/v9/projects/${projectName}/env/${id}`);
    expect((await call("POST", ENV, preview())).json.error.code).toBe("ENV_CONFLICT");
    state.advance(5000);
    expect((await call("POST", ENV, preview())).status).toBe(201);
  });

  test("refuses writes while the project is being transferred", async () => {
    const { call, project } = await start();
    project.transferring = true;
    expect((await call("POST", ENV, preview())).status).toBe(409);
  });
});

describe("rate limits", () => {
  test("answer 429 with Vercel's body once the window is full, for the whole team", async () => {
    const { call, state } = await start({ rules: { rateLimits: { ...VERCEL_RATE_LIMITS, create: 1 } } });
    state.addToken({ token: "other" });
    await call("POST", ENV, preview());
    const { status, headers, json } = await call("POST", ENV, preview({ key: "B" }), { token: "other" });
    expect([status, json.error.code, json.error.limit.total]).toEqual([429, "rate_limited", 1]);
    expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
    state.advance(60_000);
    expect((await call("POST", ENV, preview({ key: "B" }))).status).toBe(201);
  });
});

describe("shared variables", () => {
  test("live with the team, conflict with 409 and are decrypted one by one", async () => {
    const { call } = await start();
    const body = { evs: [{ key: "A", value: "v" }], type: "encrypted", target: ["preview"] };
    const made = await call("POST", "/v1/env", body);
    expect([made.status, made.json.failed]).toEqual([201, []]);
    const again = await call("POST", "/v1/env", body);
    expect([again.status, again.json.error.code]).toEqual([409, "existing_key_and_target"]);
    const id: string = made.json.created[0].id;
    const patch = { updates: { [id]: { value: "w", projectIdUpdates: { link: ["prj_1"] } } } };
    expect((await call("PATCH", "/v1/env", patch)).json.updated[0].projectId).toEqual(["prj_1"]);
    expect((await call("GET", `/v1/env/${id}`)).json.value).toBe("w");
    expect((await call("GET", "/v1/env")).json.data[0].value).toBe("");
    expect((await call("DELETE", "/v1/env", { ids: [id] })).json).toEqual({ deleted: [id], failed: [] });
  });
});

describe("injected faults", () => {
  test("speak Vercel's error bodies", async () => {
    const { call, vercel } = await start();
    vercel.addFault({ kind: "status", status: 429, retryAfter: "7", times: 1 });
    const { headers, json } = await call("GET", ENV);
    expect([headers.get("retry-after"), json.error.code]).toEqual(["7", "rate_limited"]);
    expect((await call("GET", "/v3/projects")).json.error.code).toBe("not_found");
  });
});
