/** The admin API over a whole Branchline: what it shows, what it does, who may, and what remains of it. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import { verifyAudit } from "../../services/store/audit.ts";
import { type Answer, adminApi, type TestApi } from "../support/api.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";
import { until } from "../support/until.ts";

let app: TestApp;
let api: TestApi;
const project = new MemoryProject("p1");
const other = new MemoryProject("p2");

beforeAll(async () => {
  const rules = [
    ruleOf({ name: "web" }),
    ruleOf({ name: "two", destination: "second", variables: { URL: "pooled", HOST: "pooled.host" } }),
    ruleOf({ name: "elsewhere", source: "shop2", destination: "second" }),
  ];
  app = await startApp({ projects: [project, other], destinations: { memory: {}, second: {} }, rules });
  const meant: Record<string, string[]> = { "acme/shop": ["shop"], "acme/both": ["shop", "shop2"] };
  api = adminApi(app, { sourcesOf: (repository) => meant[repository] ?? [] });
  for (const name of ["preview/a", "preview/b"]) project.addBranch(name);
  other.addBranch("preview/c");
  for (const name of ["preview/a", "preview/b", "preview/c"]) await app.settled(name);
  // Production is read as well, whoever wants it: lists are compared with themselves below.
  await until(async () => itemsOf(await api.get("/v1/logins?limit=200")).length === 5);
});
afterAll(async () => {
  api.stop();
  await app.stop();
});

const branchId = async (name: string): Promise<string> =>
  (await api.get(`/v1/branches?name=${encodeURIComponent(name)}`)).json.items[0].id;
const bindingOf = async (rule: string, branch: string) =>
  (await api.get(`/v1/bindings?rule=${rule}&branch=${encodeURIComponent(branch)}`)).json.items[0];
const itemsOf = ({ json }: Answer) => json.items;

async function makeToken(over: object = {}): Promise<string> {
  const made = await api.post("/v1/tokens", { name: "ci", scopes: ["read", "write"], ...over });
  expect(made.status).toBe(201);
  return made.json.token;
}

async function lastAudit() {
  const { json } = await api.get("/v1/audit?limit=1");
  return json.items[0];
}

describe("what is shown", () => {
  test.each(["sources", "destinations", "rules", "branches", "logins", "bindings", "pushes", "events"])(
    "%s: a list in pages, and each by its id",
    async (noun) => {
      const seen: string[] = [];
      let cursor = "";
      do {
        const { status, json } = await api.get(`/v1/${noun}?limit=1${cursor}`);
        expect(status).toBe(200);
        seen.push(...json.items.map(({ id }: { id: string }) => id));
        cursor = json.next === null || seen.length > 30 ? "" : `&cursor=${json.next}`;
      } while (cursor !== "");
      const whole = itemsOf(await api.get(`/v1/${noun}?limit=200`));
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.length).toBeGreaterThan(0);
      if (noun !== "events" && noun !== "pushes")
        expect(seen).toEqual(whole.map(({ id }: { id: string }) => id));
      // When a source was last looked at moves by itself.
      const still = (item: object) => ({ ...item, listedAt: null });
      expect(still((await api.get(`/v1/${noun}/${whole[0].id}`)).json)).toEqual(still(whole[0]));
    },
  );

  test("a binding's history: every push with steps, times, calls and what became of it", async () => {
    const binding = await bindingOf("web", "preview/a");
    const [push] = itemsOf(await api.get(`/v1/pushes?binding=${binding.id}`));
    expect(push).toMatchObject({ destination: "memory", target: binding.target, written: 2, code: null });
    expect(Object.keys(push.steps)).toEqual(
      expect.arrayContaining(["check", "observe", "read", "apply", "record"]),
    );
    expect(push.bindings).toEqual([
      { id: binding.id, outcome: "synced", code: null, cause: null, next: null },
    ]);
    expect(push.ms).toBeGreaterThanOrEqual(0);
  });

  test("a push that failed is in the history too, with code, cause and what to do next", async () => {
    const binding = await bindingOf("two", "preview/a");
    app.store("second").fault({ kind: "error", code: "forbidden", during: "apply" });
    project.rotate(await neonId("preview/a"), "app_owner");
    await api.post(`/v1/bindings/${binding.id}/push`);
    await until(async () => (await bindingOf("two", "preview/a")).code === "forbidden");
    const [push] = itemsOf(await api.get(`/v1/pushes?binding=${binding.id}&code=forbidden`));
    expect(push).toMatchObject({ outcome: "parked", code: "forbidden", next: expect.any(String) });
    expect(push.bindings).toMatchObject([{ id: binding.id, outcome: "parked", code: "forbidden" }]);
    app.store("second").clearFaults();
    await api.post(`/v1/bindings/${binding.id}/push`);
    await app.settled("preview/a");
  });

  test("custody: where each generation lives and since when, as JSON and as CSV, never a value", async () => {
    const id = await branchId("preview/a");
    const password = project.rotate(await neonId("preview/a"), "app_owner");
    await api.post(`/v1/bindings/${(await bindingOf("web", "preview/a")).id}/push`);
    const held = await until(async () => {
      const rows = (await api.get(`/v1/branches/${id}/custody`)).json.held;
      const [{ generation }] = itemsOf(await api.get(`/v1/logins?branch=${id}`));
      const secret = rows.filter(({ role }: { role: string | null }) => role !== null);
      const all = secret.every(
        (row: { current: boolean; generation: number }) => row.current && row.generation === generation,
      );
      return generation > 1 && all ? rows : null;
    });
    const shown = held.map(({ name, destination, role, rule }: Record<string, string>) => [
      rule,
      destination,
      name,
      role,
    ]);
    expect(shown).toEqual([
      ["web", "memory", "DATABASE_URL", "app_owner"],
      ["web", "memory", "DATABASE_URL_UNPOOLED", "app_owner"],
      ["two", "second", "URL", "app_owner"],
      ["two", "second", "HOST", null],
    ]);
    for (const { since } of held) expect(Date.parse(since)).toBeLessThanOrEqual(Date.now() + 1_000);

    // Two answers are compared, so nothing may be under way between them.
    await app.settled("preview/a");
    const csv = await api.get(`/v1/branches/${id}/custody?format=csv`);
    const accepted = await api.ask("GET", `/v1/branches/${id}/custody`, { headers: { accept: "text/csv" } });
    expect(csv.headers.get("content-type")).toContain("text/csv");
    expect(accepted.text).toBe(csv.text);
    expect(csv.text.split("\r\n")[0]).toBe(
      "role,database,generation,current,since,destination,target,name,rule,binding,state,confirmed",
    );
    expect(csv.text.trim().split("\r\n")).toHaveLength(5);
    expect(csv.text + JSON.stringify(held)).not.toContain(password);
  });
});

const neonId = async (name: string): Promise<string> =>
  itemsOf(await api.get(`/v1/branches?name=${encodeURIComponent(name)}`))[0].neonId;

describe("tokens", () => {
  test("are shown once, stored as a hash, and their use is noted, once a minute", async () => {
    const token = await makeToken();
    const { rows } = await app.database.db.execute(sql`select t::text as row from branchline.token t`);
    expect(JSON.stringify(rows)).not.toContain(token);
    const [row] = itemsOf(await api.get("/v1/tokens?name=ci"));
    expect(JSON.stringify(row)).not.toContain(token.slice(4));
    expect(row).toMatchObject({ scopes: ["read", "write"], lastUsedAt: null, createdBy: "admin token" });
    expect((await api.get("/v1/branches", token)).status).toBe(200);
    const used = async () => (await api.get(`/v1/tokens/${row.id}`)).json.lastUsedAt;
    const first = await used();
    expect(first).not.toBeNull();
    await api.get("/v1/branches", token);
    expect(await used()).toBe(first);
    expect(await lastAudit()).toMatchObject({ action: "token.create", object: "token/ci" });
  });

  test("end when they are revoked or their time is up, and not a request later", async () => {
    const token = await makeToken({ name: "short" });
    const [{ id }] = itemsOf(await api.get("/v1/tokens?name=short"));
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    const etag = (await api.get(`/v1/tokens/${id}`)).headers.get("etag") ?? "";
    const change = async (headers: Record<string, string>, body: unknown) =>
      await api.ask("PATCH", `/v1/tokens/${id}`, { headers, body });
    expect((await change({}, { expiresAt: soon })).status).toBe(428);
    expect((await change({ "if-match": '"99"' }, { expiresAt: soon })).status).toBe(412);
    const changed = await change({ "if-match": etag }, { expiresAt: soon, name: "shorter" });
    expect([changed.status, changed.json.expiresAt, changed.headers.get("etag")]).toEqual([200, soon, '"2"']);
    expect((await change({ "if-match": etag }, { name: "late" })).status).toBe(412);
    await app.database.db.execute(sql`update branchline.token set expires_at = now() where id = ${id}`);
    expect((await api.get("/v1/branches", token)).status).toBe(401);

    const revoked = await makeToken({ name: "gone" });
    const [{ id: gone }] = itemsOf(await api.get("/v1/tokens?name=gone"));
    expect((await api.ask("DELETE", `/v1/tokens/${gone}`)).json.revokedAt).not.toBeNull();
    expect((await api.get("/v1/branches", revoked)).status).toBe(401);
  });

  test("the audit log shows what a change makes of a token, also that it ends no more", async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    await makeToken({ name: "lasting", expiresAt });
    const [{ id }] = itemsOf(await api.get("/v1/tokens?name=lasting"));
    const changed = async (body: unknown) => {
      const { status } = await api.ask("PATCH", `/v1/tokens/${id}`, { headers: { "if-match": "*" }, body });
      const { action, details } = await lastAudit();
      return { status, action, before: JSON.parse(details.before), after: JSON.parse(details.after) };
    };
    const said = { status: 200, action: "token.change" };
    expect(await changed({ name: "renamed" })).toEqual({
      ...said,
      before: { name: "lasting", expiresAt },
      after: { name: "renamed", expiresAt },
    });
    expect(await changed({ expiresAt: null })).toEqual({
      ...said,
      before: { name: "renamed", expiresAt },
      after: { name: "renamed", expiresAt: null },
    });
  });

  test("with limits see nothing else: not in lists, not in counts, not by id, not by command", async () => {
    await app.settled("preview/a");
    const limits = { sources: ["shop"], branches: ["preview/a"], destinations: ["memory"] };
    const token = await makeToken({ name: "narrow", limits, scopes: ["read", "write", "reveal"] });
    const mine = async (path: string) => await api.get(path, token);
    const names = async (path: string, member = "name") =>
      itemsOf(await mine(path)).map((item: Record<string, unknown>) => item[member]);
    expect(await names("/v1/sources")).toEqual(["shop"]);
    expect(itemsOf(await mine("/v1/sources"))[0].branches).toBe(1);
    expect(await names("/v1/branches")).toEqual(["preview/a"]);
    expect(itemsOf(await mine("/v1/branches"))[0].bindings).toEqual({ synced: 1 });
    expect(await names("/v1/destinations")).toEqual(["memory"]);
    expect(await names("/v1/rules")).toEqual(["web"]);
    expect(await names("/v1/bindings", "rule")).toEqual(["web"]);
    expect(new Set(await names("/v1/pushes", "destination"))).toEqual(new Set(["memory"]));
    for (const branch of await names("/v1/events", "branch")) expect(branch).toBe("preview/a");
    expect((await mine("/v1/rules/web/branches")).json).toMatchObject({ matches: 1, of: 1 });
    expect((await mine("/v1/rules/two/branches")).status).toBe(404);

    const foreign = await bindingOf("two", "preview/a");
    const outside = await branchId("preview/b");
    for (const path of [
      `/v1/bindings/${foreign.id}`,
      `/v1/branches/${outside}`,
      `/v1/branches/${outside}/custody`,
      `/v1/branches/${outside}/wait`,
      "/v1/sources/shop2",
      "/v1/destinations/second",
      "/v1/rules/two",
      "/v1/sources/shop2/connection?branch=preview/c",
      "/v1/sources/shop/connection?branch=preview/b",
      "/v1/sources/shop/env?branch=preview/a&rule=two",
    ]) {
      const answer = await mine(path);
      expect([path, answer.status]).toEqual([path, 404]);
      expect(answer.text).not.toMatch(/preview\/b"|shop2"|"two"/);
    }
    expect((await api.post(`/v1/bindings/${foreign.id}/suspend`, {}, token)).status).toBe(404);
    expect(
      (await api.post(`/v1/branches/${outside}/hold`, { forSeconds: 5, reason: "x" }, token)).status,
    ).toBe(404);
    expect((await bindingOf("two", "preview/a")).state).toBe("synced");
    expect((await mine("/v1/sources/shop/connection?branch=preview/a")).status).toBe(200);
    expect((await mine("/v1/sources/shop/connection")).status).toBe(404);
    expect((await mine("/metrics")).status).toBe(403);
  });

  test("cannot be made with limits that admin would not keep, or for the past", async () => {
    const refuse = async (over: object) =>
      (await api.post("/v1/tokens", { name: "x", scopes: ["admin"], ...over })).json;
    expect(await refuse({ limits: { sources: ["shop"] } })).toMatchObject({
      parameters: [{ pointer: "/limits" }],
    });
    expect(await refuse({ expiresAt: "2020-01-01T00:00:00Z" })).toMatchObject({
      parameters: [{ pointer: "/expiresAt" }],
    });
    expect(await refuse({ scopes: ["root"] })).toMatchObject({ parameters: [{ pointer: "/scopes/0" }] });
    expect(await refuse({ limits: { branches: ["[a"] } })).toMatchObject({
      parameters: [{ pointer: "/limits/branches/0" }],
    });
  });
});

describe("If-Match", () => {
  const suspended = (of: { suspendedAt: string | null }) => of.suspendedAt !== null;
  /** What is read, what is done about it, and what moves it in between. */
  const cases = async () => {
    const binding = await bindingOf("web", "preview/a");
    const branch = await branchId("preview/a");
    const [event] = itemsOf(await api.get("/v1/events?source=shop&limit=1"));
    const [source] = itemsOf(await api.get("/v1/sources?name=shop"));
    const command = (name: string, body = {}) => ({
      of: `/v1/bindings/${binding.id}`,
      act: [`/v1/bindings/${binding.id}/${name}`, body],
    });
    return [
      ...["suspend", "resume", "push", "sweep", "adopt", "release"].map((name) => command(name)),
      { of: `/v1/branches/${branch}`, act: [`/v1/branches/${branch}/hold`, { forSeconds: 5, reason: "x" }] },
      { of: `/v1/branches/${branch}`, act: [`/v1/branches/${branch}/hold`, null] },
      { of: "/v1/destinations/memory", act: ["/v1/destinations/memory/suspend", {}] },
      { of: "/v1/destinations/memory", act: ["/v1/destinations/memory/resume", {}] },
      { of: "/v1/installation", act: ["/v1/suspend", { reason: "x" }] },
      { of: "/v1/installation", act: ["/v1/resume", {}] },
      { of: `/v1/events/${event.id}`, act: [`/v1/events/${event.id}/redeliver`, {}] },
      { of: `/v1/sources/${source.id}`, act: [`/v1/sources/${source.id}/confirm`, {}] },
    ] as const;
  };
  const send = async ([path, body]: readonly [string, object | null], etag: string) =>
    await api.ask(body === null ? "DELETE" : "POST", path, {
      headers: { "if-match": etag },
      ...(body === null ? {} : { body }),
    });

  test("whatever changes something that is shown is not done if that has moved, and the audit log stays as it was", async () => {
    await app.settled("preview/a");
    const before = (await lastAudit())?.seq;
    for (const { of, act } of await cases()) {
      const refused = await send(act as [string, object | null], '"something else"');
      expect([act[0], refused.status, refused.json.type]).toEqual([
        act[0],
        412,
        "urn:branchline:problem:precondition_failed",
      ]);
      expect((await api.get(of)).headers.get("etag")).toMatch(/^"[\w-]{22}"$/);
    }
    expect((await lastAudit())?.seq).toBe(before);
  });

  test("every operation that changes something says so in the document, but those that bring their own guard", async () => {
    const guarded = new Set(
      api.router.operations
        .filter(({ problems }) => problems.includes("precondition_failed"))
        .map(({ id }) => id),
    );
    const others = api.router.operations.filter(({ id, method }) => method !== "get" && !guarded.has(id));
    // A plan and an import change nothing; an apply names the plan that it is for; a new token has no version; and what
    // a file manages is no version of anything.
    const without = ["applyDocument", "createToken", "importDocument", "makePlan", "unmanage"];
    expect(others.map(({ id }) => id).filter((id) => !without.includes(id))).toEqual([]);
    expect(guarded.size).toBeGreaterThan(15);
  });

  test("what was read and has not moved is acted upon, and the answer has the new version", async () => {
    const etag = async () => (await api.get("/v1/destinations/memory")).headers.get("etag") ?? "";
    const first = await etag();
    const done = await send(["/v1/destinations/memory/suspend", {}], first);
    expect([done.status, suspended(done.json), done.headers.get("etag")]).toEqual([200, true, await etag()]);
    expect((await send(["/v1/destinations/memory/resume", {}], first)).status).toBe(412);
    expect((await send(["/v1/destinations/memory/resume", {}], "*")).status).toBe(200);
    expect(await etag()).toBe(first);
    const { id } = await bindingOf("web", "preview/a");
    const told = await send(
      [`/v1/bindings/${id}/suspend`, {}],
      (await api.get(`/v1/bindings/${id}`)).headers.get("etag") ?? "",
    );
    expect([told.status, told.headers.get("etag")]).toEqual([
      200,
      (await api.get(`/v1/bindings/${id}`)).headers.get("etag"),
    ]);
    await api.post(`/v1/bindings/${id}/resume`);
    await app.settled("preview/a");
  });

  test("of two that have read the same, one comes too late", async () => {
    const etag = (await api.get("/v1/installation")).headers.get("etag") ?? "";
    const both = await Promise.all(
      ["one", "two"].map(async (reason) => await send(["/v1/suspend", { reason }], etag)),
    );
    expect(both.map(({ status }) => status).sort()).toEqual([200, 412]);
    await api.post("/v1/resume");
  });
});

