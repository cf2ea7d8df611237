import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NEON_TOKEN, type NeonOptions, type NeonState, startNeon } from "../../../infra/sandbox/neon.ts";
import type { Vendor } from "../../../infra/sandbox/vendor.ts";

const PROJECT = "/projects/wispy-butterfly-25042691";

let neon: Vendor<NeonState>;
let clock: number;

beforeEach(async () => {
  clock = Date.parse("2026-11-20T12:00:00Z");
  await restart();
});

afterEach(() => neon.close());

async function restart(options: NeonOptions = {}): Promise<void> {
  await neon?.close();
  neon = await startNeon({ now: () => clock, ...options });
}

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: the tests below read answers of many shapes
  readonly body: any;
}

async function call(method: string, path: string, body?: unknown, headers: object = {}): Promise<Answer> {
  const response = await fetch(`${neon.url}/api/v2${path}`, {
    method,
    headers: {
      authorization: `Bearer ${NEON_TOKEN}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? null : JSON.parse(text) };
}

const get = (path: string) => call("GET", path);
const post = (path: string, body?: unknown) => call("POST", path, body);
const on = (branch: string) => `${PROJECT}/branches/${neon.state.branch(branch).id}`;

describe("authentication", () => {
  it("refuses without key, with a wrong key and with another scheme", async () => {
    for (const authorization of ["", "Bearer napi_wrong", `Basic ${NEON_TOKEN}`, NEON_TOKEN]) {
      const { status, body } = await call("GET", PROJECT, undefined, {
        authorization,
        "x-request-id": "r-1",
      });
      expect(status).toBe(401);
      expect(body).toEqual({
        request_id: "r-1",
        code: "",
        message: "supplied credentials do not pass authentication",
      });
    }
  });

  it("keeps a project-scoped key within its project", async () => {
    neon.state.createProject({ id: "other-project-1", name: "other" });
    expect((await get("/projects/other-project-1")).status).toBe(404);
    expect((await get("/projects")).body.projects).toHaveLength(1);
    expect((await get("/auth")).body).toMatchObject({ auth_method: "api_key_org" });
  });

  it("asks a personal key which organization it means", async () => {
    neon.state.keys.set("napi_me", { token: "napi_me", kind: "user", projects: null });
    const me = { authorization: "Bearer napi_me" };
    expect((await call("GET", "/projects", undefined, me)).status).toBe(400);
    const org = neon.state.project.orgId;
    expect((await call("GET", `/projects?org_id=${org}`, undefined, me)).body.projects).toHaveLength(1);
    expect((await call("GET", "/auth", undefined, me)).body.auth_method).toBe("api_key_user");
  });

  it("knows no other base path and no other route", async () => {
    expect((await fetch(`${neon.url}/projects`)).status).toBe(404);
    expect((await get(`${PROJECT}/nonsense`)).body.message).toContain("route");
    expect((await call("PUT", PROJECT)).status).toBe(404);
  });
});

describe("listing branches", () => {
  it("pages with pagination.next until it is absent", async () => {
    for (const name of ["a", "b", "c", "d"]) neon.state.createBranch({ name });
    const seen: string[] = [];
    let cursor = "";
    for (let page = 0; page < 9; page += 1) {
      const { body } = await get(`${PROJECT}/branches?limit=2&sort_by=name&sort_order=asc&cursor=${cursor}`);
      seen.push(...body.branches.map((branch: { name: string }) => branch.name));
      if (page === 0) neon.state.createBranch({ name: "aa" });
      if (body.pagination.next === undefined) break;
      cursor = encodeURIComponent(body.pagination.next);
    }
    expect(seen).toEqual(["a", "b", "c", "d", "main"]);
  });

  it("has pages also where no limit was named", async () => {
    neon.state.pageSize = 2;
    for (const name of ["a", "b"]) neon.state.createBranch({ name });
    const { body } = await get(`${PROJECT}/branches`);
    expect(body.branches).toHaveLength(2);
    expect(body.pagination).toMatchObject({ sort_by: "updated_at", sort_order: "desc" });
    expect(body.pagination.next).toEqual(expect.any(String));
  });

  it("refuses a limit, an order or a cursor that it did not give", async () => {
    for (const query of ["limit=0", "limit=10001", "limit=x", "sort_by=id", "sort_order=up", "cursor=zzz"]) {
      expect((await get(`${PROJECT}/branches?${query}`)).status, query).toBe(400);
    }
  });

  it("searches by part of name or id, so a name found is not yet the name wanted", async () => {
    neon.state.createBranch({ name: "preview/x" });
    neon.state.createBranch({ name: "preview/x-2", annotation: { "github-pr-number": "7" } });
    const { body } = await get(`${PROJECT}/branches?search=preview/x`);
    expect(body.branches).toHaveLength(2);
    const annotated = neon.state.branch("preview/x-2").id;
    expect(Object.keys(body.annotations)).toEqual([annotated]);
    expect(body.annotations[annotated].value).toEqual({ "github-pr-number": "7" });
    expect((await get(`${PROJECT}/branches/count?search=preview/x`)).body).toEqual({ count: 2 });
    expect((await get(`${PROJECT}/branches?search=${annotated}`)).body.branches).toHaveLength(1);
  });
});

describe("creating a branch", () => {
  it("without a body makes a branch without compute", async () => {
    const { status, body } = await post(`${PROJECT}/branches`);
    expect(status).toBe(201);
    expect(body.endpoints).toEqual([]);
    expect(body.branch.parent_id).toBe(neon.state.branch("main").id);
    expect(body.branch.id).toMatch(/^br-[a-z]+-[a-z]+-a[0-9a-f]{7}$/);
    const query = `branch_id=${body.branch.id}&role_name=shop_app&database_name=shop`;
    expect((await get(`${PROJECT}/connection_uri?${query}`)).status).toBe(404);
  });

  it("with an endpoint makes a host, operations, and no connection_uris where roles are many", async () => {
    const { body } = await post(`${PROJECT}/branches`, {
      branch: { name: "dev" },
      endpoints: [{ type: "read_write" }],
    });
    expect(body.endpoints[0].host).toBe(`${body.endpoints[0].id}.c-2.eu-central-1.aws.neon.tech`);
    expect(
      body.operations.map((row: { action: string; status: string }) => [row.action, row.status]),
    ).toEqual([
      ["create_branch", "running"],
      ["start_compute", "scheduling"],
    ]);
    expect(body.connection_uris).toBeUndefined();
    expect(JSON.stringify(body)).not.toContain("npg_");
  });

  it("gives a direct connection_uri where there is one role and one database", async () => {
    neon.state.createProject({ id: "single-1", name: "single" });
    neon.state.keys.set("napi_all", { token: "napi_all", kind: "org", projects: null });
    const headers = { authorization: "Bearer napi_all" };
    const wanted = { branch: { name: "dev" }, endpoints: [{ type: "read_write" }] };
    const { body } = await call("POST", "/projects/single-1/branches", wanted, headers);
    const [uri] = body.connection_uris;
    expect(uri.connection_uri).toContain(`@${body.endpoints[0].host}/neondb?sslmode=require`);
    expect(uri.connection_parameters.pooler_host).toContain("-pooler.c-2.");
  });

  it("refuses a taken name, an unknown parent, a bad body and a bad content type", async () => {
    const branches = `${PROJECT}/branches`;
    expect((await post(branches, { branch: { name: "main" } })).status).toBe(409);
    expect((await post(branches, { branch: { parent_id: "br-none-1" } })).status).toBe(404);
    expect((await post(branches, { branch: { name: "" } })).status).toBe(400);
    expect((await post(branches, "{")).status).toBe(400);
    expect((await call("POST", branches, "{}", { "content-type": "text/plain" })).status).toBe(400);
    const late = { branch: { name: "x", expires_at: "2027-01-20T12:00:00Z" } };
    expect((await post(branches, late)).status).toBe(422);
    const fraction = { branch: { name: "x", expires_at: "2026-11-21T12:00:00.000Z" } };
    expect((await post(branches, fraction)).status).toBe(400);
  });

  it("copies the parent's passwords, except from a protected parent", async () => {
    neon.state.createBranch({ name: "child" });
    expect(neon.state.passwordOf("child", "shop_app")).toBe(neon.state.passwordOf("main", "shop_app"));
    await call("PATCH", on("main"), { branch: { protected: true } });
    await post(`${PROJECT}/branches`, { branch: { name: "guarded" } });
    expect(neon.state.passwordOf("guarded", "shop_app")).toMatch(/^npg_[A-Za-z0-9]{12}$/);
    expect(neon.state.passwordOf("guarded", "shop_app")).not.toBe(neon.state.passwordOf("main", "shop_app"));
  });
});

describe("changing and deleting a branch", () => {
  it("renames and protects without an operation, and clears an expiry with null", async () => {
    neon.state.createBranch({ name: "dev" });
    const { length } = (await get(`${PROJECT}/operations`)).body.operations;
    const set = { branch: { name: "dev-2", expires_at: "2026-11-21T12:00:00Z" } };
    const { body } = await call("PATCH", on("dev"), set);
    expect(body).toMatchObject({
      branch: { name: "dev-2", expires_at: "2026-11-21T12:00:00Z", ttl_interval_seconds: 86_400 },
      operations: [],
    });
    const cleared = await call("PATCH", on("dev-2"), { branch: { expires_at: null } });
    expect(cleared.body.branch.expires_at).toBeUndefined();
    expect((await get(`${PROJECT}/operations`)).body.operations).toHaveLength(length);
    expect((await call("PATCH", on("dev-2"), { branch: { name: "main" } })).status).toBe(409);
    const forDefault = { branch: { expires_at: "2026-11-21T12:00:00Z" } };
    expect((await call("PATCH", on("main"), forDefault)).status).toBe(422);
  });

  it("deletes with 200 and operations, and answers 204 when it is gone", async () => {
    const path = `${PROJECT}/branches/${neon.state.createBranch({ name: "dev" }).id}`;
    const first = await call("DELETE", path);
    expect(first.status).toBe(200);
    expect(first.body.operations.map((row: { action: string }) => row.action)).toEqual([
      "suspend_compute",
      "delete_timeline",
    ]);
    expect((await call("DELETE", path)).status).toBe(204);
    expect((await get(path)).status).toBe(404);
    expect((await get(`${PROJECT}/endpoints`)).body.endpoints).toHaveLength(1);
  });

  it("refuses to delete default, root, protected, and a parent with children", async () => {
    neon.state.createBranch({ name: "parent" });
    neon.state.createBranch({ name: "child", parent: "parent" });
    neon.state.createBranch({ name: "guarded", protected: true });
    for (const name of ["main", "parent", "guarded"]) {
      expect((await call("DELETE", on(name))).status, name).toBe(422);
    }
    neon.state.deleteBranch("child");
    await post(`${on("parent")}/set_as_default`);
    const { body } = await get(on("main"));
    expect(body.branch).toMatchObject({ default: false, primary: true });
    expect((await call("DELETE", on("main"))).status).toBe(422);
  });

  it("expires without leaving an operation", async () => {
    neon.state.createBranch({ name: "brief" });
    const before = (await get(`${PROJECT}/operations`)).body.operations;
    const path = on("brief");
    neon.state.expire("brief");
    expect((await get(path)).status).toBe(404);
    expect((await get(`${PROJECT}/operations`)).body.operations).toEqual(before);
  });
});

describe("restore", () => {
  it("makes a new branch that takes name and compute over; the old id lives on", async () => {
    const { id } = neon.state.createBranch({ name: "dev" });
    const endpoint = neon.state.endpointOf("dev").id;
    const { body } = await post(`${on("dev")}/restore`, {
      source_branch_id: neon.state.branch("main").id,
      preserve_under_name: "dev_old",
    });
    expect(body.branch.id).not.toBe(id);
    expect(body.branch.name).toBe("dev");
    expect(neon.state.endpointOf("dev").id).toBe(endpoint);
    expect((await get(`${PROJECT}/branches/${id}`)).body.branch.name).toBe("dev_old");
  });

  it("keeps the id where told to, and passes children to what is preserved", async () => {
    neon.state.restoreKeepsId = true;
    const { id } = neon.state.createBranch({ name: "dev" });
    neon.state.createBranch({ name: "child", parent: "dev" });
    const source = { source_branch_id: neon.state.branch("main").id };
    expect((await post(`${on("dev")}/restore`, source)).status).toBe(422);
    const { body } = await post(`${on("dev")}/restore`, { ...source, preserve_under_name: "dev_old" });
    expect(body.branch.id).toBe(id);
    expect(neon.state.branch("child").parentId).toBe(neon.state.branch("dev_old").id);
  });

  it("needs a point in time and a name to keep when the source is the branch itself", async () => {
    const source = { source_branch_id: neon.state.branch("main").id };
    expect((await post(`${on("main")}/restore`, {})).status).toBe(400);
    expect((await post(`${on("main")}/restore`, source)).status).toBe(422);
    const timed = { ...source, source_timestamp: "2026-11-20T11:00:00Z" };
    expect((await post(`${on("main")}/restore`, timed)).status).toBe(422);
    const kept = { ...timed, preserve_under_name: "main_old" };
    const { body } = await post(`${on("main")}/restore`, kept);
    expect(body.branch).toMatchObject({ name: "main", default: true });
    expect(neon.state.branch("main_old").default).toBe(false);
    await call("PATCH", on("main"), { branch: { protected: true } });
    expect((await post(`${on("main")}/restore`, { ...kept, preserve_under_name: "again" })).status).toBe(422);
  });

  it("swaps names and moves computes when a snapshot is finalised", async () => {
    const old = neon.state.branch("main").id;
    const endpoint = neon.state.endpointOf("main").id;
    const snapshot = neon.state.restoreSnapshot("main");
    expect((await post(`${on("main")}/finalize_restore`)).status).toBe(422);
    const { status } = await post(`${PROJECT}/branches/${snapshot.id}/finalize_restore`, {
      name: "main_was",
    });
    expect(status).toBe(200);
    expect(neon.state.branch("main").id).toBe(snapshot.id);
    expect(neon.state.endpointOf("main").id).toBe(endpoint);
    expect(neon.state.branch("main_was").id).toBe(old);
  });
});

describe("endpoints", () => {
  it("lists read-only ones first, and allows one read-write and many read-only", async () => {
    const branch_id = neon.state.branch("main").id;
    const make = (type: string) => post(`${PROJECT}/endpoints`, { endpoint: { branch_id, type } });
    expect((await make("read_only")).status).toBe(201);
    expect((await make("read_only")).status).toBe(201);
    expect((await make("read_write")).status).toBe(422);
    const { body } = await get(`${on("main")}/endpoints`);
    expect(body.endpoints.map((endpoint: { type: string }) => endpoint.type)).toEqual([
      "read_only",
      "read_only",
      "read_write",
    ]);
  });

  it("disables, refuses to start what is disabled, deletes, and says 204 when gone", async () => {
    const { id } = neon.state.endpointOf("main");
    const path = `${PROJECT}/endpoints/${id}`;
    const { body } = await call("PATCH", path, { endpoint: { disabled: true } });
    expect(body.endpoint.disabled).toBe(true);
    expect((await post(`${path}/start`)).status).toBe(422);
    await call("PATCH", path, { endpoint: { disabled: false } });
    expect((await post(`${path}/start`)).status).toBe(200);
    expect((await get(path)).body.endpoint.current_state).toBe("active");
    expect((await call("DELETE", path)).status).toBe(200);
    expect((await call("DELETE", path)).status).toBe(204);
    expect((await get(path)).status).toBe(404);
  });
});

describe("roles and passwords", () => {
  it("never lists a password, and shows how each role authenticates", async () => {
    const made = await post(`${on("main")}/roles`, { role: { name: "group", no_login: true } });
    expect(made.status).toBe(201);
    const { body } = await get(`${on("main")}/roles`);
    expect(body.roles.map((role: { authentication_method: string }) => role.authentication_method)).toEqual([
      "password",
      "password",
      "no_login",
    ]);
    expect(JSON.stringify(body)).not.toContain('password":');
  });

  it("reveals, 404s for an unknown role, and refuses for NOLOGIN", async () => {
    const { body } = await get(`${on("main")}/roles/shop_app/reveal_password`);
    expect(body).toEqual({ password: neon.state.passwordOf("main", "shop_app") });
    expect((await get(`${on("main")}/roles/nobody/reveal_password`)).status).toBe(404);
    neon.state.createRole(neon.state.branch("main"), { name: "group", noLogin: true });
    expect((await get(`${on("main")}/roles/group/reveal_password`)).status).toBe(422);
    expect((await post(`${on("main")}/roles/shop_app/reveal_password`)).status).toBe(404);
  });

  it("answers 412 where the project stores no passwords", async () => {
    neon.state.project.storePasswords = false;
    const { status, body } = await get(`${on("main")}/roles/shop_app/reveal_password`);
    expect(status).toBe(412);
    expect(body.message).toBe("storing passwords is not enabled for the project");
    const query = "role_name=shop_app&database_name=shop";
    expect((await get(`${PROJECT}/connection_uri?${query}`)).status).toBe(412);
  });

  it("keeps the old password valid until the reset's operations have finished", async () => {
    neon.state.operations.durationMs = 500;
    const old = neon.state.passwordOf("main", "shop_app") ?? "";
    const { updated_at } = (await get(`${on("main")}/roles/shop_app`)).body.role;
    const { body } = await post(`${on("main")}/roles/shop_app/reset_password`);
    expect(body.role.password).toMatch(/^npg_[A-Za-z0-9]{12}$/);
    expect(body.role.updated_at).toBe(updated_at);
    expect(neon.state.accepts("main", "shop_app", old)).toBe(true);
    expect(neon.state.accepts("main", "shop_app", body.role.password)).toBe(false);
    clock += 1000;
    expect(neon.state.accepts("main", "shop_app", old)).toBe(false);
    expect(neon.state.accepts("main", "shop_app", body.role.password)).toBe(true);
  });

  it("follows a password set by SQL and leaves no operation", async () => {
    const before = (await get(`${PROJECT}/operations`)).body.operations;
    neon.state.changePasswordBySql("main", "shop_app", "p@ss/word%41");
    const { body } = await get(`${on("main")}/roles/shop_app/reveal_password`);
    expect(body.password).toBe("p@ss/word%41");
    expect((await get(`${PROJECT}/operations`)).body.operations).toEqual(before);
    expect(neon.state.connectionStrings("main", "shop_app", "shop").direct).toContain(":p%40ss%2Fword%2541@");
  });

  it("refuses reserved, long and taken names, and owners that are not there", async () => {
    const make = async (name: string) => (await post(`${on("main")}/roles`, { role: { name } })).status;
    expect(await make("pg_signal")).toBe(422);
    expect(await make("é".repeat(32))).toBe(400);
    expect(await make("shop_app")).toBe(409);
    const database = (name: string, owner_name: string) =>
      post(`${on("main")}/databases`, { database: { name, owner_name } });
    expect((await database("shop", "shop_app")).status).toBe(409);
    expect((await database("other", "nobody")).status).toBe(404);
    expect((await database("other", "shop_app")).status).toBe(201);
    expect((await call("DELETE", `${on("main")}/roles/shop_app`)).status).toBe(422);
    expect((await call("DELETE", `${on("main")}/databases/other`)).status).toBe(200);
    expect((await call("DELETE", `${on("main")}/roles/shop_app`)).status).toBe(200);
    expect((await call("DELETE", `${on("main")}/roles/shop_app`)).status).toBe(204);
  });
});

describe("connection_uri", () => {
  it("needs role and database, and means the default branch where none is named", async () => {
    expect((await get(`${PROJECT}/connection_uri`)).status).toBe(400);
    expect((await get(`${PROJECT}/connection_uri?role_name=shop_app`)).status).toBe(400);
    const query = "role_name=shop_app&database_name=shop";
    const { pooled, direct } = neon.state.connectionStrings("main", "shop_app", "shop");
    expect((await get(`${PROJECT}/connection_uri?${query}`)).body).toEqual({ uri: direct });
    expect((await get(`${PROJECT}/connection_uri?${query}&pooled=true`)).body).toEqual({ uri: pooled });
    expect(pooled).toMatch(/@ep-[a-z]+-[a-z]+-a[0-9a-f]{7}-pooler\.c-2\./);
    expect((await get(`${PROJECT}/connection_uri?${query}&pooled=yes`)).status).toBe(400);
    expect((await get(`${PROJECT}/connection_uri?role_name=shop_app&database_name=no`)).status).toBe(404);
    expect((await get(`${PROJECT}/connection_uri?${query}&branch_id=br-none-1`)).status).toBe(404);
  });
});

describe("operations", () => {
  it("come newest first, with a cursor even on the last page, and end with an empty one", async () => {
    for (const name of ["a", "b"]) neon.state.createBranch({ name, endpoints: [] });
    const first = (await get(`${PROJECT}/operations?limit=1`)).body;
    expect(first.operations[0]).toMatchObject({
      action: "create_branch",
      branch_id: neon.state.branch("b").id,
    });
    const second = (await get(`${PROJECT}/operations?limit=5&cursor=${first.pagination.cursor}`)).body;
    expect(second.operations).toHaveLength(1);
    expect(second.pagination.cursor).toMatch(/\.\d{6}Z$/);
    const third = (await get(`${PROJECT}/operations?cursor=${second.pagination.cursor}`)).body;
    expect(third.operations).toEqual([]);
    for (const query of ["limit=0", "limit=1001", "cursor=abc"]) {
      expect((await get(`${PROJECT}/operations?${query}`)).status, query).toBe(400);
    }
  });

  it("progress with the clock, and lock the project until they have finished", async () => {
    neon.state.operations.durationMs = 1000;
    const { body } = await post(`${on("main")}/roles/shop_app/reset_password`);
    const [first, last] = body.operations;
    expect([first.action, last.action]).toEqual(["apply_config", "suspend_compute"]);
    const status = async (id: string) => (await get(`${PROJECT}/operations/${id}`)).body.operation.status;
    expect([await status(first.id), await status(last.id)]).toEqual(["running", "scheduling"]);
    const locked = await post(`${PROJECT}/branches`);
    expect(locked.status).toBe(423);
    expect(locked.body.message).toContain("conflicting operations");
    clock += 1500;
    expect([await status(first.id), await status(last.id)]).toEqual(["finished", "running"]);
    neon.state.operations.finishAll();
    expect((await post(`${PROJECT}/branches`)).status).toBe(201);
  });

  it("fail where a test says so", async () => {
    const { body } = await post(`${on("main")}/roles/shop_app/reset_password`);
    neon.state.operations.force(body.operations[0].id, "failed", "compute did not start");
    const { operation } = (await get(`${PROJECT}/operations/${body.operations[0].id}`)).body;
    expect(operation).toMatchObject({ status: "failed", failures_count: 1, error: "compute did not start" });
  });
});

describe("rate limit", () => {
  it("counts per minute and per route and second, where it is switched on", async () => {
    neon.state.limiter.set({ perMinute: 5, perSecondPerRoute: 2 });
    const statuses = async (paths: string[]) => {
      const seen: number[] = [];
      for (const path of paths) seen.push((await get(path)).status);
      return seen;
    };
    expect(await statuses([PROJECT, PROJECT, PROJECT, "/auth"])).toEqual([200, 200, 429, 200]);
    clock += 1500;
    expect(await statuses([PROJECT, PROJECT, "/auth"])).toEqual([200, 200, 429]);
    clock += 60_000;
    expect(await statuses([PROJECT])).toEqual([200]);
  });
});

describe("computes", () => {
  it("hear of endpoints, branches, passwords and removals before the answer is sent", async () => {
    const heard: string[] = [];
    const passwords = new Map<string, string | null>();
    await restart({
      computes: {
        host: "127.0.0.1",
        port: 1,
        ca: "",
        setEndpoint: (_id, { disabled }) => void heard.push(`endpoint ${disabled ? "off" : "on"}`),
        removeEndpoint: () => void heard.push("endpoint gone"),
        setBranch: async (id, { roles }) => {
          heard.push("branch");
          passwords.set(id, roles.find(({ name }) => name === "shop_app")?.password ?? null);
        },
        removeBranch: () => void heard.push("branch gone"),
        close: async () => {},
      },
    });
    await neon.state.settled();
    expect(heard).toEqual(["branch", "endpoint on"]);
    const wanted = { branch: { name: "dev" }, endpoints: [{ type: "read_write" }] };
    const { id } = (await post(`${PROJECT}/branches`, wanted)).body.branch;
    const { body } = await post(`${on("dev")}/roles/shop_app/reset_password`);
    expect(passwords.get(id)).toBe(body.role.password);
    await call("DELETE", on("dev"));
    expect(heard.slice(2)).toEqual(["branch", "endpoint on", "branch", "endpoint gone", "branch gone"]);
  });
});
