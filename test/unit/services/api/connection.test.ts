import { describe, expect, test } from "vitest";
import type { Caller, Principal } from "../../../../services/api/ports.ts";
import type { ConnectionRequest, Reveal } from "../../../../services/api/reveal-port.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { AUTHORIZED, harness, someSource } from "./harness.ts";

const URI = "postgresql://app:s3cret@ep-a-1.eu-central-1.aws.neon.tech/shop";

function revealing(warning: string | null = null) {
  const asked: { request: unknown; caller: Caller }[] = [];
  const reveal: Reveal = {
    connection: async (request: ConnectionRequest, caller) => {
      asked.push({ request, caller });
      return {
        value: new Secret(URI),
        branch: request.branch ?? "main",
        role: "app",
        database: "shop",
        warning,
      };
    },
    variables: async (request, caller) => {
      asked.push({ request, caller });
      return {
        branch: "main",
        variables: [
          { name: "DATABASE_URL", value: new Secret(URI), secret: true },
          { name: "PGPORT", value: new Secret("5432"), secret: false },
        ],
        warning,
      };
    },
  };
  return { reveal, asked };
}

const someone = (over: Partial<Principal>): Principal => ({
  id: "ci",
  name: "ci",
  limits: null,
  scopes: new Set(["read", "reveal"]),
  revealDefault: false,
  ...over,
});

async function get(app: ReturnType<typeof harness>["app"], path: string) {
  const answer = await app.request(path, { headers: AUTHORIZED });
  return { status: answer.status, headers: answer.headers, json: JSON.parse(await answer.text()) };
}

describe("GET /v1/sources/:source/connection", () => {
  test("answers connectionUri, branch and pooled, for nobody to store", async () => {
    const { reveal, asked } = revealing();
    const { app, logged } = harness({ reveal });
    const { status, headers, json } = await get(
      app,
      "/v1/sources/shop/connection?branch=preview/x&pooled=true",
    );
    expect(json).toEqual({ connectionUri: URI, branch: "preview/x", pooled: true });
    expect([status, headers.get("cache-control")]).toEqual([200, "no-store"]);
    expect(asked[0]?.request).toEqual({
      source: "shop",
      branch: "preview/x",
      pooled: true,
      role: null,
      database: null,
      form: null,
    });
    expect(asked[0]?.caller).toMatchObject({ principal: { name: "admin token" }, sourceAddress: null });
    expect(logged()).not.toContain("s3cret");
  });

  test("repeats role, database and form when they were asked for", async () => {
    const { app } = harness(revealing());
    const { json } = await get(app, "/v1/sources/shop/connection?branch=x&role=app&database=shop&form=url");
    expect(json).toEqual({
      connectionUri: URI,
      branch: "x",
      pooled: false,
      role: "app",
      database: "shop",
      form: "url",
    });
  });

  test.each(["connection", "env"])("%s says who else accepts the password, if anybody", async (what) => {
    const { app } = harness(revealing("production accepts it"));
    const { json } = await get(app, `/v1/sources/shop/${what}?branch=x`);
    expect(json.warning).toBe("production accepts it");
  });

  test("no branch is passed on as no branch, and never as an empty one", async () => {
    const { reveal, asked } = revealing();
    await get(harness({ reveal }).app, "/v1/sources/shop/connection");
    expect(asked[0]?.request).toMatchObject({ branch: null });
  });

  test.each([
    ["branch=", "branch"],
    ["branch=%0A", "branch"],
    [`branch=${"x".repeat(257)}`, "branch"],
    ["branch=x&branch=y", "branch"],
    ["branch=x&pooled=", "pooled"],
    ["branch=x&pooled=yes", "pooled"],
    ["branch=x&role=", "role"],
    ["branch=x&database=", "database"],
    ["branch=x&form=", "form"],
    ["brnach=x", "brnach"],
  ])("refuses %s with 400 and asks nobody", async (query, parameter) => {
    const { reveal, asked } = revealing();
    const { status, json } = await get(harness({ reveal }).app, `/v1/sources/shop/connection?${query}`);
    expect([status, json.parameters]).toMatchObject([400, [{ parameter }]]);
    expect(asked).toEqual([]);
  });

  test("needs the scope reveal: admin without it is not enough", async () => {
    const { reveal, asked } = revealing();
    const authenticate = async () => someone({ scopes: new Set(["read", "write", "admin"] as const) });
    const { status } = await get(
      harness({ reveal, authenticate }).app,
      "/v1/sources/shop/connection?branch=x",
    );
    expect([status, asked.length]).toEqual([403, 0]);
  });

  test("needs a token", async () => {
    const answer = await harness(revealing()).app.request("/v1/sources/shop/connection?branch=x");
    expect(answer.status).toBe(401);
  });
});

describe("GET /v1/sources/:source/env", () => {
  test("answers the variables, saying which hold a secret", async () => {
    const { reveal, asked } = revealing();
    const { json, headers } = await get(
      harness({ reveal }).app,
      "/v1/sources/shop/env?branch=x&preset=prisma",
    );
    expect(json).toEqual({
      branch: "main",
      variables: [
        { name: "DATABASE_URL", value: URI, secret: true },
        { name: "PGPORT", value: "5432", secret: false },
      ],
    });
    expect(headers.get("cache-control")).toBe("no-store");
    expect(asked[0]?.request).toMatchObject({ branch: "x", preset: "prisma", rule: null });
  });

  test.each(["preset=prisma", "role=app", "database=shop"])("a rule says %s already", async (query) => {
    const { app } = harness(revealing());
    const { status, json } = await get(app, `/v1/sources/shop/env?branch=x&rule=web&${query}`);
    expect([status, json.parameters]).toMatchObject([400, [{ parameter: query.split("=")[0] }]]);
  });
});

describe("GET /v1/rules/:rule/branches", () => {
  test("answers what the rule means, or 404", async () => {
    const matched = {
      rule: "web",
      source: "shop",
      matches: 1,
      of: 2,
      branches: [{ id: "1", name: "preview/x", matches: true, why: 'matches "preview/*"' }],
      nearMisses: ["preview/feat/x"],
    };
    const { app } = harness({ matching: async (rule) => (rule === "web" ? matched : null) });
    expect((await get(app, "/v1/rules/web/branches")).json).toEqual(matched);
    expect((await get(app, "/v1/rules/other/branches")).status).toBe(404);
  });
});

describe("GET /v1/sources", () => {
  test("lists them and gives one", async () => {
    const { app } = harness();
    expect((await get(app, "/v1/sources")).json.items).toHaveLength(3);
    expect((await get(app, "/v1/sources/00000000-0000-4000-8000-000000000001")).json).toEqual(someSource(1));
    expect((await get(app, "/v1/sources/none")).status).toBe(404);
  });
});
