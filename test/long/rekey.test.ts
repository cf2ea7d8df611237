/** The master key of an embedded installation is replaced while it runs, and at every moment some key opens the state. */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { addressed, credentialsOf } from "../../infra/demo/world.ts";
import { type Sandbox, startSandbox } from "../../infra/sandbox/index.ts";
import { keysBeside } from "../../services/cli/keys.ts";
import { runCli } from "../support/cli.ts";
import { branchline, endAll, openPlace, type Place, ROOT, type Running } from "../support/process.ts";
import { until } from "../support/until.ts";

let place: Place;
let sandbox: Sandbox;
let env: Record<string, string>;
let text: string;
let serving: Running;
let url: string;

const KEY = () => join(place.cwd, ".branchline", "master.key");

beforeAll(async () => {
  place = openPlace();
  sandbox = await startSandbox();
  env = {
    ...place.env,
    ...credentialsOf(sandbox),
    BRANCHLINE_ADMIN_TOKEN: randomBytes(24).toString("base64url"),
    BRANCHLINE_REFS: "env:*",
    PORT: "0",
  };
  const demo = readFileSync(join(ROOT, "infra/demo/branchline.yaml"), "utf8");
  text = addressed(demo, sandbox, "")
    .replaceAll("    database: shop\n", "    database: shop\n    proof: never\n")
    .replace("  database: shop\n  onBranchDelete", "  database: shop\n  proof: never\n  onBranchDelete")
    .replace("token: env:VERCEL_TOKEN,", `token: { inline: "${sandbox.credentials.vercel.token}" },`);
  sandbox.neon.state.createBranch({ name: "preview/login" });
  sandbox.vercel.state.addBranch("shop-web", "login");
  await sandbox.neon.state.settled();
}, 120_000);
afterAll(async () => {
  await serving?.end();
  endAll();
  await sandbox.close();
  place.remove();
}, 60_000);

async function start(): Promise<void> {
  serving = branchline(["serve"], { cwd: place.cwd, env });
  url = (await serving.says(/"api":"(http:[^"]+)"/, 60_000))[1] ?? "";
}

const held = () =>
  sandbox.vercel.state.values("shop-web", { target: "preview", gitBranch: "login" })["DATABASE_URL"];

/** A new password reaches Vercel, with the sealed token. */
async function goesOn(): Promise<void> {
  const before = held();
  sandbox.neon.state.resetPassword("preview/login", "shop_app");
  await until(() => held() !== before, { timeoutMs: 60_000, what: "the new password to be at Vercel" });
}

const rekey = async (next: Uint8Array) =>
  await runCli(["rekey"], {
    cwd: place.cwd,
    env: { ...env, BRANCHLINE_MASTER_KEY: Buffer.from(next).toString("base64") },
  });

test("a process that runs goes on without a start, and starts again by the key beside the data", async () => {
  await start();
  const response = await fetch(`${url}/v1/apply`, {
    method: "POST",
    headers: { authorization: `Bearer ${env["BRANCHLINE_ADMIN_TOKEN"]}`, "content-type": "application/json" },
    body: JSON.stringify({ files: [{ name: "branchline.yaml", text }] }),
  });
  expect([response.status, response.ok ? "" : await response.text()]).toEqual([200, ""]);
  await until(() => held() !== undefined, { timeoutMs: 60_000, what: "the first push" });
  const old = readFileSync(KEY(), "utf8");
  const next = randomBytes(32);
  const done = await rekey(next);
  expect([done.code, done.err]).toEqual([0, ""]);
  expect(readFileSync(KEY(), "utf8").trim()).toBe(next.toString("base64"));
  expect(readFileSync(KEY(), "utf8")).not.toBe(old);
  await goesOn();
  await serving.end();
  await start();
  await goesOn();
}, 240_000);

test("after a crash in the middle either key opens it, and the next run settles which it is", async () => {
  // As if the run had died between the database's commit and the file's new name.
  const inForce = readFileSync(KEY(), "utf8");
  renameSync(KEY(), `${KEY()}.next`);
  writeFileSync(KEY(), randomBytes(32).toString("base64"));
  expect(keysBeside(join(place.cwd, ".branchline"))).toHaveLength(2);
  await serving.end();
  await start();
  await goesOn();
  expect(readFileSync(`${KEY()}.next`, "utf8")).toBe(inForce);
  const next = randomBytes(32);
  const done = await rekey(next);
  expect([done.code, done.err]).toEqual([0, ""]);
  expect(existsSync(`${KEY()}.next`)).toBe(false);
  expect(readFileSync(KEY(), "utf8").trim()).toBe(next.toString("base64"));
  await goesOn();
}, 240_000);
