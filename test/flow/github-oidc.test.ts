/** A job of GitHub Actions takes its preview's variables without any stored token: GitHub says who it is. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Serving, serveApi } from "../../services/api/server.ts";
import { auth } from "../../services/file/auth.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { adminApi, type TestApi } from "../support/api.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";
import { type Ran, runCli } from "../support/cli.ts";

const AUDIENCE = "branchline-of-a-test";
const JOB = "what GitHub gives the job to ask with";
const project = new MemoryProject("p1");
let app: TestApp;
let api: TestApi;
let serving: Serving;
let github: Server;
let url: string;
let folder: string;
/** Whose job it is that asks. */
let repository = "acme/shop";
/** The commit that its token names. */
let sha: string | undefined;

beforeAll(async () => {
  const { privateKey, publicKey } = await generateKeyPair("RS256");
  const jwk = { ...(await exportJWK(publicKey)), kid: "k", alg: "RS256" };
  github = createServer(async (request, response) => {
    const asked = new URL(request.url ?? "/", url);
    const json = (body: unknown) =>
      response.setHeader("content-type", "application/json").end(JSON.stringify(body));
    if (asked.pathname === "/.well-known/openid-configuration")
      return json({ issuer: url, jwks_uri: `${url}/jwks` });
    if (asked.pathname === "/jwks") return json({ keys: [jwk] });
    if (request.headers.authorization !== `Bearer ${JOB}`) return response.writeHead(401).end();
    const value = await new SignJWT({ sub: `repo:${repository}:pull_request`, repository, sha })
      .setProtectedHeader({ alg: "RS256", kid: "k" })
      .setIssuer(url)
      .setAudience(asked.searchParams.get("audience") ?? "")
      .setExpirationTime("5m")
      .sign(privateKey);
    return json({ value });
  });
  await new Promise<void>((resolve) => github.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(github.address() as AddressInfo).port}`;
  const { oidc = [] } = auth.parse({
    oidc: [
      {
        issuer: url,
        audience: AUDIENCE,
        privateNetwork: true,
        grants: [
          {
            when: { repository: "acme/shop" },
            scopes: ["reveal"],
            sources: ["shop"],
            branches: ["preview/**"],
          },
        ],
      },
    ],
  });
  app = await startApp({
    projects: [project],
    destinations: { memory: {} },
    rules: [ruleOf({ name: "web" })],
  });
  api = adminApi(app, { trusted: () => oidc });
  serving = await serveApi({ app: api.router.app, port: 0 });
  folder = mkdtempSync(join(tmpdir(), "branchline-oidc-"));
}, 60_000);
afterAll(async () => {
  api.stop();
  await serving.close();
  await new Promise((resolve) => github.close(resolve));
  await app.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function env(
  args: readonly string[],
  over: Record<string, string> = {},
): Promise<Ran & { file: string }> {
  const path = join(folder, "github-env");
  writeFileSync(path, "");
  const ran = await runCli(["env", ...args], {
    own: true,
    env: {
      BRANCHLINE_URL: serving.url,
      BRANCHLINE_AUDIENCE: AUDIENCE,
      ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: JOB,
      GITHUB_ENV: path,
      ...over,
    },
  });
  return { ...ran, file: readFileSync(path, "utf8") };
}

/** What Neon gives to every child of a branch that is not protected is told, and nothing else is. */
const INHERITED = /^branchline: warning: role "\w+" has the same password here and on "main"[^\n]+\n$/;

test("waits for the preview of its git branch, and gets its variables and no other's", async () => {
  const waiting = env(["shop", "--git-branch", "feat/x", "--rule", "web", "--wait", "1m", "--github-env"]);
  const id = project.addBranch("preview/feat/x");
  const ran = await waiting;
  expect([ran.code, ran.err]).toEqual([0, expect.stringMatching(INHERITED)]);
  expect(ran.file).toContain(project.passwordOf(id, "app_owner"));
  expect(ran.out).toContain("::add-mask::");
  const [entry] = (await api.get("/v1/audit?action=variables.reveal&limit=1")).json.items;
  expect(entry).toMatchObject({
    actor: "repo:acme/shop:pull_request (127.0.0.1:".concat(url.split(":").at(-1) ?? "", ")"),
  });

  for (const other of ["shop/main", "shop"]) {
    const refused = await env([other, "--rule", "web", "--json"]);
    expect([other, refused.code, refused.out]).toEqual([other, 66, ""]);
  }
}, 60_000);

test("another repository's job, another audience, and a job that may not ask get nothing", async () => {
  project.addBranch("preview/y");
  const ask = ["shop", "--git-branch", "y", "--rule", "web", "--json"];
  repository = "evil/shop";
  expect(await env(ask)).toMatchObject({ code: 77, out: "" });
  repository = "acme/shop";
  expect(await env(ask, { BRANCHLINE_AUDIENCE: "another" })).toMatchObject({ code: 77, out: "" });
  const refused = await env(ask, { ACTIONS_ID_TOKEN_REQUEST_TOKEN: "wrong" });
  expect(refused).toMatchObject({ code: 77, out: "", err: expect.stringContaining("id-token: write") });
  expect((await env(ask)).code).toBe(0);
}, 60_000);

test("with --sha nothing is given before Neon was looked at since the commit was heard of, nor for another commit", async () => {
  const ours = "a".repeat(40);
  const theirs = "b".repeat(40);
  project.addBranch("preview/z");
  const ask = (commit: string, ...more: string[]) =>
    env(["shop", "--git-branch", "z", "--rule", "web", "--json", "--sha", commit, ...more]);
  sha = ours;
  expect(await ask(theirs, "--wait", "20s")).toMatchObject({
    code: 77,
    out: "",
    err: expect.stringContaining(`given for the commit ${ours}`),
  });
  const ran = await ask(ours, "--wait", "20s");
  expect([ran.code, ran.err]).toEqual([0, expect.stringMatching(INHERITED)]);
  const events = (await api.get("/v1/events?origin=manual")).json.items;
  expect(events).toMatchObject([{ kind: "commit", outcome: "processed", source: "shop" }]);
  sha = undefined;

  expect(await ask("abc1234")).toMatchObject({
    code: 65,
    err: expect.stringContaining("not a whole commit"),
  });
  expect((await env(["shop/preview/z", "--rule", "web", "--sha", ours])).code).toBe(65);
  const early = await ask("c".repeat(40));
  expect(early).toMatchObject({ code: 69, out: "", err: expect.stringContaining("--wait") });
}, 60_000);

test("a preview that does not come is not replaced by a branch of the same name", async () => {
  project.addBranch("lonely");
  const ran = await env(["shop", "--git-branch", "lonely", "--rule", "web"]);
  expect([ran.code, ran.out]).toEqual([66, ""]);
  expect((await env(["shop/preview/y", "--git-branch", "y"])).code).toBe(65);
  expect((await env(["shop", "--git-branch", ""])).code).toBe(65);
});
