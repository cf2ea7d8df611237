/** What one process takes in or is started with holds for the others, which are processes of their own. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { credentialsOf } from "../../infra/demo/world.ts";
import type { AuditItem } from "../../services/api/audits.ts";
import { type Service, startService } from "../../services/cli/service.ts";
import { createLogger } from "../../services/log.ts";
import { runCli } from "../support/cli.ts";
import { gitBranchDelivery, postTo } from "../support/deliveries.ts";
import { type Installation, startInstallation } from "../support/installation.ts";
import { branchline, openPlace, type Place, type Running } from "../support/process.ts";
import { until } from "../support/until.ts";

/** A process looks every two seconds. */
const SECONDS = { timeoutMs: 15_000 };
const NEXT_SECRET = "the next secret of the webhooks";

let world: Installation;
let place: Place;
const running: Running[] = [];

beforeAll(async () => {
  place = openPlace();
  world = await startInstallation({ allowed: ["env:*"], environment: { NEXT_SECRET } });
  const { neon, vercel } = world.sandbox;
  neon.state.createBranch({ name: "preview/login" });
  vercel.state.addBranch("shop-web", "login");
  await neon.state.settled();
}, 60_000);
afterEach(async () => {
  for (const one of running.splice(0)) await one.end();
});
afterAll(async () => {
  await world.stop();
  place.remove();
}, 60_000);

const key64 = (key: Uint8Array): string => Buffer.from(key).toString("base64");

/** Another process of the same installation. */
async function another(
  more: Readonly<Record<string, string>> = {},
  ...args: string[]
): Promise<Running & { url: string }> {
  const env = {
    ...place.env,
    ...credentialsOf(world.sandbox),
    NEXT_SECRET,
    DATABASE_URL: world.databaseUrl,
    BRANCHLINE_MASTER_KEY: key64(world.masterKey),
    BRANCHLINE_ADMIN_TOKEN: world.token,
    BRANCHLINE_REFS: "env:*",
    PORT: "0",
    ...more,
  };
  const process = branchline(["serve", ...(args.length === 0 ? ["--api"] : args)], { cwd: place.cwd, env });
  running.push(process);
  const url = (await process.says(/"api":"(http:[^"]+)"/))[1] ?? "";
  return { ...process, url };
}

