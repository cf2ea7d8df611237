/** A document is planned, applied, and planned again, over the API, against stand-ins of all vendors. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { verifyAudit } from "../../services/store/audit.ts";
import type { DocumentPlan, PlanLine } from "../../services/sync/document-plan.ts";
import { type Installation, startInstallation } from "../support/installation.ts";
import { until } from "../support/until.ts";

const SECRETS = /npg_|postgres(ql)?:\/\//;
let world: Installation;

beforeAll(async () => {
  world = await startInstallation({
    allowed: [
      "env:NEON_*",
      "env:VERCEL_*",
      "env:GITHUB_*",
      "env:AWS_ACCESS_*",
      "env:AWS_SECRET_ACCESS_KEY",
      "env:VAULT_*",
    ],
    environment: { AWS_SECRET: "a secret of the server" },
  });
  const { neon, vercel } = world.sandbox;
  neon.state.createBranch({ name: "preview/login" });
  vercel.state.addBranch("shop-web", "login");
  await neon.state.settled();
}, 60_000);
afterAll(async () => await world.stop(), 60_000);

const lines = ({ lines: all }: DocumentPlan, filter: Partial<PlanLine> = {}): string[] =>
  all
    .filter((line) => Object.entries(filter).every(([key, value]) => line[key as keyof PlanLine] === value))
    .map(({ action, rule, branch, name }) => `${action} ${rule} ${branch ?? "*"} ${name ?? "*"}`);

test("before anything is known: all is unchecked, nobody is contacted; applying does it, and then nothing is left", async () => {
  const before = world.requests();
  const planned = await world.plan(world.file);
  expect(planned.status).toBe(200);
  expect(world.requests()).toBe(before);
  expect(lines(planned.body)).toEqual([
    "unchecked ci-preview * *",
    "unchecked runtime-preview * *",
    "unchecked vault-preview * *",
    "unchecked vault-production * *",
    "unchecked web-preview * *",
  ]);
  expect(planned.body.lines[0]?.reason).toContain("unchecked: not contacted before apply");
  expect(planned.body.changes).toBe(true);

  const applied = await world.apply(world.file, { plan: planned.body.id });
  expect([applied.status, applied.body.outcome]).toEqual([200, "applied"]);
  expect(await world.settled()).toEqual({ working: 0, parked: [] });
  expect(world.sandbox.vault.state.values("production/shop")).toHaveProperty("DATABASE_URL");

  const again = await world.plan(world.file);
  expect(again.body).toMatchObject({ changes: false, lines: [], parts: [], unsafe: [] });
  expect((await world.apply(world.file)).body.outcome).toBe("unchanged");
}, 60_000);

describe("a change", () => {
  const withMore = () =>
    world.file.replace(
      "variables: { DATABASE_URL: app.pooled, DATABASE_URL_UNPOOLED: migrate.direct }",
      "variables: { DATABASE_URL: app.pooled, DATABASE_URL_UNPOOLED: migrate.direct, PGHOST: app.pooled.host }",
    );

  test("is shown by name with its reason, and then is exactly what happens", async () => {
    const { body: plan } = await world.plan(withMore());
    // On a slow machine Vercel's times may be in doubt, and then what is there is written once more as well.
    expect(lines(plan)).toContain("create web-preview preview/login PGHOST");
    expect(plan.lines.every(({ rule }) => rule === "web-preview")).toBe(true);
    expect(plan.lines.find(({ name }) => name === "PGHOST")).toMatchObject({
      destination: "web",
      reason: "the rule changed: variables",
    });
    expect(plan.rules.find(({ name }) => name === "web-preview")).toMatchObject({
      action: "change",
      matches: 1,
      of: 2,
    });
    expect(JSON.stringify(plan)).not.toMatch(SECRETS);
    const scope = { target: "preview", gitBranch: "login" };
    const values = () => world.sandbox.vercel.state.values("shop-web", scope);
    const before = values();
    expect((await world.apply(withMore(), { plan: plan.id })).status).toBe(200);
    await world.settled();
    expect(Object.keys(values()).sort()).toEqual([...Object.keys(before), "PGHOST"].sort());
    expect(values()).toMatchObject(before);
    expect((await world.plan(withMore())).body.changes).toBe(false);
  }, 60_000);

  test("is refused when the world has moved since it was planned", async () => {
    const moreAgain = withMore().replace("PGHOST: app.pooled.host", "PGHOST: app.direct.host");
    const { body: plan } = await world.plan(moreAgain);
    expect(lines(plan)).toContain("change web-preview preview/login PGHOST");
    world.sandbox.neon.state.resetPassword("preview/login", "shop_app");
    const refused = await world.apply(moreAgain, { plan: plan.id });
    expect([refused.status, refused.body.type]).toEqual([409, "urn:branchline:problem:plan_moved"]);
    // Whoever plans next does so only once the new password is there.
    const { pooled } = world.sandbox.neon.state.connectionStrings("preview/login", "shop_app", "shop");
    const scope = { target: "preview", gitBranch: "login" };
    await until(() => world.sandbox.vercel.state.values("shop-web", scope)["DATABASE_URL"] === pooled, {
      what: "the new password at Vercel",
    });
    await world.settled();
  }, 60_000);
});

test("a rule that left is orphaned and kept in step; pruning takes away what it may", async () => {
  const without = world.file.slice(0, world.file.indexOf("  vault-production:"));
  const less = without.replace(/ {2}vault-preview:[\s\S]*$/, "");
  const { body: plan } = await world.plan(less);
  expect(plan.rules.filter(({ action }) => action === "orphan").map(({ name }) => name)).toEqual([
    "vault-preview",
    "vault-production",
  ]);
  expect(lines(plan, { destination: "vault" })).toEqual([]);
  expect((await world.apply(less, { plan: plan.id })).status).toBe(200);
  await world.settled();
  const orphans = await world.get<{ items: { rule: string; state: string }[] }>(
    "/v1/bindings?destination=vault",
  );
  expect(orphans.body.items.map(({ rule, state }) => [rule, state]).sort()).toEqual([
    ["vault-preview", "orphaned"],
    ["vault-production", "orphaned"],
  ]);
  world.sandbox.neon.state.resetPassword("main", "shop_app");
  const now = world.sandbox.neon.state.connectionStrings("main", "shop_app", "shop").pooled;
  await expect
    .poll(() => world.sandbox.vault.state.values("production/shop")?.["DATABASE_URL"], { timeout: 30_000 })
    .toBe(now);
  await world.settled();

  const { body: pruning } = await world.plan(less, { prune: true });
  expect(lines(pruning, { destination: "vault" })).toEqual([
    "delete vault-preview preview/login DATABASE_URL",
    "delete vault-preview preview/login DATABASE_URL_UNPOOLED",
    "keep vault-production main DATABASE_URL",
    "keep vault-production main DATABASE_URL_UNPOOLED",
  ]);
  expect((await world.apply(less, { prune: true, plan: pruning.id })).status).toBe(200);
  await world.settled();
  expect(Object.keys(world.sandbox.vault.state.values("preview/login") ?? {})).toEqual([]);
  expect(Object.keys(world.sandbox.vault.state.values("production/shop") ?? {})).toHaveLength(2);
  expect((await world.plan(less, { prune: true })).body.changes).toBe(false);
}, 60_000);

describe("a stranger's document", () => {
  let elsewhere: Server;
  let contacts = 0;
  let address: string;
  beforeAll(async () => {
    elsewhere = createServer((_, response) => response.end());
    elsewhere.on("connection", () => (contacts += 1));
    await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
    address = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
  });
  afterAll(() => elsewhere.close());

  test("resolves nothing that is not allowed, and contacts no new or changed address", async () => {
    const foreign = world.file
      .replace("token: env:VERCEL_TOKEN,", "token: env:AWS_SECRET,")
      .replace(`api: ${world.sandbox.vercel.url}`, `api: ${address}`);
    const before = world.sandbox.vercel.log.length;
    const { status, body: plan } = await world.plan(foreign);
    expect(status).toBe(200);
    expect(lines(plan, { destination: "web", action: "unchecked" })).toEqual([
      "unchecked web-preview preview/login DATABASE_URL",
      "unchecked web-preview preview/login DATABASE_URL_UNPOOLED",
    ]);
    expect(plan.unsafe).toEqual(["the destination web leads to another account"]);
    expect(lines(plan, { destination: "web", action: "keep" }).length).toBeGreaterThanOrEqual(2);
    expect(plan.lines.find(({ action }) => action === "unchecked")?.reason).toContain(
      "unchecked: not contacted before apply",
    );
    expect(plan.parts).toContainEqual(
      expect.objectContaining({ section: "destinations", name: "web", action: "refuse" }),
    );
    expect([contacts, world.sandbox.vercel.log.length]).toEqual([0, before]);
    expect(world.resolved.has("AWS_SECRET")).toBe(false);
    expect(JSON.stringify(plan)).not.toContain("a secret of the server");

    const refused = await world.apply(foreign);
    expect([refused.status, refused.body.type]).toEqual([422, "urn:branchline:problem:refused_references"]);
    expect(world.resolved.has("AWS_SECRET")).toBe(false);
    expect(contacts).toBe(0);
  });

  test.each(["env:BRANCHLINE_MASTER_KEY", "env:DATABASE_URL", "env:REDIS_URL", "file:/proc/self/environ"])(
    "%s is no credential, whatever is allowed",
    async (ref) => {
      const refused = await world.plan(world.file.replace("token: env:VERCEL_TOKEN,", `token: ${ref},`));
      expect([refused.status, refused.body.type]).toEqual([400, "urn:branchline:problem:invalid_document"]);
    },
  );
});

test("what is wrong is told at once, each with its place", async () => {
  const { status, body } = await world.plan("rules:\n  web: { source: nowhere, polciy: mirror }\n");
  expect(status).toBe(400);
  const { problems } = body as unknown as { problems: { line: number; column: number; pointer: string }[] };
  expect(problems.length).toBeGreaterThan(2);
  expect(problems.every(({ line, pointer }) => line >= 1 && pointer.startsWith("/rules"))).toBe(true);
});

test("whatever was applied is in the audit log, without a value, in a chain that holds", async () => {
  const { db } = world.service.runtime.database;
  const { rows } = await db.execute("select * from branchline.audit where action = 'document.apply'");
  expect(rows.length).toBeGreaterThanOrEqual(3);
  expect(JSON.stringify(rows)).not.toMatch(SECRETS);
  expect(await verifyAudit(db)).toMatchObject({ ok: true });
});
