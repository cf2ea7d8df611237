import { describe, expect, test } from "vitest";
import { adminRouter } from "../../../../services/api/app.ts";
import { adminTokenOnly, anyOf, digest, mintToken, storedTokens } from "../../../../services/api/auth.ts";
import type { Operation } from "../../../../services/api/operation.ts";
import type { Principal, Scope } from "../../../../services/api/ports.ts";
import { readEnvironment } from "../../../../services/config.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { AUTHORIZED, harness, TOKEN, uuid } from "./harness.ts";

/** From the router itself, so that none can be forgotten. */
const OPERATIONS: readonly Operation[] = adminRouter(harness().deps).operations.filter(
  ({ scope }) => scope !== null,
);

const pathOf = ({ path }: Operation): string =>
  path
    .replace("/events/{id}", "/events/1")
    .replace("{id}", uuid(1))
    .replace("{source}", "shop")
    .replace("{rule}", "web");
const methodOf = ({ method }: Operation): string => method.toUpperCase();

/** One for all that only refuse: nothing of it changes. */
const refusing = harness();

const someone = (over: Partial<Principal>): Principal => ({
  id: "t",
  name: "t",
  scopes: new Set(["read", "write", "admin", "reveal"]),
  limits: null,
  revealDefault: true,
  ...over,
});

describe.each(OPERATIONS.map((operation) => [operation.id, operation] as const))("%s", (_, operation) => {
  const method = methodOf(operation);
  const path = pathOf(operation);
  const scope = operation.scope ?? "read";
  const as = (over: Partial<Principal>) => harness({ authenticate: async () => someone(over) }).app;

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
  ])("refuses %s with 401", async (_name, headers: Record<string, string>) => {
    const { app, logged } = refusing;
    const answer = await app.request(path, { method, headers });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer realm="branchline"/);
    const text = await answer.text();
    expect(JSON.parse(text)).toMatchObject({ type: "urn:branchline:problem:unauthenticated" });
    expect(text + logged()).not.toContain(TOKEN.slice(0, -1));
  });

  test("refuses a token in the query", async () => {
    const { app } = refusing;
    expect((await app.request(`${path}?access_token=${TOKEN}`, { method })).status).toBe(401);
  });

  test(`needs the scope ${scope} and no other, and says which is missing and nothing else`, async () => {
    const others = (["read", "write", "admin", "reveal"] as const).filter((one) => one !== scope);
    // A request that could not be understood either: what is wrong with it is told to nobody who may not ask.
    const answer = await as({ scopes: new Set(others) }).request(`${path}?canary=1`, {
      method,
      headers: AUTHORIZED,
    });
    expect(answer.status).toBe(403);
    expect(answer.headers.get("www-authenticate")).toContain(`scope="${scope}"`);
    expect(await answer.json()).toEqual({
      type: "urn:branchline:problem:forbidden",
      title: expect.any(String),
      status: 403,
      detail: `This needs the scope ${scope}.`,
      requestId: expect.any(String),
    });
    const enough = await as({ scopes: new Set<Scope>([scope]) }).request(path, {
      method,
      headers: AUTHORIZED,
    });
    expect([401, 403]).not.toContain(enough.status);
  });

  test(operation.whole ? "is not for tokens with limits" : "is for tokens with limits too", async () => {
    const limits = { sources: ["shop"], branches: null, destinations: null };
    const answer = await as({ limits }).request(path, { method, headers: AUTHORIZED });
    expect(answer.status === 403).toBe(operation.whole);
  });

  test("lets the admin token in, whatever the case of the scheme", async () => {
    const { app } = harness();
    const answer = await app.request(path, { method, headers: { authorization: `bearer ${TOKEN}` } });
    expect([401, 403]).not.toContain(answer.status);
  });
});

