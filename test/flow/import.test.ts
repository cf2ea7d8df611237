/** `branchline import` on the sandbox: what is there already is recognised by fingerprints, and nothing is touched. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { documentImport, type ImportLine, statusWords } from "../../services/sync/document-import.ts";
import { type Ran, runCli } from "../support/cli.ts";
import { type Installation, startInstallation } from "../support/installation.ts";
import { until } from "../support/until.ts";

let folder: string;
let world: Installation;
let env: Record<string, string>;
let head: string;
let strings: { pooled: string; direct: string };
let secrets: string[];

const RULES = `rules:
  x-shared: &shared { source: shop, branches: { include: ["preview/**"] }, database: shop, role: shop_app }
  web: # says nothing of variables
    <<: *shared
    destination: web
    target: { environment: preview, gitBranch: "\${branch.name|after:preview/}" }
  ci:
    <<: *shared
    destination: ci
    target: { environment: "preview-\${branch.name|after:preview/|slug}" }
    exposure: preview
    variables: { DATABASE_URL: pooled, PGHOST: pooled.host }
  store:
    <<: *shared
    destination: vault
    target: { path: "preview/\${branch.name|after:preview/|slug}" }
    exposure: preview
    variables: { DATABASE_URL: pooled, DIRECT_URL: direct, OLD_URL: pooled, NEW_URL: pooled }
  cloud:
    <<: *shared
    destination: runtime
    target: { secretId: "preview/\${branch.name|after:preview/|slug}/db" }
    exposure: preview
    variables: { DATABASE_URL: pooled, PGHOST: pooled.host, PGPASSWORD: password, PGUSER: user }
`;

const LOGIN = "preview/login";
const PATH = "preview/login";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "branchline-import-"));
  world = await startInstallation({ allowed: ["env:*"] });
  const { neon, vercel, github, vault, aws } = world.sandbox;
  neon.state.createBranch({ name: LOGIN });
  vercel.state.addBranch("shop-web", "login");
  await neon.state.settled();
  strings = neon.state.connectionStrings(LOGIN, "shop_app", "shop");
  const seed = (key: string, value: string, more: object = {}) =>
    vercel.state.seed("shop-web", { key, value, target: ["preview"], gitBranch: "login", ...more });
  seed("DATABASE_URL", strings.pooled.replace("sslmode=require", "sslmode=verify-full"));
  seed("DATABASE_URL_UNPOOLED", strings.direct);
  seed("POSTGRES_URL", strings.pooled, { configurationId: "icfg_neon" });
  seed("PGPASSWORD", "hidden", { type: "sensitive" });
  seed("STRIPE_KEY", "sk_live_of_nobody");
  const repository = github.state.repository("acme/shop");
  github.state.addEnvironment(repository, "preview-login");
  github.state.edit("acme/shop", "DATABASE_URL", "whatever", { environment: "preview-login" });
  vault.state.write(PATH, {
    DATABASE_URL: `${strings.pooled}&connection_limit=1`,
    DIRECT_URL: strings.direct,
    OLD_URL: strings.pooled.replace(/:[^:@]+@/, ":former@"),
  });
  aws.state.edit("preview/login/db", {
    DATABASE_URL: strings.pooled.replace("sslmode=require", "sslmode=verify-full"),
    PGHOST: new URL(strings.pooled).hostname,
    PGPASSWORD: "former",
  });
  for (const project of neon.state.projects.values()) project.integrations.add("vercel");
  secrets = [neon.state.passwordOf(LOGIN, "shop_app") ?? "", "sk_live_of_nobody", "hidden", "whatever"];
  env = { BRANCHLINE_URL: world.url, BRANCHLINE_TOKEN: world.token };
  head = world.file.slice(0, world.file.indexOf("x-preview:"));
  writeFileSync(join(folder, "branchline.yaml"), head + RULES);
  writeFileSync(join(folder, "accounts.yaml"), head);
}, 60_000);
afterAll(async () => {
  await world.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const run = async (...args: string[]): Promise<Ran> => await runCli(args, { cwd: folder, env });
const found = async (...args: string[]) =>
  documentImport.parse(JSON.parse((await run("import", ...args, "--json")).out));
const told = (lines: readonly ImportLine[], rule: string): Record<string, string> =>
  Object.fromEntries(
    lines.filter((line) => line.rule === rule).map((line) => [line.name, statusWords(line)]),
  );

test("what the server does not know yet is not contacted", async () => {
  const before = world.requests();
  const { lines, rules } = await found();
  expect(lines.map(({ rule, status }) => `${rule} ${status}`).sort()).toEqual([
    "ci unchecked",
    "cloud unchecked",
    "store unchecked",
    "web unchecked",
  ]);
  expect(lines[0]?.reason).toContain("apply the file's sources and destinations first");
  expect(rules.flatMap(({ adopt }) => adopt)).toEqual([]);
  expect(world.requests()).toBe(before);
}, 60_000);

describe("once the accounts are applied", () => {
  beforeAll(async () => {
    expect(await run("apply", "-f", "accounts.yaml", "--wait", "1m")).toMatchObject({ code: 0, err: "" });
    await until(async () => JSON.stringify((await world.get<object>("/v1/branches")).body).includes(LOGIN), {
      what: "the branch to be known",
    });
  }, 60_000);

  test("each name is told: same, differs in what, unreadable, integration", async () => {
    const { lines } = await found();
    expect(told(lines, "web")).toEqual({
      DATABASE_URL: "differs: sslmode",
      DATABASE_URL_UNPOOLED: "same",
      POSTGRES_URL: "integration",
      PGPASSWORD: "unreadable",
    });
    expect(told(lines, "ci")).toEqual({ DATABASE_URL: "unreadable", PGHOST: "absent" });
    expect(told(lines, "store")).toEqual({
      DATABASE_URL: "differs: connection_limit",
      DIRECT_URL: "same",
      OLD_URL: "differs: value",
      NEW_URL: "absent",
    });
    expect(told(lines, "cloud")).toEqual({
      DATABASE_URL: "differs: sslmode",
      PGHOST: "same",
      PGPASSWORD: "differs: value",
      PGUSER: "absent",
    });
  }, 60_000);

  test("Neon is asked which integrations of its own it has, and they are told before anything is taken over", async () => {
    const { sources, warnings } = await found();
    expect(sources).toEqual([{ source: "shop", integrations: ["vercel"], reason: "" }]);
    expect(warnings[0]).toContain("Neon itself keeps the source shop in step with vercel");
    const asked = world.sandbox.neon.log.filter(({ path }) => /\/projects(\?|$)/.test(path)).length;
    expect(asked).toBeGreaterThan(0);
    expect((await run("import")).out).toContain("by its own integration");
  }, 60_000);

  test("--report prints the table alone, and no value", async () => {
    const { out, code } = await run("import", "--report");
    expect(code).toBe(0);
    for (const words of [
      "differs: sslmode",
      "differs: connection_limit",
      "unreadable",
      "integration",
      "same",
    ])
      expect(out).toContain(words);
    expect(out).not.toContain("rules:");
    for (const secret of secrets) expect(out).not.toContain(secret);
  }, 60_000);

  test("rules and adoption: what is the same is handed over, what nobody can read is not", async () => {
    const { out, err } = await run("import");
    expect(err).toBe("");
    const { rules } = parse(out);
    expect(rules.web.variables).toEqual({
      DATABASE_URL: "pooled?sslmode=verify-full",
      DATABASE_URL_UNPOOLED: "direct",
      PGPASSWORD: "password",
    });
    expect(rules.web.adopt).toEqual(["DATABASE_URL", "DATABASE_URL_UNPOOLED"]);
    expect(rules.ci).toMatchObject({ variables: { DATABASE_URL: "pooled" }, adopt: [], destination: "ci" });
    expect(rules.store.variables["DATABASE_URL"]).toBe("pooled?connection_limit=1");
    expect(rules.store.adopt).toEqual(["DATABASE_URL", "DIRECT_URL"]);
    expect(out).toContain("# differs: sslmode: preview/login");
    expect(out).toContain("With --replace-unreadable they would be replaced");
    for (const secret of secrets) expect(out).not.toContain(secret);
  }, 60_000);

  test("--replace-unreadable says that it cannot be restored", async () => {
    const { out } = await run("import", "--replace-unreadable");
    expect(parse(out).rules.ci.adopt).toEqual(["DATABASE_URL"]);
    expect(parse(out).rules.store.adopt).not.toContain("OLD_URL");
    expect(out).toContain(
      "2 values that nobody can read back would be replaced. What they were cannot be restored",
    );
  }, 60_000);

  test("-o writes a new file and never over one that is there; applied, it changes no value", async () => {
    const before = world.sandbox.vault.state.values(PATH);
    const first = await run("import", "-o", "imported.yaml");
    expect([first.code, first.err]).toEqual([0, ""]);
    const again = await run("import", "-o", "imported.yaml");
    expect([again.code, again.err]).toEqual([73, expect.stringContaining("exists already")]);
    expect(world.sandbox.vault.state.values(PATH)).toEqual(before);
    const { rules } = parse(readFileSync(join(folder, "imported.yaml"), "utf8"));
    const { OLD_URL, NEW_URL, ...same } = rules.store.variables;
    const text = `${head}rules:\n  store: ${JSON.stringify({ ...rules.store, variables: same, proof: "never" })}\n`;
    writeFileSync(join(folder, "taken.yaml"), text);
    expect(await run("apply", "-f", "taken.yaml", "--wait", "1m")).toMatchObject({ code: 0, err: "" });
    expect(world.sandbox.vault.state.values(PATH)).toEqual(before);
    const { lines } = await found("-f", "taken.yaml");
    expect(lines.map(({ name, status, kept }) => [name, status, kept])).toEqual([
      ["DATABASE_URL", "same", true],
      ["DIRECT_URL", "same", true],
    ]);
  }, 90_000);

  test("needs the scope admin, and a document that is right", async () => {
    writeFileSync(join(folder, "wrong.yaml"), "rules: { web: { sorce: shop } }\n");
    const wrong = await run("import", "-f", "wrong.yaml");
    expect([wrong.code, wrong.out]).toEqual([1, ""]);
    expect(wrong.err).toContain("wrong.yaml:1:17 rules.web.sorce");
    const plan = await run("plan");
    expect([plan.code, plan.err]).toEqual([1, expect.stringContaining("rules.web")]);
    expect(plan.err).toContain('"variables" is missing');
    const made = await run("tokens", "create", "reader", "--scope", "read", "--json");
    const token = JSON.parse(made.out).secret ?? JSON.parse(made.out).token;
    const denied = await runCli(["import"], { cwd: folder, env: { ...env, BRANCHLINE_TOKEN: token } });
    expect(denied.code).toBe(1);
    expect(denied.err).toContain("admin");
  }, 60_000);
});
