import { createSign, generateKeyPairSync } from "node:crypto";
import { request } from "node:http";
import sodium from "libsodium-wrappers";
import { afterEach, describe, expect, test } from "vitest";
import { GITHUB_DEFAULTS, signDelivery, startGitHub } from "../../../infra/sandbox/github.ts";

const { token, repository, repositoryId, appId, installationId, organization } = GITHUB_DEFAULTS;
const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const vendor of opened.splice(0)) await vendor.close();
});

/** A stand-in and a client that says everything right unless told otherwise. */
async function start(options: Parameters<typeof startGitHub>[0] = {}) {
  const github = await startGitHub(options);
  opened.push(github);
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(new URL(path, github.url), {
      method,
      headers: { authorization: `Bearer ${token}`, accept: "application/vnd.github+json", ...headers },
      redirect: "manual",
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      json: text === "" ? null : JSON.parse(text),
    };
  };
  const put = async (path: string, value: string, more: Record<string, unknown> = {}) => {
    const key = (await call("GET", `${path.slice(0, path.lastIndexOf("/"))}/public-key`)).json;
    return call("PUT", path, { encrypted_value: seal(value, key.key), key_id: key.key_id, ...more });
  };
  return { github, call, put, state: github.state };
}

function seal(value: string, key: string): string {
  return Buffer.from(sodium.crypto_box_seal(value, Buffer.from(key, "base64"))).toString("base64");
}

const SECRETS = `/repos/${repository}/actions/secrets`;

