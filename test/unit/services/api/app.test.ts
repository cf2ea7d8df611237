import { describe, expect, test } from "vitest";
import { createAdminApi, createPublicApi } from "../../../../services/api/app.ts";
import { AUTHORIZED, githubHeaders, harness, PUSH } from "./harness.ts";

const CANARY = "canary-7Qx9";

describe("unknown paths and methods", () => {
  test("an unknown path is a problem document with 404", async () => {
    const { app } = harness();
    const answer = await app.request("/nowhere");
    expect(answer.status).toBe(404);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(await answer.json()).toEqual({
      type: "urn:branchline:problem:not_found",
      title: expect.any(String),
      status: 404,
      requestId: answer.headers.get("x-request-id"),
    });
  });

  test("behind /v1 nobody learns without a token what exists", async () => {
    const { app } = harness();
    for (const path of ["/v1/nowhere", "/v1/branches", "/v1"]) {
      expect([path, (await app.request(path)).status]).toEqual([path, 401]);
    }
    expect((await app.request("/v1/nowhere", { headers: AUTHORIZED })).status).toBe(404);
  });

  test.each([
    ["GET", "/webhooks/github", "POST"],
    ["PUT", "/webhooks/neon", "POST"],
    ["POST", "/healthz", "GET, HEAD"],
    ["DELETE", "/v1/branches", "GET, HEAD"],
    ["OPTIONS", "/v1/branches/1", "GET, HEAD"],
  ])("%s %s is 405 and says what is allowed", async (method, path, allow) => {
    const { app } = harness();
    const answer = await app.request(path, { method, headers: AUTHORIZED });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, allow]);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(await answer.json()).toMatchObject({ type: "urn:branchline:problem:method_not_allowed" });
  });

  test("HEAD is answered like GET without a body", async () => {
    const { app } = harness();
    const answer = await app.request("/healthz", { method: "HEAD" });
    expect([answer.status, await answer.text()]).toEqual([200, ""]);
  });
});

describe("every answer", () => {
  const requests: [string, RequestInit][] = [
    ["/healthz", {}],
    ["/nowhere", {}],
    ["/healthz", { method: "POST" }],
    ["/v1/branches", {}],
    ["/v1/branches", { headers: AUTHORIZED }],
    ["/webhooks/github", { method: "POST", body: PUSH, headers: githubHeaders(PUSH) }],
    ["/metrics", { headers: AUTHORIZED }],
  ];

  test.each(requests)("%s %j is not kept, framed or guessed at", async (path, init) => {
    const { app } = harness();
    const { headers } = await app.request(path, init);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(headers.get("x-request-id")).toMatch(/^[\w-]{36}$/);
  });

  test("takes over a sane request id and replaces any other", async () => {
    const { app } = harness();
    const idOf = async (id: string) =>
      (await app.request("/healthz", { headers: { "x-request-id": id } })).headers.get("x-request-id");
    expect(await idOf("abc-123")).toBe("abc-123");
    expect(await idOf("a b")).not.toBe("a b");
    expect(await idOf("x".repeat(65))).toHaveLength(36);
  });
});

describe("an error nobody expected", () => {
  const failing = () =>
    harness({
      branches: {
        list: () => Promise.reject(new Error(`select with ${CANARY}`)),
        get: () => Promise.reject(Object.assign(new Error(CANARY), { code: "23505" })),
      },
    });

  test("shows a request id and nothing else", async () => {
    const { app, logged } = failing();
    const answer = await app.request("/v1/branches", { headers: AUTHORIZED });
    const text = await answer.text();
    expect(answer.status).toBe(500);
    expect(JSON.parse(text)).toEqual({
      type: "urn:branchline:problem:internal",
      title: expect.any(String),
      status: 500,
      requestId: answer.headers.get("x-request-id"),
    });
    expect(logged()).toContain(answer.headers.get("x-request-id"));
    expect(text + logged()).not.toContain(CANARY);
  });

  test("is logged with its code and where it came from", async () => {
    const { app, logged } = failing();
    await app.request("/v1/branches/00000000-0000-4000-8000-000000000001", { headers: AUTHORIZED });
    expect(logged()).toContain('"code":"23505"');
    expect(logged()).toContain("app.test.ts");
  });
});

describe("logs and metrics", () => {
  test("name the route's pattern, never path or query", async () => {
    const { app, deps, logged } = harness();
    await app.request(`/v1/branches/${CANARY}?x=${CANARY}`, { headers: AUTHORIZED });
    await app.request(`/${CANARY}?x=${CANARY}`);
    const { text } = await deps.metrics.scrape();
    expect(logged()).toContain('"route":"/v1/branches/:id"');
    expect(text).toContain('route="/v1/branches/:id",status="404"} 1');
    expect(text).toContain('route="/*",status="404"} 1');
    expect(text + logged()).not.toContain(CANARY);
  });

  test("fold made-up methods into one label", async () => {
    const { app, deps } = harness();
    await app.request("/healthz", { method: "BREW" });
    expect((await deps.metrics.scrape()).text).toContain('method="OTHER"');
  });
});

describe("GET /metrics", () => {
  test("answers Prometheus' text to who may read, and nobody else", async () => {
    const { app } = harness();
    const answer = await app.request("/metrics", { headers: AUTHORIZED });
    expect(answer.headers.get("content-type")).toContain("text/plain; version=0.0.4");
    expect(await answer.text()).toContain("# TYPE branchline_pushes_total counter");
    expect((await app.request("/metrics")).status).toBe(401);
  });
});

describe("two listeners", () => {
  test("the public one has webhooks and /healthz and nothing else", async () => {
    const { deps } = harness();
    const app = createPublicApi(deps);
    const hook = await app.request("/webhooks/github", {
      method: "POST",
      body: PUSH,
      headers: githubHeaders(PUSH),
    });
    expect([hook.status, (await app.request("/healthz")).status]).toEqual([202, 200]);
    for (const path of ["/readyz", "/metrics", "/v1/branches", "/v1/events"]) {
      expect([path, (await app.request(path, { headers: AUTHORIZED })).status]).toEqual([path, 404]);
    }
  });

  test("the inner one then has no webhooks", async () => {
    const { deps } = harness();
    const app = createAdminApi(deps);
    const hook = await app.request("/webhooks/github", {
      method: "POST",
      body: PUSH,
      headers: githubHeaders(PUSH),
    });
    expect(hook.status).toBe(404);
    expect((await app.request("/v1/branches", { headers: AUTHORIZED })).status).toBe(200);
  });
});