test("every route is an operation, or one that needs no token on purpose", () => {
  const { app } = harness();
  const known = new Set(
    OPERATIONS.map((one) => `${methodOf(one)} ${one.path.replaceAll(/\{(\w+)\}/g, ":$1")}`),
  );
  const open = app.routes
    .filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${path}`)
    .filter((route) => !known.has(route));
  expect(new Set(open)).toEqual(
    new Set([
      "GET /healthz",
      "GET /readyz",
      "GET /openapi.json",
      "GET /docs",
      "POST /webhooks/github",
      "POST /webhooks/neon",
    ]),
  );
});

test("sources, destinations, tokens and the whole need admin; what reveals needs reveal", () => {
  const scopes = new Map(OPERATIONS.map(({ id, scope }) => [id, scope]));
  for (const id of ["suspendDestination", "resumeDestination", "suspendAll", "resumeAll", "createToken"]) {
    expect([id, scopes.get(id)]).toEqual([id, "admin"]);
  }
  expect([...scopes].filter(([, scope]) => scope === "reveal").map(([id]) => id)).toEqual([
    "revealConnection",
    "revealVariables",
  ]);
});

describe("rate", () => {
  const limited = (names: Record<string, string>) =>
    harness({
      rate: { burst: 2, perSecond: 0.5 },
      authenticate: async (token) => {
        const id = names[token.reveal()];
        return id === undefined ? null : someone({ id });
      },
    }).app;

  test("one token that asks too fast waits, with a time; another does not", async () => {
    const app = limited({ one: "1", two: "2" });
    const ask = async (token: string) =>
      await app.request("/v1/branches", { headers: { authorization: `Bearer ${token}` } });
    expect([(await ask("one")).status, (await ask("one")).status]).toEqual([200, 200]);
    const refused = await ask("one");
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "2"]);
    expect(await refused.json()).toMatchObject({ type: "urn:branchline:problem:too_many_requests" });
    expect((await ask("two")).status).toBe(200);
  });
});

describe("adminTokenOnly()", () => {
  const PRINTABLE = Array.from({ length: 0x7e - 0x20 }, (_, n) => String.fromCharCode(0x21 + n));
  const TOKENS = [
    ...PRINTABLE.flatMap((char) => [`${TOKEN}${char}`, `${char}${TOKEN}`]),
    `${TOKEN}==`,
    "a".repeat(4_096),
    "a".repeat(4_097),
  ];
  const starts = (token: string): boolean => {
    try {
      return readEnvironment({ BRANCHLINE_ADMIN_TOKEN: token }).adminToken !== null;
    } catch {
      return false;
    }
  };
  let configured = "";
  const { app } = harness({ authenticate: async (sent) => adminTokenOnly(new Secret(configured))(sent) });
  const letsIn = async (token: string): Promise<boolean> => {
    configured = token;
    const answer = await app.request("/v1/branches", { headers: { authorization: `Bearer ${token}` } });
    return answer.status === 200;
  };

  test("starts with exactly those tokens that it can let in", async () => {
    const differing = [];
    for (const token of TOKENS) if (starts(token) !== (await letsIn(token))) differing.push(token);
    expect(differing).toEqual([]);
    expect(TOKENS.filter(starts).length).toBeGreaterThan(100);
  });

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
    expect(principal?.limits).toBeNull();
  });
});

describe("tokens of our own", () => {
  test("are 32 random bytes that are recognised, and looked for by their hash alone", async () => {
    const token = mintToken();
    expect(token.reveal()).toMatch(/^blt_[\w-]{43}$/);
    expect(mintToken().reveal()).not.toBe(token.reveal());
    const asked: Buffer[] = [];
    const authenticate = storedTokens(async (hash) => {
      asked.push(hash);
      return null;
    });
    expect(await authenticate(token)).toBeNull();
    expect(await authenticate(new Secret("not-one-of-ours"))).toBeNull();
    expect(asked).toEqual([digest(token)]);
  });

  test("are tried after the operator's", async () => {
    const both = anyOf(adminTokenOnly(new Secret(TOKEN)), async () => someone({ name: "ci" }));
    expect((await both(new Secret(TOKEN)))?.name).toBe("admin token");
    expect((await both(new Secret("blt_x")))?.name).toBe("ci");
  });
});