describe("every request", () => {
  test("needs a User-Agent", async () => {
    const { github } = await start();
    const { hostname, port } = new URL(github.url);
    const status = await new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` };
      const sent = request({ hostname, port, path: `/repos/${repository}`, headers }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      sent.on("error", reject);
      sent.end();
    });
    expect(status).toBe(403);
  });

  test("tells no token from a bad one, and refuses a foreign Accept and an unknown version", async () => {
    const { github, call } = await start();
    expect((await fetch(`${github.url}/repos/${repository}`)).status).toBe(401);
    const bad = await call("GET", `/repos/${repository}`, undefined, { authorization: "Bearer x" });
    expect([bad.status, bad.json]).toEqual([
      401,
      { message: "Bad credentials", documentation_url: "https://docs.github.com/rest", status: "401" },
    ]);
    expect((await call("GET", `/repos/${repository}`, undefined, { accept: "text/html" })).status).toBe(415);
    const version = { "x-github-api-version": "2020-01-01" };
    expect((await call("GET", `/repos/${repository}`, undefined, version)).status).toBe(400);
  });

  test("is answered with a request id, the limits, and the stand-in's own time", async () => {
    const { call, state } = await start();
    state.advance(86_400_000);
    const { headers } = await call("GET", `/repos/${repository}`);
    expect(headers.get("x-github-request-id")).toMatch(/^[0-9A-F]{4}:/);
    expect(headers.get("x-ratelimit-remaining")).toBe("4999");
    expect(Math.abs(Date.parse(headers.get("date") ?? "") - state.now())).toBeLessThan(2000);
  });
});

describe("repositories", () => {
  test("are found whatever the case, and after a move by a redirect to the id", async () => {
    const { call, state } = await start();
    expect((await call("GET", "/repos/ACME/Shop")).json).toMatchObject({
      id: repositoryId,
      full_name: repository,
    });
    state.move(repository, "acme/store");
    const moved = await call("GET", `${SECRETS}?per_page=5`);
    expect(moved.status).toBe(301);
    const { pathname, search } = new URL(moved.headers.get("location") ?? "");
    expect(pathname + search).toBe(`/repositories/${repositoryId}/actions/secrets?per_page=5`);
    expect((await call("GET", pathname)).status).toBe(200);
    expect((await call("DELETE", `${SECRETS}/A`)).status).toBe(307);
    state.addRepository({ fullName: repository });
    expect((await call("GET", `/repos/${repository}`)).json.id).not.toBe(repositoryId);
  });

  test("do not exist for a token that may not see them", async () => {
    const { call, state } = await start();
    state.addRepository({ fullName: "acme/other" });
    state.addToken({ token: "narrow", repositories: ["acme/other"] });
    expect((await call("GET", SECRETS, undefined, { authorization: "Bearer narrow" })).status).toBe(404);
  });
});

describe("secrets", () => {
  test("are really unsealed: 201 when new, 204 when replaced, whole seconds, never a value", async () => {
    const { call, put, state } = await start();
    expect((await put(`${SECRETS}/database_url`, "postgres://é")).status).toBe(201);
    expect(state.secret(repository, "DATABASE_URL")).toBe("postgres://é");
    state.advance(5000);
    expect((await put(`${SECRETS}/DATABASE_URL`, "two")).status).toBe(204);
    const one = (await call("GET", `${SECRETS}/Database_Url`)).json;
    expect(Object.keys(one)).toEqual(["name", "created_at", "updated_at"]);
    expect(one.updated_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(Date.parse(one.updated_at) - Date.parse(one.created_at)).toBeGreaterThanOrEqual(4000);
    expect((await call("DELETE", `${SECRETS}/DATABASE_URL`)).status).toBe(204);
    expect((await call("DELETE", `${SECRETS}/DATABASE_URL`)).status).toBe(404);
  });

  test("refuse what was sealed for another key, badly, or not at all", async () => {
    const { call, state } = await start();
    const { key, key_id } = (await call("GET", `${SECRETS}/public-key`)).json;
    const attempt = async (body: unknown) => {
      const { status, json } = await call("PUT", `${SECRETS}/A`, body);
      return `${status} ${json?.message ?? ""}`;
    };
    const environment = (await call("GET", `/repos/${repository}/environments/preview/secrets/public-key`))
      .json;
    expect(environment.key).not.toBe(key);
    expect(await attempt({ encrypted_value: seal("v", key) })).toContain(
      '422 Invalid request.\n\n"key_id" wasn\'t',
    );
    expect(await attempt({ key_id })).toContain('"encrypted_value" wasn\'t supplied');
    expect(await attempt({ encrypted_value: "not base64!", key_id })).toContain("does not match");
    const improper = "422 Bad request - validation failed due to an improperly encrypted secret";
    expect(await attempt({ encrypted_value: Buffer.from("plain").toString("base64"), key_id })).toBe(
      improper,
    );
    expect(await attempt({ encrypted_value: seal("v", environment.key), key_id })).toBe(improper);
    expect(await attempt({ encrypted_value: seal("v", key), key_id: "123" })).toBe(improper);
    state.rotateKey(repository);
    expect(await attempt({ encrypted_value: seal("v", key), key_id })).toBe(improper);
    expect(await attempt("{")).toBe("400 Problems parsing JSON");
    expect(state.secrets(repository)).toEqual({});
  });

  test.each(["GITHUB_TOKEN", "github_x", "1ABC", "A-B"])("refuse the name %s", async (name) => {
    const { put } = await start();
    expect((await put(`${SECRETS}/${name}`, "v")).status).toBe(422);
  });

  test("are limited in number and size", async () => {
    const { put } = await start({
      rules: { secretsPer: { repository: 1, environment: 1, organization: 1 } },
    });
    expect((await put(`${SECRETS}/A`, "x".repeat(48 * 1024))).status).toBe(201);
    expect((await put(`${SECRETS}/A`, "x".repeat(48 * 1024 + 1))).status).toBe(422);
    expect((await put(`${SECRETS}/B`, "v")).status).toBe(422);
    expect((await put(`${SECRETS}/A`, "v")).status).toBe(204);
  });

  test("are listed in pages of at most 100, with links", async () => {
    const { call, state } = await start();
    for (let i = 0; i < 100; i += 1) state.edit(repository, `S${i}`, "v");
    const first = await call("GET", `${SECRETS}?per_page=60`);
    expect([first.json.total_count, first.json.secrets.length]).toEqual([100, 60]);
    const next = /<([^>]+)>; rel="next"/.exec(first.headers.get("link") ?? "")?.[1] ?? "";
    expect((await call("GET", next)).json.secrets.length).toBe(40);
    expect((await call("GET", SECRETS)).json.secrets.length).toBe(30);
    expect((await call("GET", `${SECRETS}?per_page=500`)).json.secrets.length).toBe(100);
  });

  test("of Dependabot are a family of their own, behind a permission of their own", async () => {
    const { call, put, state } = await start();
    expect((await put(`/repos/${repository}/dependabot/secrets/A`, "v")).status).toBe(201);
    expect(state.secret(repository, "A")).toBeUndefined();
    expect(state.secret(repository, "A", { family: "dependabot" })).toBe("v");
    state.addToken({ token: "narrow", permissions: { secrets: "write" } });
    const headers = { authorization: "Bearer narrow" };
    expect((await call("GET", SECRETS, undefined, headers)).status).toBe(200);
    const refused = await call("GET", `/repos/${repository}/dependabot/secrets`, undefined, headers);
    expect([refused.status, refused.json.message]).toEqual([
      403,
      "Resource not accessible by personal access token",
    ]);
  });

  test("can carry a time that is later than the answer's Date", async () => {
    const { call, put } = await start({ rules: { updatedAtSkewMs: 3000 } });
    const { headers } = await put(`${SECRETS}/A`, "v");
    const { updated_at } = (await call("GET", `${SECRETS}/A`)).json;
    expect(Date.parse(updated_at) - Date.parse(headers.get("date") ?? "")).toBeGreaterThanOrEqual(2000);
  });
});

describe("environments", () => {
  test("must exist, have their own key and names, and ignore case", async () => {
    const { call, put, state } = await start();
    const base = `/repos/${repository}/environments`;
    expect((await call("GET", `${base}/nowhere/secrets`)).status).toBe(404);
    expect((await call("PUT", `${base}/${encodeURIComponent("team/qa")}`)).status).toBe(200);
    expect((await put(`${base}/Team%2FQA/secrets/A`, "in qa")).status).toBe(201);
    expect(state.secret(repository, "A", { environment: "team/qa" })).toBe("in qa");
    expect(state.secret(repository, "A")).toBeUndefined();
    expect((await call("GET", `${base}/team/qa/secrets`)).status).toBe(404);
  });

  test("refuse protection rules on private repositories outside Enterprise", async () => {
    const { call } = await start();
    const path = `/repos/${repository}/environments/staging`;
    expect((await call("PUT", path, { wait_timer: 0 })).status).toBe(422);
    expect((await call("GET", path)).status).toBe(404);
  });
});

describe("organization secrets", () => {
  test("demand their visibility each time, and lose a list that is not sent again", async () => {
    const { call, put, state } = await start();
    const path = `/orgs/${organization}/actions/secrets/A`;
    expect((await put(path, "v")).json.message).toContain('"visibility" wasn\'t supplied');
    const selection = { visibility: "selected", selected_repository_ids: [repositoryId] };
    expect((await put(path, "v", selection)).status).toBe(201);
    expect((await call("GET", `${path}/repositories`)).json.total_count).toBe(1);
    expect((await call("PUT", path, { visibility: "selected" })).status).toBe(204);
    expect((await call("GET", `${path}/repositories`)).json.total_count).toBe(0);
    expect((await call("PUT", `${path}/repositories/${repositoryId}`)).status).toBe(204);
    expect(state.secret(organization, "A")).toBe("v");
    expect((await call("PUT", path, { visibility: "all" })).status).toBe(204);
    expect((await call("GET", `${path}/repositories`)).status).toBe(409);
  });
});

describe("variables", () => {
  test("are created once, then patched", async () => {
    const { call, state } = await start();
    const path = `/repos/${repository}/actions/variables`;
    expect((await call("POST", path, { name: "host", value: "h" })).status).toBe(201);
    expect((await call("POST", path, { name: "HOST", value: "h" })).status).toBe(409);
    expect((await call("PATCH", `${path}/HOST`, { value: "i" })).status).toBe(204);
    expect((await call("GET", `${path}/HOST`)).json.value).toBe("i");
    expect(state.variables(repository)).toEqual({ HOST: "i" });
    expect((await call("PATCH", `${path}/NONE`, { value: "i" })).status).toBe(404);
    expect((await call("DELETE", `${path}/HOST`)).status).toBe(204);
  });
});

describe("app tokens", () => {
  const jwt = (privateKey: string, claims: Record<string, unknown>, alg = "RS256") => {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const unsigned = `${part({ alg, typ: "JWT" })}.${part(claims)}`;
    return `${unsigned}.${createSign("RSA-SHA256").update(unsigned).sign(privateKey, "base64url")}`;
  };
  const open = async (options: Parameters<typeof startGitHub>[0] = {}) => {
    const started = await start(options);
    const key = started.state.apps[0]?.privateKey ?? "";
    const now = Math.floor(started.state.now() / 1000);
    const issue = (claims: Record<string, unknown> = {}, body?: unknown, privateKey = key) =>
      started.call("POST", `/app/installations/${installationId}/access_tokens`, body, {
        authorization: `Bearer ${jwt(privateKey, { iss: appId, iat: now - 30, exp: now + 540, ...claims })}`,
      });
    return { ...started, issue, now };
  };

  test("are issued for a JWT that is signed right, not too long, and not from the future", async () => {
    const { issue, now } = await open();
    const made = await issue();
    expect([made.status, made.json.token.length > 400]).toEqual([201, true]);
    expect(Date.parse(made.json.expires_at) / 1000 - now).toBeGreaterThanOrEqual(3590);
    expect((await issue({ exp: now + 3600 })).json.message).toContain("too far in the future");
    expect((await issue({ exp: now - 1 })).json.message).toContain("'exp'");
    expect((await issue({ iat: now + 300 })).json.message).toContain("'iat'");
    expect((await issue({ iss: 99 })).status).toBe(404);
    const { privateKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    expect((await issue({}, undefined, privateKey)).status).toBe(401);
  });

  test("end after an hour, and reach only what they were narrowed to", async () => {
    const { call, issue, state } = await open();
    const body = { repository_ids: [repositoryId], permissions: { secrets: "read" } };
    const authorization = `Bearer ${(await issue({}, body)).json.token}`;
    expect((await call("GET", SECRETS, undefined, { authorization })).status).toBe(200);
    const write = await call("DELETE", `${SECRETS}/A`, undefined, { authorization });
    expect([write.status, write.json.message]).toEqual([403, "Resource not accessible by integration"]);
    const environment = `/repos/${repository}/environments/preview/secrets`;
    expect((await call("GET", environment, undefined, { authorization })).status).toBe(403);
    expect((await issue({}, { repository_ids: [1] })).status).toBe(422);
    state.advance(3_600_000);
    expect((await call("GET", SECRETS, undefined, { authorization })).status).toBe(401);
  });

  test("cannot be wider than the installation, or issued while it is suspended", async () => {
    const { issue, state } = await open({
      apps: [
        {
          id: appId,
          installations: [{ id: installationId, account: "acme", permissions: { secrets: "read" } }],
        },
      ],
    });
    expect((await issue({}, { permissions: { secrets: "write" } })).status).toBe(422);
    Object.assign(state.apps[0]?.installations[0] ?? {}, { suspended: true });
    expect((await issue()).status).toBe(403);
  });
});

describe("rate limits", () => {
  test("the secondary one is a 403 with retry-after and the words clients look for", async () => {
    const { call, state } = await start();
    state.throttle("secondary", { retryAfterSeconds: 7 });
    const { status, headers, json } = await call("GET", SECRETS);
    expect([status, headers.get("retry-after")]).toEqual([403, "7"]);
    expect(json.message).toContain("secondary rate limit");
    expect((await call("GET", SECRETS)).status).toBe(200);
  });

  test("the primary one says when it ends", async () => {
    const { call, state } = await start({ rules: { primary: { limit: 1, windowMs: 60_000 } } });
    await call("GET", SECRETS);
    const { status, headers } = await call("GET", SECRETS);
    expect([status, headers.get("x-ratelimit-remaining")]).toEqual([403, "0"]);
    expect(Number(headers.get("x-ratelimit-reset")) * 1000).toBeGreaterThan(state.now());
    state.advance(60_000);
    expect((await call("GET", SECRETS)).status).toBe(200);
  });

  test("count a write five times", async () => {
    const { call } = await start({ rules: { secondary: { points: 6, windowMs: 60_000 } } });
    expect((await call("DELETE", `${SECRETS}/A`)).status).toBe(404);
    expect((await call("DELETE", `${SECRETS}/A`)).status).toBe(403);
    expect((await call("GET", SECRETS)).status).toBe(200);
  });
});

describe("signDelivery()", () => {
  test("gives GitHub's own example signature", () => {
    const { headers, body } = signDelivery("It's a Secret to Everybody", "ping", "Hello, World!", "guid");
    expect(body).toBe("Hello, World!");
    expect(headers).toMatchObject({
      "x-github-delivery": "guid",
      "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    });
  });
});