describe("what is done", () => {
  test("sweep compares what the vendor holds now, and repairs what somebody changed", async () => {
    const binding = await bindingOf("web", "preview/a");
    app.store("memory").putForeign(binding.target, "DATABASE_URL", "theirs");
    expect((await api.post(`/v1/bindings/${binding.id}/sweep`)).status).toBe(200);
    await until(() => app.store("memory").values(binding.target)["DATABASE_URL"] !== "theirs");
    expect(itemsOf(await api.get("/v1/audit?action=binding.sweep"))).toHaveLength(1);
  });

  test("wait: 200 in step, 202 not yet, 409 with what is behind", async () => {
    const id = await branchId("preview/a");
    const wait = async (query: string) => await api.get(`/v1/branches/${id}/wait?${query}`);
    expect((await wait("timeout=10")).json).toMatchObject({ synced: true, behind: [], bindings: [{}, {}] });
    expect((await wait("timeout=10&destination=memory")).json.bindings).toHaveLength(1);
    const nowhere = await wait("timeout=0&destination=memory,nowhere");
    expect([nowhere.status, nowhere.json.type]).toEqual([409, "urn:branchline:problem:behind"]);

    const binding = await bindingOf("web", "preview/a");
    await api.post(`/v1/branches/${id}/hold`, { forSeconds: 600, reason: "a migration runs" });
    await api.post(`/v1/bindings/${binding.id}/push`);
    const held = await until(async () => {
      const answer = await wait("timeout=0");
      return answer.json.reason.includes("held until") ? answer : null;
    });
    expect([held.status, held.json.behind.length]).toEqual([202, 1]);
    await api.ask("DELETE", `/v1/branches/${id}/hold`);
    expect((await wait("timeout=20")).status).toBe(200);

    await api.post(`/v1/bindings/${binding.id}/suspend`);
    const stuck = await wait("timeout=20");
    expect([stuck.status, stuck.json.behind[0].rule]).toEqual([409, "web"]);
    await api.post(`/v1/bindings/${binding.id}/resume`);
    expect((await wait("timeout=20")).status).toBe(200);
  });

  test("hold: nothing of the branch is written meanwhile, it ends by itself, others go on", async () => {
    const id = await branchId("preview/b");
    const binding = await bindingOf("web", "preview/b");
    const before = app.store("memory").values(binding.target);
    const held = await api.post(`/v1/branches/${id}/hold`, { forSeconds: 6, reason: "a look" });
    expect(held.json).toMatchObject({ heldReason: "a look", heldUntil: expect.any(String) });
    expect(await lastAudit()).toMatchObject({
      action: "branch.hold",
      object: "source/shop/branch/preview/b",
      details: { before: null, forSeconds: 6, reason: "a look" },
    });
    project.rotate(await neonId("preview/b"), "app_owner");
    project.rotate(await neonId("preview/a"), "app_owner");
    await api.post(`/v1/bindings/${(await bindingOf("web", "preview/a")).id}/push`);
    await api.post(`/v1/bindings/${binding.id}/push`);
    await app.settled("preview/a");
    if (Date.now() < Date.parse(held.json.heldUntil) - 200) {
      expect(app.store("memory").values(binding.target)).toEqual(before);
    }
    await until(() => app.store("memory").values(binding.target)["DATABASE_URL"] !== before["DATABASE_URL"]);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(held.json.heldUntil) - 100);
    await app.settled("preview/b");
  });

  test("a destination, and everything: suspended nothing is written, resumed all is", async () => {
    const binding = await bindingOf("two", "preview/b");
    const values = () => app.store("second").values(binding.target)["URL"];
    for (const [stop, go] of [
      ["/v1/destinations/second/suspend", "/v1/destinations/second/resume"],
      ["/v1/suspend", "/v1/resume"],
    ] as const) {
      const before = values();
      expect((await api.post(stop)).json.suspendedAt).not.toBeNull();
      project.rotate(await neonId("preview/b"), "app_owner");
      await api.post(`/v1/bindings/${(await bindingOf("web", "preview/b")).id}/push`);
      const login = await branchId("preview/b");
      await until(async () => (await bindingOf("two", "preview/b")).state === "pending" || login === "");
      expect(values()).toBe(before);
      expect((await api.post(go)).json.suspendedAt).toBeNull();
      await until(() => values() !== before);
      await app.settled("preview/b");
    }
    expect(await lastAudit()).toMatchObject({
      action: "installation.resume",
      details: { before: "suspended", after: "writing" },
    });
  });

  test("an event is delivered again, also one that was ignored before its source was known", async () => {
    const [event] = itemsOf(await api.get("/v1/events?origin=watch&limit=1"));
    expect(event.outcome).toBe("processed");
    const { rows } = await app.database.db.execute<{ id: string }>(sql`
      insert into branchline.event (origin, kind, delivery_id, subject, outcome, reason)
      values ('github', 'push', 'd1', '{"repository": "acme/shop"}', 'ignored', 'no source is configured for it'),
             ('github', 'push', 'd2', '{"repository": "acme/none"}', 'ignored', 'no source is configured for it')
      returning id`);
    const [known, unknown] = rows.map(({ id }) => id);
    expect((await api.post(`/v1/events/${known}/redeliver`)).json).toMatchObject({ source: "shop" });
    await until(async () => {
      const { json } = await api.get(`/v1/events/${known}`);
      return json.outcome === "processed" && json.processedAt !== null;
    });
    expect((await api.post(`/v1/events/${unknown}/redeliver`)).status).toBe(409);
  });

  test("redelivered, one whose repository means several sources by now is looked into at each of them", async () => {
    const { rows } = await app.database.db.execute<{ id: string }>(sql`
      insert into branchline.event (origin, kind, delivery_id, subject, outcome, reason)
      values ('github', 'push', 'd3', '{"repository": "acme/both", "gitBranch": "x"}', 'ignored', 'no source')
      returning id`);
    const id = rows[0]?.id;
    expect((await api.post(`/v1/events/${id}/redeliver`)).status).toBe(200);
    const delivered = async () =>
      (
        await app.database.db.execute<{ name: string; outcome: string; subject: object }>(sql`
          select s.name, e.outcome, e.subject from branchline.event e join branchline.source s on s.id = e.source_id
          where e.delivery_id = 'd3' order by s.name`)
      ).rows;
    const subject = { repository: "acme/both", gitBranch: "x" };
    await until(async () => (await delivered()).every(({ outcome }) => outcome === "processed"));
    expect(await delivered()).toEqual([
      { name: "shop", outcome: "processed", subject },
      { name: "shop2", outcome: "processed", subject },
    ]);
    // Once more: it has its source, and no third one comes.
    expect((await api.post(`/v1/events/${id}/redeliver`)).json).toMatchObject({ source: "shop" });
    expect(await delivered()).toHaveLength(2);
  });

  test("deletes that are held go when they are confirmed, and only those", async () => {
    const names = ["d1", "d2", "d3", "d4", "d5"].map((name) => `preview/${name}`);
    const ids = names.map((name) => other.addBranch(name));
    for (const name of names) await app.settled(name);
    for (const id of ids) other.removeBranch(id);
    const source = async () => (await api.get("/v1/sources/shop2")).json;
    const held = await until(async () => ((await source()).heldSince === null ? null : await source()));
    const [first] = await Promise.all(names.map(branchId));
    await until(
      async () => (await api.post(`/v1/sources/${held.id}/confirm`, { branches: [first] })).status === 200,
    );
    await until(async () => (await api.get(`/v1/branches/${first}`)).json.state === "gone");
    const all = await until(async () => {
      const answer = await api.post(`/v1/sources/${held.id}/confirm`);
      return (await source()).heldSince === null || answer.json.confirmed?.length > 0 ? answer : null;
    });
    expect([200, 409]).toContain(all.status);
    await until(async () => {
      const gone = itemsOf(await api.get("/v1/branches?source=shop2&state=gone&limit=50"));
      return gone.length === 5 && (await source()).heldSince === null;
    });
    expect(itemsOf(await api.get("/v1/audit?action=source.confirm")).length).toBeGreaterThan(0);
    expect((await api.post(`/v1/sources/${held.id}/confirm`)).status).toBe(409);
  });

  test("the same key does it once, with other content 422, and an answer with a secret is never kept", async () => {
    const binding = await bindingOf("web", "preview/a");
    const push = async (key: string, path = "push") =>
      await api.ask("POST", `/v1/bindings/${binding.id}/${path}`, {
        headers: { "idempotency-key": key },
        body: {},
      });
    const first = await push("k1");
    const again = await push("k1");
    expect([first.status, again.status, again.text]).toEqual([200, 200, first.text]);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect((await bindingOf("web", "preview/a")).wanted).toBe(first.json.binding.wanted);
    expect((await push("k1", "sweep")).status).toBe(422);
    const other = await makeToken();
    const theirs = await api.ask("POST", `/v1/bindings/${binding.id}/push`, {
      token: other,
      headers: { "idempotency-key": "k1" },
      body: {},
    });
    expect(theirs.headers.get("idempotency-replayed")).toBeNull();

    const create = async () =>
      await api.ask("POST", "/v1/tokens", {
        headers: { "idempotency-key": "k2" },
        body: { name: "once", scopes: ["read"] },
      });
    const made = await create();
    expect([made.status, (await create()).json.type]).toEqual([
      201,
      "urn:branchline:problem:repeat_not_kept",
    ]);
    const { rows } = await app.database.db.execute(sql`select r::text as row from branchline.repeat r`);
    expect(JSON.stringify(rows)).not.toContain(made.json.token);
    expect(itemsOf(await api.get("/v1/tokens?name=once"))).toHaveLength(1);
    await app.settled("preview/a");
  });
});

