import { describe, expect, test } from "vitest";
import { adminTokenOnly } from "../../../../services/api/auth.ts";
import type { Scope } from "../../../../services/api/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { AUTHORIZED, harness, TOKEN } from "./harness.ts";

/** Every route behind a token and the scope it needs: one list, so that none is forgotten. */
const PROTECTED: readonly (readonly [string, string, Scope])[] = [
  ["GET", "/metrics", "read"],
  ["GET", "/v1/sources", "read"],
  ["GET", "/v1/sources/00000000-0000-4000-8000-000000000001", "read"],
  ["GET", "/v1/sources/shop/connection", "reveal"],
  ["GET", "/v1/sources/shop/env", "reveal"],
  ["GET", "/v1/rules/web/branches", "read"],
  ["GET", "/v1/branches", "read"],
  ["GET", "/v1/branches/00000000-0000-4000-8000-000000000001", "read"],
  ["GET", "/v1/bindings", "read"],
  ["GET", "/v1/bindings/00000000-0000-4000-8000-000000000001", "read"],
  ...["push", "adopt", "release", "suspend", "resume"].map(
    (command) => ["POST", `/v1/bindings/00000000-0000-4000-8000-000000000001/${command}`, "write"] as const,
  ),
  ["GET", "/v1/events", "read"],
  ["GET", "/v1/events/1", "read"],
];

describe.each(PROTECTED)("%s %s", (method, path, scope) => {
  test.each([
    ["no header", {}],
    ["a wrong token", { authorization: "Bearer wrong" }],
    ["the token and more", { authorization: `Bearer ${TOKEN}x` }],
    ["the token and another word", { authorization: `Bearer ${TOKEN} word` }],
    ["a part of the token", { authorization: `Bearer ${TOKEN.slice(0, -1)}` }],
    ["no scheme", { authorization: TOKEN }],
    ["another scheme", { authorization: `Basic ${btoa(`admin:${TOKEN}`)}` }],
    ["an empty token", { authorization: "Bearer " }],
    ["two tokens", { authorization: `Bearer wrong, Bearer ${TOKEN}` }],
  ])("refuses %s with 401", async (_, headers: Record<string, string>) => {
    const { app, logged } = harness();
    const answer = await app.request(path, { method, headers });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer realm="branchline"/);
    const text = await answer.text();
    expect(JSON.parse(text)).toMatchObject({ type: "urn:branchline:problem:unauthenticated" });
    expect(text + logged()).not.toContain(TOKEN.slice(0, -1));
  });

  test("refuses a token in the query", async () => {
    const { app } = harness();
    expect((await app.request(`${path}?access_token=${TOKEN}`, { method })).status).toBe(401);
  });

  test(`needs the scope ${scope} and no other`, async () => {
    const as = (scopes: Scope[]) =>
      harness({ authenticate: async () => ({ name: "t", scopes: new Set(scopes), revealDefault: true }) })
        .app;
    const others = (["read", "write", "admin", "reveal"] as const).filter((one) => one !== scope);
    const refused = await as(others).request(path, { method, headers: AUTHORIZED });
    expect(refused.status).toBe(403);
    expect(refused.headers.get("www-authenticate")).toContain(`scope="${scope}"`);
    expect((await as([scope]).request(path, { method, headers: AUTHORIZED })).status).toBe(200);
  });

  test("lets the admin token in, whatever the case of the scheme", async () => {
    const { app } = harness();
    expect((await app.request(path, { method, headers: { authorization: `bearer ${TOKEN}` } })).status).toBe(
      200,
    );
  });
});

test("the list above is complete", () => {
  const routes = harness()
    .app.routes.filter(
      ({ method, path }) => method !== "ALL" && (path.startsWith("/v1/") || path === "/metrics"),
    )
    .map(({ method, path }) => `${method} ${path}`);
  const listed = PROTECTED.map(([method, path]) => `${method} ${patternOf(path)}`);
  expect(new Set(listed)).toEqual(new Set(routes));
});

const patternOf = (path: string): string =>
  path
    .replace(/\/(0{8}-[^/]*|1)(?=\/|$)/, "/:id")
    .replace("/sources/shop/", "/sources/:source/")
    .replace("/rules/web/", "/rules/:rule/");

describe("adminTokenOnly()", () => {
  test("without a token lets nobody in, not even with an empty one", async () => {
    for (const configured of [null, new Secret("")]) {
      expect(await adminTokenOnly(configured)(new Secret(""))).toBeNull();
      expect(await adminTokenOnly(configured)(new Secret("x"))).toBeNull();
    }
  });

  test("gives the operator every scope", async () => {
    const principal = await adminTokenOnly(new Secret(TOKEN))(new Secret(TOKEN));
    expect(principal?.scopes).toEqual(new Set(["read", "write", "admin", "reveal"]));
    expect(principal?.revealDefault).toBe(true);
  });
});
