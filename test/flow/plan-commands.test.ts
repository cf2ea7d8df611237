/** `validate`, `plan` and `apply` as processes, and a server that has a file of its own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { startWorld, type World } from "../../infra/demo/world.ts";
import { createLogger } from "../../services/log.ts";
import { documentPlan } from "../../services/sync/document-plan.ts";
import { type Ran, runCli } from "../support/cli.ts";
import { type Installation, startInstallation } from "../support/installation.ts";
import { until } from "../support/until.ts";

let folder: string;
let world: Installation;
let env: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "branchline-plan-"));
  world = await startInstallation({ allowed: ["env:*"] });
  world.sandbox.neon.state.createBranch({ name: "preview/login" });
  world.sandbox.vercel.state.addBranch("shop-web", "login");
  await world.sandbox.neon.state.settled();
  env = { BRANCHLINE_URL: world.url, BRANCHLINE_TOKEN: world.token };
  write("branchline.yaml", world.file);
}, 60_000);
afterAll(async () => {
  await world.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

function write(name: string, text: string): void {
  mkdirSync(join(folder, name, ".."), { recursive: true });
  writeFileSync(join(folder, name), text);
}

const run = async (...args: string[]): Promise<Ran> => await runCli(args, { cwd: folder, env });
const json = async (...args: string[]) => JSON.parse((await run(...args, "--json")).out);

test("plan says 2 and what, apply does it and says 0, plan says 0", async () => {
  const first = await run("plan");
  expect([first.code, first.err]).toEqual([2, ""]);
  expect(first.out).toContain("unchecked: not contacted before apply");
  const plan = documentPlan.parse(await json("plan"));
  const applied = await run("apply", "--plan", plan.id, "--wait", "1m");
  expect([applied.code, applied.err]).toEqual([0, ""]);
  expect(applied.out).toContain("Applied.");
  const after = await run("plan");
  expect([after.code, after.out.trim()]).toEqual([0, "Nothing to do."]);
}, 90_000);

test("what is parked afterwards makes it 3, and is told with what to do", async () => {
  world.sandbox.neon.state.createBranch({ name: "preview/nowhere" });
  await world.sandbox.neon.state.settled();
  write("parked.yaml", world.file.replace("roles: { app: shop_app,", "roles: { app: nobody,"));
  const ran = await run("apply", "-f", "parked.yaml", "--wait", "1m");
  expect(ran.code).toBe(3);
  expect(ran.out).toContain("Parked:");
  expect(ran.out).toContain("nobody");
  await run("apply", "--wait", "1m");
}, 90_000);

test("who may trust an identity provider is who may make tokens: a token to write alone may not", async () => {
  const made = await json("tokens", "create", "writer", "--scope", "read", "write");
  const grant = "{ when: { repository: acme/shop }, scopes: [read] }";
  const provider = `{ issuer: "https://issuer.example", audience: branchline, grants: [${grant}] }`;
  write("trust.yaml", `${world.file}\nauth: { oidc: [${provider}] }\n`);
  const asWriter = async (file: string) =>
    await runCli(["apply", "-f", file], { cwd: folder, env: { ...env, BRANCHLINE_TOKEN: made.token } });
  // The same file as before: it may apply, and is not refused.
  expect((await asWriter("branchline.yaml")).err).toBe("");
  const refused = await asWriter("trust.yaml");
  expect(refused.code).not.toBe(0);
  expect(refused.err).toContain("Changing who may use the API needs the scope admin.");
}, 60_000);

test("whatever goes wrong is 1, in words", async () => {
  write("wrong.yaml", "rules: { web: { sorce: shop } }\n");
  for (const args of [
    ["plan", "-f", "wrong.yaml"],
    ["apply", "-f", "wrong.yaml"],
    ["plan", "-f", "missing.yaml"],
    ["apply", "--plan", "0".repeat(32)],
  ]) {
    const ran = await run(...args);
    expect([args, ran.code, ran.out]).toEqual([args, 1, ""]);
    expect(ran.err).not.toMatch(/\n\s+at /);
  }
  expect((await run("plan", "-f", "wrong.yaml")).err).toContain("wrong.yaml:1:17 rules.web.sorce");
  expect((await run("apply", "--plan", "0".repeat(32))).err).toContain("Make a new plan");
}, 60_000);

test("an unsafe plan needs --confirm with its own id", async () => {
  write("elsewhere.yaml", world.file.replace("project: shop-web", "project: other-web"));
  const plan = await json("plan", "-f", "elsewhere.yaml");
  expect(plan.unsafe).toEqual(["the destination web leads to another account"]);
  for (const more of [[], ["--confirm", "f".repeat(32)]]) {
    const refused = await run("apply", "-f", "elsewhere.yaml", ...more);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("leads to another account");
  }
});

test("Markdown for a pull request: a table that no branch name can break out of", async () => {
  world.sandbox.neon.state.createBranch({ name: "preview/<b>|x|@team" });
  await world.sandbox.neon.state.settled();
  write(
    "more.yaml",
    `${world.file}
  web-more:
    source: shop
    branches: { include: ["preview/<*"] }
    role: shop_app
    database: shop
    proof: never
    destination: vault
    target: { path: "more/\${branch.name|slug}" }
    exposure: preview
    variables: { DATABASE_URL: pooled }
`,
  );
  await expect
    .poll(async () => (await run("plan", "-f", "more.yaml", "--markdown")).out, { timeout: 20_000 })
    .toContain("&lt;b>");
  const { out, code } = await run("plan", "-f", "more.yaml", "--markdown");
  expect(code).toBe(2);
  expect(out).toMatch(/^### Branchline plan: /);
  expect(out).toContain("&lt;b>\\|x\\|&#64;team");
  expect(out).not.toContain("@team");
}, 60_000);

const problemSchema = z.object({
  type: z.literal("urn:branchline:problem:managed_by_file"),
  file: z.string().min(1),
});

describe("validate", () => {
  test("asks nobody: 0 for a file that is right, its warnings beside it", async () => {
    write(
      "warned.yaml",
      world.file.replace(
        "variables: { DATABASE_URL: app.pooled, DATABASE_URL_UNPOOLED: migrate.direct }",
        "variables: { preset: app.vercel-all, DATABASE_URL_UNPOOLED: app.pooled }",
      ),
    );
    const ran = await runCli(["validate", "-f", "warned.yaml"], { cwd: folder });
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(ran.out).toContain("goes through the pooler, where session locks and SET are lost");
    expect(ran.out).toContain("1,000 variables per environment");
    const found = JSON.parse(
      (await runCli(["validate", "-f", "warned.yaml", "--json"], { cwd: folder })).out,
    );
    expect(found).toMatchObject({ valid: true, problems: [] });
    expect(found.warnings.map(({ code }: { code: string }) => code).sort()).toEqual([
      "migrations_over_pooler",
      "preset_caution",
    ]);
    expect(found.warnings[0].line).toBeGreaterThan(1);
  });

  test("65 for one that is not, with everything that is wrong and where", async () => {
    write("bad.yaml", "sources: {}\nrules:\n  web: { sorce: shop, tier: pgae }\n");
    const ran = await runCli(["validate", "-f", "bad.yaml"], { cwd: folder });
    expect(ran.code).toBe(65);
    expect(ran.out).toContain("bad.yaml:3:10 rules.web.sorce");
    expect(ran.out).toContain('did you mean "source"?');
    expect(ran.out).toContain('did you mean "page"?');
    const found = JSON.parse((await runCli(["validate", "-f", "bad.yaml", "--json"], { cwd: folder })).out);
    expect(found.valid).toBe(false);
    expect(found.problems).toContainEqual(expect.objectContaining({ line: 3, pointer: "/rules/web/sorce" }));
  });
});

test("a file may include others, which are sent along; what is wrong in them names them", async () => {
  const head = world.file.slice(0, world.file.indexOf("rules:"));
  // Anchors do not reach over files, so the rule says everything itself.
  const rule = (tier: string) => `rules:
  extra:
    source: shop
    branches: { default: true }
    role: shop_app
    database: shop
    destination: vault
    proof: never
    target: { path: production/extra }
    exposure: production
    tier: ${tier}
    variables: { DATABASE_URL: pooled }
`;
  write("split/main.yaml", `includes: [rules/*.yaml]\n${head}`);
  write("split/rules/one.yaml", rule("quiet"));
  const plan = await json("plan", "-f", "split/main.yaml");
  const at = "rules/one.yaml:2:3";
  expect(plan.rules).toContainEqual(expect.objectContaining({ name: "extra", action: "create", at }));
  const mine = plan.lines.filter((line: { rule: string }) => line.rule === "extra");
  expect(mine.length).toBeGreaterThan(0);
  for (const line of mine) expect(line.at).toBe(at);
  expect((await run("plan", "-f", "split/main.yaml")).out).toContain(at);
  expect((await run("plan", "-f", "split/main.yaml", "--markdown")).out).toContain(at);
  write("split/rules/one.yaml", rule("pgae"));
  expect((await run("plan", "-f", "split/main.yaml")).err).toContain("rules/one.yaml:11:11 rules.extra.tier");
});

test("every refusal names file, line and column: of the rule, and of a block that names what it may not", async () => {
  const text = world.file.replace("roles: { app: shop_app,", "roles: { app: nobody,");
  const lineOf = (what: string) => text.split("\n").findIndex((line) => line.startsWith(what)) + 1;
  write("refused.yaml", text);
  const plan = documentPlan.parse(await json("plan", "-f", "refused.yaml"));
  const refused = plan.lines.filter(({ action }) => action === "refuse");
  expect(refused.length).toBeGreaterThan(0);
  for (const { rule, at } of refused) expect(at).toBe(`refused.yaml:${lineOf(`  ${rule}:`)}:3`);
  // Where it stands is nothing that is applied.
  write("commented.yaml", `# one line more\n${text}`);
  const planned = async (file: string): Promise<string> => (await json("plan", "-f", file)).id;
  const [before, commented] = await until(
    async () => {
      const three = [
        await planned("refused.yaml"),
        await planned("commented.yaml"),
        await planned("refused.yaml"),
      ];
      return three[0] === three[2] ? three : null; // else something was still being pushed
    },
    { timeoutMs: 20_000 },
  );
  expect(commented).toBe(before);
  write("stolen.yaml", world.file.replace("env:VERCEL_TOKEN", "file:/etc/hostname"));
  const { parts } = documentPlan.parse(await json("plan", "-f", "stolen.yaml"));
  expect(parts.find(({ action }) => action === "refuse")?.at).toBe(`stolen.yaml:${lineOf("  web:")}:3`);
});

describe("a server with a file of its own", () => {
  let managed: World;
  let place: string;
  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), "branchline-managed-"));
    managed = await startWorld({
      log: createLogger({ level: "silent" }),
      folder: place,
      port: 0,
      computes: false,
      rewrite: (file) => `revision: 7\n${file}`,
    });
  }, 60_000);
  afterAll(async () => {
    await managed.close();
    rmSync(place, { recursive: true, force: true });
  }, 60_000);

  test("plans for everybody and takes in nothing else: managed_by_file", async () => {
    const ask = async (path: string) =>
      await fetch(`${managed.apiUrl}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${managed.adminToken}`, "content-type": "application/json" },
        body: JSON.stringify({ files: [{ name: "branchline.yaml", text: world.file }] }),
      });
    expect((await ask("/v1/plan")).status).toBe(200);
    const refused = await ask("/v1/apply");
    expect(refused.status).toBe(409);
    const { file } = problemSchema.parse(await refused.json());
    const told = await fetch(`${managed.apiUrl}/v1/installation`, {
      headers: { authorization: `Bearer ${managed.adminToken}` },
    });
    const since = expect.stringMatching(/^\d{4}-\d\d-\d\dT/);
    expect(await told.json()).toMatchObject({ managedBy: { file, since } });
  });
});