describe("what remains", () => {
  test("every command with its state before and after, exported line by line, in a chain that holds", async () => {
    const binding = await bindingOf("web", "preview/a");
    await api.ask("POST", `/v1/bindings/${binding.id}/suspend`, { headers: { "x-request-id": "request-7" } });
    expect(await lastAudit()).toMatchObject({
      actor: "admin token",
      action: "binding.suspend",
      object: "rule/web/branch/preview/a",
      requestId: "request-7",
      details: { before: "synced", after: "suspended" },
    });
    await api.post(`/v1/bindings/${binding.id}/resume`);
    const answer = await api.get("/v1/audit/export");
    const lines = answer.text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 1));
    expect(
      (await api.get(`/v1/audit/export?after=${lines.length - 1}`)).text.trim().split("\n"),
    ).toHaveLength(1);
    const verified = await verifyAudit(app.database.db);
    expect(verified).toMatchObject({ ok: true, rows: lines.length });
    expect((await api.get("/v1/audit/verify")).json).toMatchObject({
      ok: true,
      rows: lines.length,
      problem: null,
    });
    const below = itemsOf(await api.get(`/v1/audit?object=${encodeURIComponent("rule/web")}&limit=200`));
    expect(below.every(({ object }: { object: string }) => object.startsWith("rule/web/"))).toBe(true);
    await app.settled("preview/a");
  });
});

