import { request } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  startVault,
  VAULT_APPROLE,
  VAULT_TOKEN,
  type VaultOptions,
  type VaultState,
} from "../../../infra/sandbox/vault.ts";
import type { Vendor } from "../../../infra/sandbox/vendor.ts";

const MERGE = { "content-type": "application/merge-patch+json" };

let vault: Vendor<VaultState>;
let clock: number;

beforeEach(async () => {
  clock = Date.parse("2026-11-20T12:00:00Z");
  await restart();
});

afterEach(() => vault.close());

async function restart(options: VaultOptions = {}): Promise<void> {
  await vault?.close();
  vault = await startVault({ now: () => clock, ...options });
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: the tests below read answers of many shapes
  readonly body: any;
}

async function call(method: string, path: string, body?: unknown, headers: object = {}): Promise<Answer> {
  const response = await fetch(`${vault.url}/v1/${path}`, {
    method,
    redirect: "manual",
    headers: { "x-vault-token": VAULT_TOKEN, ...headers },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const { status } = response;
  return { status, headers: response.headers, text, body: text === "" ? null : JSON.parse(text) };
}

const get = (path: string, headers = {}) => call("GET", path, undefined, headers);
const post = (path: string, body?: unknown, headers = {}) => call("POST", path, body, headers);
const put = (cas: number, data: object, path = "kv/data/app/db") => post(path, { options: { cas }, data });

describe("tokens", () => {
  it("are needed, and expire with 403", async () => {
    const token = vault.state.createToken({ ttlSeconds: 60 });
    const as = { "x-vault-token": token };
    expect((await fetch(`${vault.url}/v1/kv/data/app`)).status).toBe(403);
    expect((await get("kv/data/app", { "x-vault-token": "hvs.wrong" })).text).toContain("permission denied");
    expect((await get("kv/data/app", as)).status).toBe(404);
    clock += 61_000;
    expect((await get("kv/data/app", as)).status).toBe(403);
    const other = vault.state.createToken();
    vault.state.expireToken(other);
    expect((await get("kv/data/app", { "x-vault-token": other })).status).toBe(403);
  });

  it("look themselves up and renew, unless they are batch tokens or not renewable", async () => {
    const token = vault.state.createToken({ ttlSeconds: 100 });
    const as = { "x-vault-token": token };
    clock += 40_000;
    expect((await get("auth/token/lookup-self", as)).body.data).toMatchObject({ ttl: 60, renewable: true });
    const renewed = await post("auth/token/renew-self", { increment: "300s" }, as);
    expect(renewed.body.auth).toMatchObject({ client_token: token, lease_duration: 300 });
    const batch = vault.state.createToken({ type: "batch" });
    expect((await post("auth/token/renew-self", {}, { "x-vault-token": batch })).status).toBe(400);
    const fixed = vault.state.createToken({ renewable: false });
    expect((await post("auth/token/renew-self", {}, { "x-vault-token": fixed })).status).toBe(400);
    expect((await post("auth/token/revoke-self", {}, as)).status).toBe(204);
    expect((await get("auth/token/lookup-self", as)).status).toBe(403);
  });

  it("are held to their policy, with create and update told apart", async () => {
    const token = vault.state.createToken({
      policy: [
        { path: "kv/data/app/*", capabilities: ["create", "read"] },
        { path: "kv/data/app/secret", capabilities: ["read"] },
        { path: "kv/metadata/+/db", capabilities: ["read"] },
      ],
    });
    const as = { "x-vault-token": token };
    const data = { data: { A: "1" } };
    expect((await post("kv/data/app/db", data, as)).status).toBe(200);
    expect((await post("kv/data/app/db", data, as)).status).toBe(403);
    expect((await get("kv/data/app/db", as)).status).toBe(200);
    expect((await call("PATCH", "kv/data/app/db", data, { ...as, ...MERGE })).status).toBe(403);
    expect((await post("kv/data/app/secret", data, as)).status).toBe(403);
    expect((await post("kv/data/other", data, as)).status).toBe(403);
    expect((await get("kv/metadata/app/db", as)).status).toBe(200);
    expect((await get("kv/metadata/app/x/db", as)).status).toBe(403);
    expect((await get("kv/metadata/?list=true", as)).status).toBe(403);
    expect((await get("auth/token/lookup-self", as)).status).toBe(200);
  });
});

describe("logins", () => {
  it("give a token for a right secret id, and one text for every wrong one", async () => {
    const { role, secret } = VAULT_APPROLE;
    const good = await post("auth/approle/login", { role_id: role, secret_id: secret });
    const { client_token, lease_duration, renewable } = good.body.auth;
    expect({ lease_duration, renewable }).toEqual({ lease_duration: 3600, renewable: true });
    expect((await get("auth/token/lookup-self", { "x-vault-token": client_token })).status).toBe(200);
    const bad = await post("auth/approle/login", { role_id: role, secret_id: "no" });
    expect([bad.status, bad.body]).toEqual([400, { errors: ["invalid role or secret ID"] }]);
    expect((await post("auth/approle/login", { secret_id: secret })).body.errors).toEqual([
      "missing role_id",
    ]);
    expect((await post("auth/other/login", { role_id: role, secret_id: secret })).status).toBe(403);
    expect((await get("auth/approle/login")).status).toBe(405);
    expect((await post("auth//login", { role, jwt: "x" })).status).toBe(400);
  });

  it("unwrap a secret id once", async () => {
    const wrapping = vault.state.wrapSecretId(VAULT_APPROLE.role);
    const as = { "x-vault-token": wrapping };
    const { body } = await post("sys/wrapping/unwrap", undefined, as);
    const login = { role_id: VAULT_APPROLE.role, secret_id: body.data.secret_id };
    expect((await post("auth/approle/login", login)).status).toBe(200);
    const again = await post("sys/wrapping/unwrap", undefined, as);
    expect([again.status, again.body.errors]).toEqual([
      400,
      ["wrapping token is not valid or does not exist"],
    ]);
  });

  it("take a JWT for kubernetes and jwt roles", async () => {
    vault.state.addLogin({ method: "kubernetes", role: "branchline", secret: "service.account.jwt" });
    vault.state.addLogin({ method: "jwt", mount: "github", role: "ci", secret: "oidc.jwt" });
    const login = (mount: string, role: string, jwt: string) => post(`auth/${mount}/login`, { role, jwt });
    expect((await login("kubernetes", "branchline", "service.account.jwt")).status).toBe(200);
    expect((await login("kubernetes", "branchline", "forged")).status).toBe(403);
    expect((await login("github", "ci", "oidc.jwt")).status).toBe(200);
    const forged = await login("github", "ci", "forged-jwt");
    expect(forged.status).toBe(400);
    expect(forged.text).not.toContain("forged-jwt");
  });
});

describe("KV v2 data", () => {
  it("writes and reads versions", async () => {
    const first = await put(0, { URL: "one" });
    expect(first.body.data).toMatchObject({ version: 1, deletion_time: "", destroyed: false });
    await put(1, { URL: "two" });
    const { body } = await get("kv/data/app/db");
    expect(body.data.data).toEqual({ URL: "two" });
    expect(body.data.metadata).toMatchObject({ version: 2, created_time: "2026-11-20T12:00:00.000000000Z" });
    expect((await get("kv/data/app/db?version=1")).body.data.data).toEqual({ URL: "one" });
    expect((await get("kv/data/app/db?version=9")).body).toEqual({ errors: [] });
    expect((await get("kv/data/nothing")).body).toEqual({ errors: [] });
  });

  it("tells check-and-set failures apart by text alone", async () => {
    await put(0, { A: "canary-1" });
    const errors = async (body: unknown) => {
      const answer = await post("kv/data/app/db", body);
      expect(answer.status).toBe(400);
      expect(answer.text).not.toContain("canary");
      return answer.body.errors[0];
    };
    const data = { A: "canary-2" };
    const mismatch = "check-and-set parameter did not match the current version";
    expect(await errors({ options: { cas: 0 }, data })).toBe(mismatch);
    expect(await errors({ options: { cas: 2 }, data })).toBe(mismatch);
    expect(await errors({ options: { cas: "x" }, data })).toBe("error parsing check-and-set parameter");
    expect(await errors({ options: { cas: 1 } })).toBe("no data provided");
    expect(await errors({ options: { cas: 1 }, data: "canary" })).toContain("data");
    expect(await errors('{"data": canary')).toBe("failed to parse JSON input");
    await post("kv/config", { cas_required: true });
    expect(await errors({ data })).toBe("check-and-set parameter required for this call");
    expect(vault.state.values("app/db")).toEqual({ A: "canary-1" });
  });

  it("lets ownership be stamped before the first version, which is then written with cas 0", async () => {
    await post("kv/metadata/app/db", { custom_metadata: { owner: "us" } });
    const read = await get("kv/data/app/db");
    expect([read.status, read.body]).toEqual([404, { errors: [] }]);
    expect((await get("kv/metadata/app/db")).body.data).toMatchObject({ current_version: 0, versions: {} });
    const { body } = await put(0, { A: "1" });
    expect(body.data).toMatchObject({ version: 1, custom_metadata: { owner: "us" } });
  });

  it("keeps current_version through a soft delete: 404 with metadata, and cas 0 does not revive", async () => {
    await put(0, { A: "1" });
    expect((await call("DELETE", "kv/data/app/db")).status).toBe(204);
    const gone = await get("kv/data/app/db");
    expect(gone.status).toBe(404);
    expect(gone.body.data).toMatchObject({ data: null, metadata: { version: 1, destroyed: false } });
    expect(gone.body.data.metadata.deletion_time).not.toBe("");
    expect((await put(0, { A: "2" })).status).toBe(400);
    expect((await put(1, { A: "2" })).body.data.version).toBe(2);
    expect((await call("DELETE", "kv/data/never/there")).status).toBe(204);
  });

  it("deletes, undeletes and destroys chosen versions", async () => {
    await put(0, { A: "1" });
    await put(1, { A: "2" });
    const versions = { versions: [1] };
    expect((await post("kv/delete/app/db", {})).body.errors).toEqual(["No version number provided"]);
    expect((await post("kv/delete/app/db", versions)).status).toBe(204);
    expect((await get("kv/data/app/db?version=1")).status).toBe(404);
    await post("kv/undelete/app/db", versions);
    expect((await get("kv/data/app/db?version=1")).status).toBe(200);
    expect((await call("PUT", "kv/destroy/app/db", versions)).status).toBe(204);
    await post("kv/undelete/app/db", versions);
    const destroyed = await get("kv/data/app/db?version=1");
    expect([destroyed.status, destroyed.body.data.metadata.destroyed]).toEqual([404, true]);
    expect(vault.state.values("app/db")).toEqual({ A: "2" });
  });

  it("merges by PATCH only with its content type, and not into what is deleted", async () => {
    await put(0, { A: "1", B: "2", nested: { x: "1", y: "2" } });
    const patch = { options: { cas: 1 }, data: { B: null, C: "3", nested: { x: null } } };
    const wrong = await call("PATCH", "kv/data/app/db", patch, { "content-type": "application/json" });
    expect(wrong.status).toBe(415);
    expect((await call("PATCH", "kv/data/app/db", patch, MERGE)).body.data.version).toBe(2);
    expect(vault.state.values("app/db")).toEqual({ A: "1", C: "3", nested: { y: "2" } });
    expect((await call("PATCH", "kv/data/app/db", patch, MERGE)).status).toBe(400);
    expect((await call("PATCH", "kv/data/none", { data: {} }, MERGE)).status).toBe(404);
    await call("DELETE", "kv/data/app/db");
    const deleted = await call("PATCH", "kv/data/app/db", { data: { A: "9" } }, MERGE);
    expect([deleted.status, deleted.body.data.version]).toEqual([404, 2]);
  });

  it("shows subkeys without values", async () => {
    await put(0, { A: "hidden", nested: { x: "hidden" } });
    const { body, text } = await get("kv/subkeys/app/db");
    expect(body.data.subkeys).toEqual({ A: null, nested: { x: null } });
    expect(text).not.toContain("hidden");
  });

  it("prunes beyond ten versions, or beyond max_versions", async () => {
    for (let cas = 0; cas < 12; cas += 1) await put(cas, { n: cas });
    const { data } = (await get("kv/metadata/app/db")).body;
    expect(data).toMatchObject({ current_version: 12, oldest_version: 3 });
    expect(Object.keys(data.versions)).toHaveLength(10);
    expect((await get("kv/data/app/db?version=2")).status).toBe(404);
    await post("kv/metadata/app/few", { max_versions: 2 });
    for (let cas = 0; cas < 3; cas += 1) await put(cas, { n: cas }, "kv/data/app/few");
    expect(Object.keys((await get("kv/metadata/app/few")).body.data.versions)).toEqual(["2", "3"]);
  });

  it("ends versions by delete_version_after", async () => {
    await post("kv/config", { delete_version_after: "1m" });
    expect((await get("kv/config")).body.data).toMatchObject({
      delete_version_after: "1m0s",
      max_versions: 0,
    });
    await put(0, { A: "1" });
    expect((await get("kv/data/app/db")).body.data.metadata.deletion_time).toContain("12:01:00");
    clock += 60_000;
    expect((await get("kv/data/app/db")).status).toBe(404);
    expect(vault.state.values("app/db")).toBeNull();
  });
});

describe("KV v2 metadata", () => {
  it("is replaced by POST and merged by PATCH", async () => {
    const path = "kv/metadata/app/db";
    const custom = async () => (await get(path)).body.data.custom_metadata;
    expect((await call("PATCH", path, { custom_metadata: { a: "1" } }, MERGE)).status).toBe(404);
    expect((await post(path, { custom_metadata: { a: "1", b: "2" } })).status).toBe(204);
    await call("PATCH", path, { custom_metadata: { b: null, c: "3" } }, MERGE);
    expect(await custom()).toEqual({ a: "1", c: "3" });
    await post(path, { custom_metadata: { d: 4 } });
    expect(await custom()).toEqual({ d: "4" });
    expect((await call("PATCH", path, { custom_metadata: {} }, {})).status).toBe(415);
  });

  it("has limits, and its errors name keys only", async () => {
    const refused = async (custom_metadata: unknown) => {
      const answer = await post("kv/metadata/app/db", { custom_metadata });
      expect(answer.status).toBe(400);
      expect(answer.text).not.toContain("canary");
      return answer.body.errors[0];
    };
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`k${n}`, "canary"]));
    expect(await refused(many)).toContain("at most 64 keys, provided 65");
    expect(await refused({ ["k".repeat(129)]: "canary" })).toContain("is 129 but must be");
    expect(await refused({ k: "canary".repeat(90) })).toContain('value for key "k" is 540');
    expect(await refused({ k: "" })).toContain("0 < len(value)");
    expect(await refused({ k: "canary\u0007" })).toContain("unprintable");
    expect(await refused({ k: { canary: 1 } })).toContain("expected type 'string'");
  });

  it("lists names and folders by ?list=true, and goes for good by DELETE", async () => {
    await put(0, { A: "1" });
    await put(0, { A: "1" }, "kv/data/app/deep/er");
    expect((await get("kv/metadata/app?list=true")).body.data.keys).toEqual(["db", "deep/"]);
    expect((await get("kv/metadata/?list=true")).body.data.keys).toEqual(["app/"]);
    expect((await get("kv/metadata/none?list=true")).body).toEqual({ errors: [] });
    expect((await get("kv/data/app?list=true")).status).toBe(405);
    expect((await call("DELETE", "kv/metadata/app/db")).status).toBe(204);
    expect((await put(0, { A: "1" })).body.data.version).toBe(1);
  });
});

