/** Credentials that are sent along: sealed, kept, never answered back, and sealed anew under another key. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sealedOr } from "../../services/cli/sealed.ts";
import type { CredentialRef } from "../../services/sync/ports.ts";
import { runCli } from "../support/cli.ts";
import { type Installation, startInstallation } from "../support/installation.ts";

let world: Installation;
let token: string;
let sent: string;
let without: string;

const AT = expect.stringMatching(/^branchline\.yaml:\d+:3$/);

beforeAll(async () => {
  world = await startInstallation({ allowed: ["env:*"] });
  token = world.sandbox.credentials.vercel.token;
  world.sandbox.neon.state.createBranch({ name: "preview/login" });
  world.sandbox.vercel.state.addBranch("shop-web", "login");
  await world.sandbox.neon.state.settled();
  sent = world.file.replace("token: env:VERCEL_TOKEN,", `token: { inline: "${token}" },`);
  without = world.file.replace(/\n\s*token: env:VERCEL_TOKEN,/, "");
}, 60_000);
afterAll(async () => await world.stop(), 60_000);

const stored = async (): Promise<string> => {
  const { db } = world.service.runtime.database;
  const tables = ["source", "destination", "rule", "configuration", "audit", "binding", "place", "event"];
  const rows = await Promise.all(
    tables.map(async (name) => (await db.execute(`select * from branchline.${name}`)).rows),
  );
  return JSON.stringify(rows);
};

async function sealedRef(): Promise<CredentialRef> {
  const { rows } = await world.service.runtime.database.db.execute<{ token: CredentialRef }>(
    "select block->'token' as token from branchline.destination where name = 'web'",
  );
  return rows[0]?.token ?? { ref: "" };
}

const sealed = async () => [
  await sealedRef(),
  (await world.service.runtime.database.db.execute("select sealed_key from branchline.installation")).rows,
];

test("is sealed at rest, opens the vendor, and comes back in no answer", async () => {
  const plan = await world.plan(sent);
  expect((await world.plan(sent)).body.id).toBe(plan.body.id);
  const applied = await world.apply(sent, { plan: plan.body.id });
  expect(applied.status).toBe(200);
  expect(await world.settled()).toMatchObject({ parked: [] });
  expect(
    world.sandbox.vercel.state.values("shop-web", { target: "preview", gitBranch: "login" }),
  ).toHaveProperty("DATABASE_URL");
  expect((await sealedRef()).ref).toMatch(/^sealed:v1\./);
  const answers = await Promise.all(
    ["sources", "destinations", "rules", "bindings", "audit"].map(
      async (noun) => await world.get(`/v1/${noun}`),
    ),
  );
  for (const text of [JSON.stringify([plan, applied, answers]), await stored()]) {
    expect(text).not.toContain(token);
  }
  expect(JSON.stringify([plan, applied, answers])).not.toContain("sealed:");
}, 60_000);

test("the same credential again changes nothing; left out it is kept", async () => {
  const before = await sealedRef();
  for (const text of [sent, without]) {
    expect((await world.plan(text)).body).toMatchObject({ changes: false, parts: [] });
    expect((await world.apply(text)).body.outcome).toBe("unchanged");
  }
  expect(await sealedRef()).toEqual(before);
});

test("another one takes its place; the plan says so without it", async () => {
  const other = await world.plan(sent.replace(token, "another-token-of-somebody"));
  expect(other.body.parts).toEqual([
    { section: "destinations", name: "web", at: AT, action: "change", reason: "changed: token" },
  ]);
  expect(JSON.stringify(other)).not.toContain("another-token");
});

test.each([
  ["host", (text: string) => text.replace(world.sandbox.vercel.url, "https://evil.example")],
  ["account", (text: string) => text.replace("project: shop-web", "project: other-web")],
])("a changed %s asks for the credential again", async (_, change) => {
  const { body } = await world.plan(change(without));
  expect(body.parts).toContainEqual({
    section: "destinations",
    name: "web",
    at: AT,
    action: "refuse",
    reason: "its address or account changes: the credential that was kept has to be given again",
  });
  expect((await world.apply(change(without))).status).toBe(422);
});

test("nobody names what was sealed before, and nothing is kept that was never given", async () => {
  const { ref } = await sealedRef();
  const stolen = await world.plan(world.file.replace("token: env:VERCEL_TOKEN,", `token: "${ref}",`));
  expect(stolen.status).toBe(400);
  const missing = await world.plan(world.file.replace("token: env:GITHUB_TOKEN", "x-no: 1"));
  expect(missing.status).toBe(400);
});

test("rekey seals all of it with the new key, or nothing with a wrong one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "branchline-rekey-"));
  try {
    const next = randomBytes(32);
    const keyFile = join(folder, "old.key");
    const env = { DATABASE_URL: world.databaseUrl, BRANCHLINE_MASTER_KEY: next.toString("base64") };
    const before = await sealed();
    writeFileSync(keyFile, randomBytes(32).toString("base64"));
    const wrong = await runCli(["rekey", "--old-key-file", keyFile], { env, cwd: folder });
    expect([wrong.code, wrong.out]).toEqual([78, ""]);
    expect(wrong.err).toContain("nothing was changed");
    expect(await sealed()).toEqual(before);

    const old = Buffer.from(world.masterKey).toString("base64");
    const right = await runCli(["rekey"], { env: { ...env, BRANCHLINE_MASTER_KEY_OLD: old }, cwd: folder });
    expect([right.code, right.err]).toEqual([0, ""]);
    const ref = await sealedRef();
    const none = () => {
      throw new Error("not sealed");
    };
    expect(sealedOr(next, none)(ref).reveal()).toBe(token);
    expect(() => sealedOr(world.masterKey, none)(ref)).toThrow("does not open");
    writeFileSync(keyFile, old);
    expect((await runCli(["rekey", "--old-key-file", keyFile], { env, cwd: folder })).code).toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);