describe("the stream", () => {
  test("tells each change of state within the limits, and goes on where it broke off", async () => {
    const limits = { sources: null, branches: ["preview/a"], destinations: ["memory"] };
    const token = await makeToken({ name: "follower", limits });
    const follow = async (headers: Record<string, string> = {}) =>
      await reading(await api.raw("GET", "/v1/stream", { token, headers }));
    const first = await follow();
    expect(await first.until(/: following/)).toContain("retry:");
    const mine = await bindingOf("web", "preview/a");
    const theirs = await bindingOf("two", "preview/a");
    await until(async () => {
      await api.post(`/v1/bindings/${theirs.id}/suspend`);
      await api.post(`/v1/bindings/${mine.id}/suspend`);
      return true;
    });
    const text = await first.until(/"state":"suspended"/);
    const id = /id: (\S+)\n/.exec(text)?.[1] ?? "";
    await first.end();
    await api.post(`/v1/bindings/${mine.id}/resume`);
    await api.post(`/v1/bindings/${theirs.id}/resume`);
    await app.settled("preview/a");
    const second = await follow({ "last-event-id": id });
    const later = await second.until(/"state":"synced"/);
    await second.end();
    expect(text + later).not.toContain(theirs.id);
    expect((await api.ask("GET", "/v1/stream", { headers: { "last-event-id": "x" } })).status).toBe(400);
  });

  test("one token has so many at once, and a stop ends them", async () => {
    const open = [];
    for (let n = 0; n < 10; n += 1) open.push(await api.raw("GET", "/v1/stream"));
    expect((await api.ask("GET", "/v1/stream")).status).toBe(429);
    api.stop();
    for (const one of open) await one.body?.cancel();
    const again = await api.raw("GET", "/v1/stream");
    expect(again.status).toBe(200);
    await again.body?.cancel();
  });
});

async function reading(response: Response) {
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Error("a stream without a body");
  let text = "";
  return {
    until: async (pattern: RegExp): Promise<string> => {
      while (!pattern.test(text)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`the stream ended with: ${text}`);
        text += new TextDecoder().decode(value);
      }
      return text;
    },
    end: async () => await reader.cancel(),
  };
}
