/** What goes on after a token was let in, a stream or a long wait, ends soon after the token does. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import { adminApi, type TestApi } from "../support/api.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";

const project = new MemoryProject("p1");
let app: TestApp;
let api: TestApi;
let branch: string;
let other: string;

beforeAll(async () => {
  app = await startApp({
    projects: [project],
    destinations: { memory: {} },
    rules: [ruleOf({ name: "web" })],
  });
  api = adminApi(app);
  for (const name of ["preview/a", "preview/b"]) project.addBranch(name);
  for (const name of ["preview/a", "preview/b"]) await app.settled(name);
  const idOf = async (name: string) =>
    (await api.get(`/v1/branches?name=${encodeURIComponent(name)}`)).json.items[0].id as string;
  [branch, other] = [await idOf("preview/a"), await idOf("preview/b")];
  // Held, so that whoever waits for it waits long.
  await api.post(`/v1/branches/${branch}/hold`, { forSeconds: 600, reason: "a test" });
  const [{ id }] = (await api.get("/v1/bindings?branch=preview%2Fa")).json.items;
  await api.post(`/v1/bindings/${id}/push`);
});
afterAll(async () => {
  api.stop();
  await app.stop();
});

/** What becomes of the token while something of it is open, and what then becomes of a wait. */
const ENDS = [
  ["is revoked", async (id: string) => void (await api.ask("DELETE", `/v1/tokens/${id}`)), 401],
  [
    "expires",
    async (id: string) =>
      void (await app.database.db.execute(
        sql`update branchline.token set expires_at = now() where id = ${id}`,
      )),
    401,
  ],
  [
    "loses its scope",
    async (id: string) =>
      void (await app.database.db.execute(
        sql`update branchline.token set scopes = '{write}' where id = ${id}`,
      )),
    403,
  ],
  [
    "may see less",
    async (id: string) =>
      void (await app.database.db.execute(
        sql`update branchline.token set limits = '{"sources": null, "branches": ["preview/b"], "destinations": null}' where id = ${id}`,
      )),
    404,
  ],
] as const;

async function fresh(): Promise<{ id: string; token: string }> {
  const { json } = await api.post("/v1/tokens", { name: "ci", scopes: ["read"] });
  return { id: json.id, token: json.token };
}

/** Less than half of what they would last otherwise: the wait is for a minute, and a stream lasts an hour. */
const SOON_MS = 25_000;

describe.each(ENDS)("a token that %s", (_, happens, status) => {
  test("ends its streams within seconds", async () => {
    const { id, token } = await fresh();
    const reader = (await api.raw("GET", "/v1/stream", { token })).body?.getReader();
    await reader?.read();
    await happens(id);
    const from = performance.now();
    for (;;) {
      const { done = true } = (await reader?.read()) ?? {};
      if (done) break;
    }
    expect(performance.now() - from).toBeLessThan(SOON_MS);
  }, 60_000);

  test("ends its waits within seconds", async () => {
    const { id, token } = await fresh();
    const waiting = api.get(`/v1/branches/${branch}/wait?timeout=60`, token);
    // When this one has ended, the other one was let in as well.
    expect((await api.get(`/v1/branches/${branch}/wait?timeout=1`, token)).status).toBe(202);
    const from = performance.now();
    await happens(id);
    expect((await waiting).status).toBe(status);
    expect(performance.now() - from).toBeLessThan(SOON_MS);
  }, 60_000);
});

test("a token that stays as it is keeps its stream", async () => {
  const { token } = await fresh();
  const reader = (await api.raw("GET", "/v1/stream", { token })).body?.getReader();
  await reader?.read();
  // Longer than it is asked about the token: a change that comes after that is told.
  expect((await api.get(`/v1/branches/${branch}/wait?timeout=5`, token)).status).toBe(202);
  const [{ id }] = (await api.get(`/v1/bindings?branch=${other}`)).json.items;
  await api.post(`/v1/bindings/${id}/suspend`);
  let told = "";
  while (!told.includes(id)) {
    const { value, done } = (await reader?.read()) ?? { done: true };
    expect(done).toBe(false);
    told += new TextDecoder().decode(value);
  }
  await reader?.cancel();
});