describe("paths", () => {
  it("are refused when they are not canonical, whichever way they are written", async () => {
    const raw = (path: string) => {
      return new Promise<number | undefined>((resolve, reject) => {
        const headers = { "x-vault-token": VAULT_TOKEN };
        const sent = request(vault.url, { path, headers }, (response) =>
          resolve(response.resume().statusCode),
        );
        sent.on("error", reject).end();
      });
    };
    for (const path of [
      "data/../../sys/policy",
      "data/./x",
      "data//x",
      "data/%2e%2e/x",
      "data/a%2F..%2Fb",
      "data/%zz",
    ]) {
      expect(await raw(`/v1/kv/${path}`), path).toBe(400);
    }
    expect(await raw("/v2/kv/data/x")).toBe(404);
  });

  it("are decoded once, so an encoded slash is a slash", async () => {
    await put(0, { A: "1" }, "kv/data/app%2Fb%20c%23d");
    expect(vault.state.values("app/b c#d")).toEqual({ A: "1" });
  });

  it("of version 1 on a version 2 mount warn with 404, and unknown mounts have no route", async () => {
    const wrong = await post("kv/app/db", { A: "1" });
    expect(wrong.status).toBe(404);
    expect(wrong.body.warnings[0]).toContain("Invalid path for a versioned K/V secrets engine");
    expect((await get("secret/data/x")).body.errors[0]).toContain("no handler for route");
    expect((await post("kv/data/app/", { data: {} })).status).toBe(404);
  });
});