async function ask(url: string, path: string, body?: object, token = world.token) {
  const response = await fetch(`${url}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const files = (text: string) => ({ files: [{ name: "branchline.yaml", text }] });
const audited = async (action: string): Promise<readonly AuditItem[]> =>
  (await world.get<{ items: AuditItem[] }>(`/v1/audit?action=${action}`)).body.items;
const rows = async (query: string) => (await world.service.runtime.database.db.execute(sql.raw(query))).rows;

describe("after an apply all processes go by it, within seconds and without a start", () => {
  let provider: Server;
  let issuer: string;
  let token: string;
  let worker: Service;

  beforeAll(async () => {
    const { privateKey, publicKey } = await generateKeyPair("RS256");
    const jwk = { ...(await exportJWK(publicKey)), kid: "k", alg: "RS256" };
    provider = createServer((_, response) => {
      response.setHeader("content-type", "application/json").end(JSON.stringify({ keys: [jwk] }));
    });
    await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
    issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
    token = await new SignJWT({ sub: "somebody", repository: "acme/shop" })
      .setProtectedHeader({ alg: "RS256", kid: "k" })
      .setIssuer(issuer)
      .setAudience("branchline")
      .setExpirationTime("5m")
      .sign(privateKey);
    worker = await startService({
      databaseUrl: world.databaseUrl,
      redisUrl: null,
      masterKey: world.masterKey,
      adminToken: null,
      configuration: null,
      environment: { ...credentialsOf(world.sandbox), NEXT_SECRET },
      roles: { api: false, worker: true },
      host: "127.0.0.1",
      port: 0,
      webhookPort: null,
      log: createLogger({ level: "silent" }),
    });
  }, 60_000);
  afterAll(async () => {
    await worker.stop();
    await new Promise((resolve) => provider.close(resolve));
  }, 60_000);

  test("webhook secrets, who may use the API, and intervals", async () => {
    expect((await world.apply(world.file)).status).toBe(200);
    const { url } = await another();
    const deliver = async (secret: string) =>
      (await postTo(`${url}/webhooks/github`, gitBranchDelivery(secret, "create", "login"))).status;
    const { webhookSecret } = world.sandbox.credentials.github;
    expect([await deliver(webhookSecret), await deliver(NEXT_SECRET)]).toEqual([202, 401]);
    expect((await ask(url, "/v1/rules", undefined, token)).status).toBe(401);
    await until(() => worker.runtime.settings.watchEveryMs === 1_000, SECONDS);
    expect(worker.runtime.settings.sweepEveryMs).toBe(3_600_000);

    const grant = "{ when: { repository: acme/shop }, scopes: [read] }";
    const trust = `{ issuer: "${issuer}", jwks: "${issuer}/jwks", audience: branchline, privateNetwork: true, grants: [${grant}] }`;
    const text = `${world.file
      .replace("env:GITHUB_WEBHOOK_SECRET", "env:NEXT_SECRET")
      .replace(/\nwatch:.*(\n .*)*/, "")}
auth: { oidc: [${trust}] }
watch: { interval: 7s }
sweep: { every: 9m }
`;
    expect((await world.apply(text)).status).toBe(200);
    await until(async () => (await deliver(NEXT_SECRET)) === 202, SECONDS);
    expect(await deliver(webhookSecret)).toBe(401);
    expect((await ask(url, "/v1/rules", undefined, token)).status).toBe(200);
    await until(() => worker.runtime.settings.watchEveryMs === 7_000, SECONDS);
    expect(worker.runtime.settings.sweepEveryMs).toBe(540_000);
    const late = "select 1 from branchline.place where sweep_at > now() + interval '10 min'";
    await until(async () => (await rows(late)).length === 0, SECONDS);
    expect((await world.apply(world.file)).status).toBe(200);
    await until(async () => (await deliver(webhookSecret)) === 202, SECONDS);
  }, 90_000);
});

describe("a file manages the installation, not a process", () => {
  test("no process takes in anything else, also after that of the file is gone; a person says when it is over", async () => {
    writeFileSync(join(place.cwd, "house.yaml"), world.file);
    const withFile = await another({ BRANCHLINE_CONFIG: "house.yaml" });
    const without = await another();
    const refused = {
      status: 409,
      body: { type: "urn:branchline:problem:managed_by_file", file: "house.yaml" },
    };
    for (const { url } of [withFile, without, world]) {
      expect((await ask(url, "/v1/plan", files(world.file))).status).toBe(200);
      expect(await ask(url, "/v1/apply", files(world.file))).toMatchObject(refused);
    }
    const rejected = await audited("document.refuse");
    expect(rejected.slice(0, 3).map(({ actor, details }) => [actor, details["code"]])).toEqual(
      Array(3).fill(["admin token", "managed_by_file"]),
    );
    const unmanage = async () =>
      await runCli(["unmanage"], { env: { BRANCHLINE_URL: world.url, BRANCHLINE_TOKEN: world.token } });
    const inUse = await unmanage();
    expect([inUse.code !== 0, inUse.err]).toEqual([true, expect.stringContaining("house.yaml was heard of")]);

    await withFile.end();
    expect(await ask(without.url, "/v1/apply", files(world.file))).toMatchObject(refused);
    await rows("update branchline.managed set seen_at = now() - interval '31 s'");
    const left = await unmanage();
    expect([left.code, left.err]).toEqual([0, ""]);
    expect(left.out).toContain("house.yaml managed this installation since");
    expect(await audited("installation.unmanage")).toMatchObject([
      { actor: "admin token", details: { file: "house.yaml" } },
    ]);
    expect((await ask(without.url, "/v1/apply", files(world.file))).status).toBe(200);
    expect((await unmanage()).out).toContain("No file managed");
  }, 90_000);

  test("a process with the file goes on saying so", async () => {
    writeFileSync(join(place.cwd, "house.yaml"), world.file);
    const withFile = await another({ BRANCHLINE_CONFIG: "house.yaml" });
    await rows("update branchline.managed set seen_at = now() - interval '1 h'");
    await until(
      async () =>
        (await rows("select 1 from branchline.managed where seen_at > now() - interval '10 s'")).length > 0,
      { timeoutMs: 45_000 },
    );
    await withFile.end();
    await rows("delete from branchline.managed");
  }, 60_000);
});

describe("the master key is replaced while everything runs", () => {
  const held = () => world.sandbox.vercel.state.values("shop-web", { target: "preview", gitBranch: "login" });
  const inline = (token: string) =>
    world.file.replace("token: env:VERCEL_TOKEN,", `token: { inline: "${token}" },`);
  const sealedBlock = async () => JSON.stringify(await rows("select block from branchline.destination"));

  test("those with both keys go on; one with the old key alone writes nothing with it and loses no work", async () => {
    const { token } = world.sandbox.credentials.vercel;
    expect((await world.apply(inline(token))).status).toBe(200);
    await world.settled();
    const next = randomBytes(32);
    const both = { BRANCHLINE_MASTER_KEY: key64(next), BRANCHLINE_MASTER_KEY_OLD: key64(world.masterKey) };
    const ready = await another(both, "--api", "--worker");

    // Before the key is replaced it seals with the old one, as everybody else can open.
    world.sandbox.vercel.state.addToken({ token: "second-token-of-vercel" });
    expect((await ask(ready.url, "/v1/apply", files(inline("second-token-of-vercel")))).status).toBe(200);
    expect((await world.plan(inline("second-token-of-vercel"))).body.parts).toEqual([]);

    const env = { DATABASE_URL: world.databaseUrl, ...both };
    const rekeyed = await runCli(["rekey"], { env, cwd: place.cwd });
    expect([rekeyed.code, rekeyed.err]).toEqual([0, ""]);

    // This process has the old key alone: it says so, seals nothing and parks nothing.
    const readyz = async () => (await fetch(`${world.url}/readyz`)).status;
    await until(async () => (await readyz()) === 503, SECONDS);
    const before = await sealedBlock();
    const stale = await world.apply(inline("third-token-of-vercel"));
    expect(stale.status).toBe(503);
    expect(await sealedBlock()).toBe(before);

    // Alone with the work it cannot do it, and does not give it up either.
    await ready.end();
    const old = held()["DATABASE_URL"];
    world.sandbox.neon.state.resetPassword("preview/login", "shop_app");
    const web =
      "from branchline.binding b join branchline.rule r on r.id = b.rule_id where r.name = 'web-preview'";
    await until(async () => (await rows(`select 1 ${web} and b.state = 'retrying'`)).length > 0, SECONDS);
    expect(held()["DATABASE_URL"]).toBe(old);
    expect(await rows("select cause from branchline.binding where state = 'parked'")).toEqual([]);

    const fresh = await another({ BRANCHLINE_MASTER_KEY: key64(next) }, "--api", "--worker");
    await until(() => held()["DATABASE_URL"] !== old, { timeoutMs: 90_000 });
    world.sandbox.vercel.state.addToken({ token: "third-token-of-vercel" });
    expect((await ask(fresh.url, "/v1/apply", files(inline("third-token-of-vercel")))).status).toBe(200);
    const plan = await ask(fresh.url, "/v1/plan", files(inline("third-token-of-vercel")));
    expect([plan.status, plan.body["parts"]]).toEqual([200, []]);
  }, 180_000);
});