describe("KV v1", () => {
  it("keeps a flat body and replaces it whole", async () => {
    expect((await post("kv1/app", {})).body.errors).toEqual(["missing data fields"]);
    expect((await post("kv1/app", { A: "1", B: "2" })).status).toBe(204);
    await call("PUT", "kv1/app", { A: "3" });
    expect((await get("kv1/app")).body).toMatchObject({ data: { A: "3" }, lease_duration: 2_764_800 });
    expect((await call("PATCH", "kv1/app", { A: "4" }, MERGE)).status).toBe(405);
    expect((await get("kv1/?list=true")).body.data.keys).toEqual(["app"]);
    expect((await call("DELETE", "kv1/app")).status).toBe(204);
    expect((await get("kv1/app")).body).toEqual({ errors: [] });
  });
});

describe("the node", () => {
  it("says which version a mount has to whoever has some access there", async () => {
    expect((await get("sys/internal/ui/mounts/kv")).body.data).toMatchObject({
      type: "kv",
      path: "kv/",
      options: { version: "2" },
    });
    expect((await get("sys/internal/ui/mounts/kv1")).body.data.options).toBeNull();
    expect((await get("sys/internal/ui/mounts/other")).status).toBe(403);
    const token = vault.state.createToken({ policy: [{ path: "kv1/*", capabilities: ["read"] }] });
    expect((await get("sys/internal/ui/mounts/kv", { "x-vault-token": token })).status).toBe(403);
  });

  it("answers health without a token, sealed or not", async () => {
    const health = async (query = "") => (await fetch(`${vault.url}/v1/sys/health${query}`)).status;
    expect(await health()).toBe(200);
    vault.state.sealed = true;
    expect(await health()).toBe(503);
    expect(await health("?sealedcode=299")).toBe(299);
    const sealed = await get("kv/data/app/db");
    expect([sealed.status, sealed.body]).toEqual([503, { errors: ["Vault is sealed"] }]);
  });

  it("sends clients of a standby elsewhere with 307", async () => {
    vault.state.standbyFor = "http://leader.test:8200";
    const response = await fetch(`${vault.url}/v1/kv/data/app?version=1`, { redirect: "manual" });
    expect(response.status).toBe(307);
    expect(response.headers.get("location")).toBe("http://leader.test:8200/v1/kv/data/app?version=1");
    expect((await fetch(`${vault.url}/v1/sys/health`)).status).toBe(429);
    expect((await fetch(`${vault.url}/v1/sys/health?standbyok=true`)).status).toBe(200);
  });

  it("throttles by quota, and names the wait only where the operator says so", async () => {
    vault.state.quota = { requests: 1, intervalMs: 3000, headers: false };
    await get("kv/data/x");
    const plain = await get("kv/data/x");
    expect([plain.status, plain.headers.get("retry-after")]).toEqual([429, null]);
    vault.state.quota = { requests: 1, intervalMs: 3000, headers: true };
    expect((await get("kv/data/x")).headers.get("retry-after")).toBe("3");
    clock += 3001;
    expect((await get("kv/data/x")).status).toBe(404);
  });

  it("wants its namespace where it has one", async () => {
    vault.state.namespace = "team-a";
    expect((await get("kv/data/x")).status).toBe(403);
    expect((await get("kv/data/x", { "x-vault-namespace": "team-b" })).status).toBe(403);
    expect((await get("kv/data/x", { "x-vault-namespace": "team-a/" })).status).toBe(404);
  });

  it("gives Vault's bodies for injected faults, and names calls without paths of secrets", async () => {
    vault.addFault({ kind: "status", status: 412, times: 1 });
    expect((await get("kv/data/app/db")).body).toEqual({ errors: ["required index state not present"] });
    await get("kv1/app");
    await post("auth/approle/login", {});
    expect(vault.log.map((line) => line.operation)).toEqual([
      "GET /v1/:mount/data/:path",
      "GET /v1/:mount/:path",
      "POST /v1/auth/:mount/login",
    ]);
  });
});
