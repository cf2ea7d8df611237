import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigurationError } from "../../../../services/config.ts";
import { awsSecretsManager } from "../../../../services/destinations/aws-secrets-manager.ts";
import { github } from "../../../../services/destinations/github.ts";
import { memory } from "../../../../services/destinations/memory.ts";
import { vault } from "../../../../services/destinations/vault.ts";
import { vercel } from "../../../../services/destinations/vercel.ts";
import type { Adapters, Configuration, FileProblem } from "../../../../services/file/configuration.ts";
import { loadFile, loadText } from "../../../../services/file/load.ts";
import { renderProblems } from "../../../../services/file/problems.ts";
import { neonSource } from "../../../../services/sources/neon.ts";
import type { DestinationAdapter, SourceAdapter } from "../../../../services/sync/ports.ts";

const adapters: Adapters = {
  sources: [neonSource as SourceAdapter],
  destinations: [vercel, github, awsSecretsManager, vault, memory] as readonly DestinationAdapter[],
};
const EXAMPLE = readFileSync(new URL("example.yaml", import.meta.url), "utf8");

const load = (text: string): Configuration => loadText(text, { adapters, refuse: () => null });

function problemsOf(
  text: string,
  refuse: (ref: { ref: string }) => string | null = () => null,
): readonly FileProblem[] {
  try {
    loadText(text, { adapters, refuse });
  } catch (thrown) {
    if (thrown instanceof ConfigurationError) return thrown.problems as readonly FileProblem[];
    throw thrown;
  }
  return [];
}

/** A file that is right, with lines put in place of one or added at the end. */
function file(rule: string, rest = ""): string {
  return `sources:
  shop: { neon: { project: wispy-1, apiKey: "env:KEY" } }
destinations:
  box: { memory: { store: s } }
rules:
  web:
${rule
  .trim()
  .split("\n")
  .map((line) => `    ${line}`)
  .join("\n")}
${rest}`;
}
const RULE = `source: shop
branches: main
role: app
database: shop
destination: box
target: { environment: production }
variables: { DATABASE_URL: pooled }`;
const rule = (changes: Record<string, string | null>) => {
  const lines = new Map(RULE.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line]));
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) lines.delete(key);
    else lines.set(key, `${key}: ${value}`);
  }
  return [...lines.values()].join("\n");
};

describe("the example of the documentation", () => {
  const configuration = load(EXAMPLE);

  test("loads as it is", () => {
    expect(configuration.sources).toMatchObject([
      {
        name: "shop",
        kind: "neon",
        block: { project: "wispy-butterfly-25042691", apiKey: { ref: "env:NEON_API_KEY" } },
      },
    ]);
    expect(configuration.destinations.map(({ name, kind }) => [name, kind])).toEqual([
      ["web", "vercel"],
      ["ci", "github"],
      ["runtime", "awsSecretsManager"],
      ["vault", "vault"],
    ]);
    expect(configuration.webhooks).toEqual({
      github: { secrets: [{ ref: "env:GITHUB_WEBHOOK_SECRET" }], repositories: { "acme/shop": ["shop"] } },
    });
  });

  test("gives whole rules, defaults and extends included", () => {
    expect(configuration.rules[0]).toEqual({
      name: "web-preview",
      source: "shop",
      destination: "web",
      branches: { include: ["preview/**"], exclude: ["preview/dependabot/**"] },
      roles: { app: "shop_app", migrate: "shop_owner" },
      database: "shop",
      target: { environment: "preview", gitBranch: "${branch.name|after:preview/}" },
      variables: { DATABASE_URL: "app.pooled", DATABASE_URL_UNPOOLED: "migrate.direct" },
      policy: "upsert-only",
      onBranchDelete: "delete",
      exposure: null,
      productionReason: null,
      inheritedPassword: "warn",
      proof: "onChange",
      onDrift: "repair",
      tier: "ticket",
      adopt: [],
      connection: {
        sslmode: "require",
        channelBinding: true,
        sniWorkaround: false,
        connectTimeoutSeconds: null,
        applicationName: null,
        parameters: {},
      },
    });
    expect(configuration.rules[1]).toMatchObject({
      name: "billing-prod",
      branches: { default: true },
      roles: { app: "shop_app", migrate: "shop_owner" },
      destination: "runtime",
      target: { secretId: "prd/billing/db" },
      exposure: "production",
      onBranchDelete: "retain",
      tier: "page",
    });
  });

  test("its credentials are missed where they are not set", () => {
    const problems = problemsOf(EXAMPLE, ({ ref }) => `${ref} is not set or empty`);
    expect(problems.map(({ path, problem }) => [path, problem])).toEqual([
      ["sources.shop.neon.apiKey", "env:NEON_API_KEY is not set or empty"],
      ["webhooks.github.secrets[0]", "env:GITHUB_WEBHOOK_SECRET is not set or empty"],
      ["destinations.web.vercel.token", "env:VERCEL_TOKEN is not set or empty"],
      ["destinations.ci.github.app.privateKey", "file:/run/secrets/github-app is not set or empty"],
      [
        "destinations.runtime.awsSecretsManager.assumeRole.externalId",
        "env:AWS_EXTERNAL_ID is not set or empty",
      ],
      ["destinations.vault.vault.auth.approle.roleId", "env:VAULT_ROLE_ID is not set or empty"],
      ["destinations.vault.vault.auth.approle.secretId", "file:/run/secrets/vault is not set or empty"],
    ]);
  });
});

describe("loadFile()", () => {
  test("reads a file and calls it by its name", () => {
    const folder = mkdtempSync(join(tmpdir(), "branchline-file-"));
    try {
      const path = join(folder, "branchline.yaml");
      writeFileSync(path, file(RULE));
      expect(loadFile(path, { adapters, refuse: () => null }).rules).toHaveLength(1);
      writeFileSync(path, "ruels: {}");
      expect(() => loadFile(path, { adapters })).toThrow(
        /^branchline\.yaml:1:1 ruels: there is no "ruels" here$/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("says that there is no file", () => {
    expect(() => loadFile("/nowhere/branchline.yaml", { adapters })).toThrow("the file does not exist");
  });

  test("tries the credentials unless told otherwise", () => {
    expect(() => loadText(file(RULE), { adapters })).toThrow("env:KEY is not set or empty");
  });
});

describe("what may be written", () => {
  test("sections of one's own, comments, anchors and merge keys", () => {
    const text = `
x-anything: { free: [1, 2] }
x-common: &common { source: shop, role: app, database: shop, destination: box }
${file(RULE)}
  api:
    <<: *common
    x-note: mine
    branches: [main, "release/*"]
    target: { environment: staging }
    variables: { DATABASE_URL: direct }
`;
    expect(load(text).rules[1]).toMatchObject({
      name: "api",
      source: "shop",
      branches: { include: ["main", "release/*"] },
      variables: { DATABASE_URL: "direct" },
    });
  });

  test("conditions of every kind, durations, connection options", () => {
    const text = file(
      rule({
        branches:
          '{ default: false, protected: true, expires: false, parent: main, olderThan: 1h30m, youngerThan: 7d, annotations: { team: "web-*" } }',
        connection:
          "{ sslmode: verify-full, channelBinding: false, sniWorkaround: true, connectTimeout: 15s, applicationName: shop, parameters: { pgbouncer: true, statement_cache_size: 0 } }",
      }),
      "watch: { interval: 30s }\nsweep: { every: 2h }",
    );
    const configuration = load(text);
    expect(configuration).toMatchObject({ watch: { intervalMs: 30_000 }, sweep: { everyMs: 7_200_000 } });
    expect(configuration.rules[0]).toMatchObject({
      branches: {
        default: false,
        protected: true,
        expires: false,
        parent: "main",
        olderThanMs: 5_400_000,
        youngerThanMs: 604_800_000,
        annotations: { team: "web-*" },
      },
      connection: {
        sslmode: "verify-full",
        channelBinding: false,
        sniWorkaround: true,
        connectTimeoutSeconds: 15,
        applicationName: "shop",
        parameters: { pgbouncer: "true", statement_cache_size: "0" },
      },
    });
  });

  test("presets, with single names changed, left out and added", () => {
    const text = file(
      rule({ variables: "{ preset: [vercel-all], DATABASE_URL: direct, PGHOST: ~, EXTRA: 'text:x' }" }),
    );
    const variables = load(text).rules[0]?.variables ?? {};
    expect(variables).toMatchObject({
      DATABASE_URL: "direct",
      EXTRA: "text:x",
      NEON_PROJECT_ID: "text:wispy-1",
      PGHOST_UNPOOLED: "direct.host",
    });
    expect(Object.keys(variables)).not.toContain("PGHOST");
    expect(Object.keys(variables)).toHaveLength(16);
  });

  test("a preset for one of several roles", () => {
    const text = file(
      rule({ role: null, roles: "{ app: a, owner: b }", variables: "{ preset: app.prisma }" }),
    );
    expect(load(text).rules[0]?.variables).toEqual({
      DATABASE_URL: "app.pooled.prisma",
      DATABASE_URL_UNPOOLED: "app.direct.prisma",
    });
  });
});

describe("extends", () => {
  test("merges deep, null removes, and a base under x- is no rule", () => {
    const text = file(
      rule({ connection: "{ sslmode: verify-full, applicationName: web }", tier: "page" }),
      `  x-base: { tier: quiet, adopt: [DATABASE_URL] }
  api:
    extends: [web, x-base]
    target: { group: two }
    variables: { DATABASE_URL: ~, URL: direct }
    connection: { applicationName: ~, channelBinding: false }
    adopt: ~
`,
    );
    const rules = load(text).rules;
    expect(rules.map(({ name }) => name)).toEqual(["web", "api"]);
    expect(rules[1]).toMatchObject({
      tier: "quiet",
      target: { environment: "production", group: "two" },
      variables: { URL: "direct" },
      adopt: [],
      connection: { sslmode: "verify-full", channelBinding: false, applicationName: null },
    });
  });

  test("replaces branches, whose conditions would add up to nothing", () => {
    const text = file(
      rule({ branches: "{ include: [a], protected: true }" }),
      "  api: { extends: web, branches: { default: true }, target: { group: g } }",
    );
    expect(load(text).rules[1]?.branches).toEqual({ default: true });
  });

  test("tells the line of the rule where the mistake stands", () => {
    const text = file(rule({ tier: "loud" }), "  api: { extends: web, target: { group: g } }");
    expect(problemsOf(text).map(({ path, line, column }) => [path, line, column])).toEqual([
      ["rules.web.tier", 14, 11],
      ["rules.api.tier", 14, 11],
    ]);
  });

  test.each([
    ["  a: { extends: b }\n  b: { extends: a }", "extends itself: a -> b -> a"],
    ["  a: { extends: a }", "extends itself: a -> a"],
    ["  a: { extends: wbe }", 'there is no rule "wbe" to extend'],
    ["  a: { extends: { x: 1 } }", "expected the name of a rule"],
  ])("refuses %j", (rest, problem) => {
    expect(problemsOf(file(RULE, rest)).map((each) => each.problem)).toContain(
      problem === "expected the name of a rule" ? "expected the name of a rule, or a list of names" : problem,
    );
  });
});

describe("what is wrong is told with its place, what was expected, and a hint", () => {
  test.each([
    [
      "an unknown field",
      { teir: "page" },
      "rules.web.teir",
      'there is no "teir" here',
      'did you mean "tier"?',
    ],
    ["a missing field", { database: null }, "rules.web.database", '"database" is missing', ""],
    [
      "a wrong type",
      { database: "7" },
      "rules.web.database",
      "expected text, found a number",
      "Put it in quotes.",
    ],
    [
      "a wrong word",
      { tier: "pgae" },
      "rules.web.tier",
      "expected page, ticket or quiet",
      'did you mean "page"?',
    ],
    ["a list for a mapping", { target: "[a]" }, "rules.web.target", "expected a mapping, found a list", ""],
    [
      "an unknown source",
      { source: "shpo" },
      "rules.web.source",
      'there is no source "shpo"',
      'did you mean "shop"?',
    ],
    [
      "an unknown destination",
      { destination: "bxo" },
      "rules.web.destination",
      'there is no destination "bxo"',
      'did you mean "box"?',
    ],
    [
      "a bad pattern",
      { branches: "{ include: ['a/{b,c}'] }" },
      "rules.web.branches.include[0]",
      "braces are not expanded",
      "",
    ],
    ["a bad pattern in short form", { branches: "['a[']" }, "rules.web.branches[0]", "is not closed", ""],
    [
      "an unknown condition",
      { branches: "{ inclued: [a] }" },
      "rules.web.branches.inclued",
      'there is no "inclued" here',
      'did you mean "include"?',
    ],
    [
      "a selector of nothing",
      { branches: "{ exclude: [a] }" },
      "rules.web.branches",
      "selects no branch",
      "include",
    ],
    [
      "a bad duration",
      { branches: "{ olderThan: soon }" },
      "rules.web.branches.olderThan",
      "expected a duration",
      "",
    ],
    [
      "a number for a duration",
      { branches: "{ olderThan: 5 }" },
      "rules.web.branches.olderThan",
      "expected a duration",
      "",
    ],
    [
      "a bad template",
      { target: "{ environment: '${branch.nmae}' }" },
      "rules.web.target.environment",
      '"branch.nmae" is unknown',
      "",
    ],
    [
      "a field the vendor does not know",
      { target: "{ environment: production, gruop: a }" },
      "rules.web.target.gruop",
      'there is no "gruop" here',
      'did you mean "group"?',
    ],
    [
      "a bad expression",
      { variables: "{ URL: poled }" },
      "rules.web.variables.URL",
      "neither pooled nor direct",
      'did you mean "pooled"?',
    ],
    [
      "a bare host",
      { variables: "{ PGHOST: host }" },
      "rules.web.variables.PGHOST",
      "differs between pooled and direct",
      "say pooled.host or direct.host",
    ],
    [
      "an unknown preset",
      { variables: "{ preset: vercell }" },
      "rules.web.variables.preset",
      'there is no preset "vercell"',
      'did you mean "vercel"?',
    ],
    ["no variables", { variables: "{}" }, "rules.web.variables", "expected at least one variable", ""],
    [
      "an undefined role",
      { role: null, roles: "{ app: a }", variables: "{ URL: ap.pooled }" },
      "rules.web.variables.URL",
      'the role "ap" is not defined',
      'did you mean "app"?',
    ],
    [
      "a role left out",
      { role: null, roles: "{ app: a }", variables: "{ URL: pooled }" },
      "rules.web.variables.URL",
      "does not say which role",
      "Write app.pooled",
    ],
    ["no role", { role: null }, "rules.web", '"role" is missing', "Name the role"],
    ["role and roles", { roles: "{ app: a }" }, "rules.web.role", "both role and roles", ""],
    [
      "an alias of the grammar",
      { role: null, roles: "{ app: a, direct: b }", variables: "{ URL: app.direct }" },
      "rules.web.roles.direct",
      "a meaning of its own",
      "",
    ],
    [
      "an exposure that must be said",
      { target: "{ environment: eu }" },
      "rules.web.exposure",
      "cannot be derived",
      "Say production",
    ],
    [
      "an exposure that contradicts the target",
      { exposure: "preview" },
      "rules.web.exposure",
      "the exposure of this target is production",
      "",
    ],
    [
      "an adopted name that is not ours",
      { adopt: "[DATABASE_ULR]" },
      "rules.web.adopt[0]",
      "none of the rule's variables",
      'did you mean "DATABASE_URL"?',
    ],
    [
      "a parameter that leads elsewhere",
      { connection: "{ parameters: { host: evil } }" },
      "rules.web.connection.parameters.host",
      "where or as whom",
      "",
    ],
    ["a field to come", { pullRequest: "{}" }, "rules.web.pullRequest", "is not supported yet", ""],
    [
      "a short reason",
      { productionReason: "because" },
      "rules.web.productionReason",
      "expected a reason in words",
      "",
    ],
    ["a role name that is too long", { role: "r".repeat(64) }, "rules.web.role", "63 bytes", ""],
  ] as const)("%s", (_, changes, path, problem, hint) => {
    const problems = problemsOf(file(rule(changes)));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({
      path,
      problem: expect.stringContaining(problem),
      hint: expect.stringContaining(hint),
    });
    expect(problems[0]?.where).toMatch(/^branchline\.yaml:\d+:\d+ rules\.web/);
  });

  test("all at once, in the order of the file", () => {
    const problems = problemsOf(`surces: {}
sources:
  shop: { neon: { projct: wispy-1, apiKey: napi_pasted } }
  other: { noen: { project: x } }
destinations:
  box: { memory: { store: 5 } }
  two: { memory: { store: a }, vault: {} }
  "bad name": { memory: { store: b } }
webhooks:
  github: { secrets: [], repositories: { shop: [shop], acme/shop: [sohp] } }
watch: { interval: 1 }
sweep: { evry: 1h }
rules:
  web: { source: shop, branches: main }
  api: 5
`);
    expect(problems.map(({ path, line, column }) => `${path} ${line}:${column}`)).toEqual([
      "surces 1:1",
      "sources.shop.neon.project 3:17",
      "sources.shop.neon.projct 3:19",
      "sources.shop.neon.apiKey 3:44",
      "sources.other.noen 4:12",
      "destinations.box.memory.store 6:27",
      "destinations.two 7:8",
      "destinations.bad name 8:3",
      "webhooks.github.secrets 10:22",
      "webhooks.github.repositories.shop 10:42",
      "webhooks.github.repositories.acme/shop[0] 10:68",
      "watch.interval 11:20",
      "sweep.every 12:8",
      "sweep.evry 12:10",
      "rules.web.database 14:8",
      "rules.web.destination 14:8",
      "rules.web.target 14:8",
      "rules.web.variables 14:8",
      "rules.web 14:8",
      "rules.api 15:8",
    ]);
    expect(problems.find(({ path }) => path.startsWith("webhooks.github.repositories.acme"))?.pointer).toBe(
      "/webhooks/github/repositories/acme~1shop/0",
    );
    expect(JSON.stringify(problems)).not.toContain("napi_pasted");
  });

  test("a destination that cannot be read is still known by its name", () => {
    const text = file(RULE).replace("store: s", "stor: s");
    expect(problemsOf(text).every(({ path }) => path.startsWith("destinations.box"))).toBe(true);
  });

  test("the alternative that was meant is the one that is explained", () => {
    const text = `destinations: { v: { vault: { address: "https://v:8200", auth: { approle: { roleId: env:A, secretid: env:B } } } } }`;
    expect(problemsOf(text).map(({ path, problem }) => [path, problem])).toEqual(
      expect.arrayContaining([
        ["destinations.v.vault.auth.approle.secretid", 'there is no "secretid" here'],
        ["destinations.v.vault.auth.approle.secretId", '"secretId" is missing'],
      ]),
    );
  });

  test("two sources that are one project", () => {
    const text = `sources:
  a: { neon: { project: wispy-1, apiKey: "env:A" } }
  b: { neon: { project: wispy-1, apiKey: "env:B" } }
`;
    expect(problemsOf(text)).toMatchObject([{ path: "sources.b", problem: 'is the same as the source "a"' }]);
  });
});

describe("two rules that want one name at one target", () => {
  test("are refused where the target is the same for every branch", () => {
    const text = file(
      RULE,
      "  api: { extends: web, branches: other, variables: { DATABASE_URL: direct, X: user } }",
    );
    expect(problemsOf(text)).toMatchObject([
      {
        path: "rules.api.variables.DATABASE_URL",
        problem: 'the rule "web" writes DATABASE_URL to the same target',
      },
    ]);
  });

  test("are refused where both take the same branches with the same templates", () => {
    const templated = rule({ target: "{ environment: preview, group: '${branch.name}' }" });
    expect(problemsOf(file(templated, "  api: { extends: web }"))).toHaveLength(1);
    expect(problemsOf(file(templated, "  api: { extends: web, branches: other }"))).toEqual([]);
  });

  test("are right with names of their own", () => {
    expect(
      problemsOf(file(RULE, "  api: { extends: web, variables: { DATABASE_URL: ~, API_URL: direct } }")),
    ).toEqual([]);
  });
});

describe("names that the vendor refuses", () => {
  test("are told at the variable", () => {
    const text = `${file(RULE).replace("memory: { store: s }", "github: { repository: acme/shop, token: env:T }").replace("{ environment: production }", "{}")}`;
    const bad = text.replace("DATABASE_URL: pooled", "GITHUB_URL: pooled, ok: direct, OK: direct");
    expect(problemsOf(text)).toEqual([]);
    expect(problemsOf(bad)).toMatchObject([
      {
        path: "rules.web.variables.GITHUB_URL",
        problem: expect.stringContaining("the destination refuses the name"),
      },
      { path: "rules.web.variables.OK", problem: "OK and ok are the same name at the destination" },
    ]);
  });
});

describe("YAML", () => {
  test.each([
    ["a: 1\na: 2", "this key is given twice", 2],
    ["a: [1", "a bracket before it is not closed", 1],
    ["a:\n\t- b", "tabs may not indent", 2],
    ["a: *gone", "names an anchor that is not set", 1],
    ["a: 1\n---\nb: 2", "more than one document", 2],
    ["a: !secret x", "tags are not supported", 1],
    ["__proto__: { polluted: true }", "this key is not allowed", 1],
    ["? [a, b]\n: c", "expected a plain word as key", 1],
    ["just text", "expected a mapping", 1],
    ["", "expected a mapping", 1],
  ])("refuses %j", (text, problem, line) => {
    const problems = problemsOf(text);
    expect(problems[0]).toMatchObject({ problem: expect.stringContaining(problem), line });
  });

  test("bounds what anchors multiply to", () => {
    const bomb = ["x-a: &a [0,0,0,0,0,0,0,0,0]"];
    for (const [from, to] of ["ab", "bc", "cd", "de", "ef", "fg", "gh"])
      bomb.push(
        `x-${to}: &${to} [*${from},*${from},*${from},*${from},*${from},*${from},*${from},*${from},*${from}]`,
      );
    const started = performance.now();
    expect(problemsOf(bomb.join("\n"))[0]?.problem).toContain("anchors multiply");
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test("bounds depth, anchors that hold themselves, and size", () => {
    expect(problemsOf(`x: ${"[".repeat(200)}${"]".repeat(200)}`)[0]?.problem).toContain("nested deeper");
    expect(problemsOf("x-a: &a { b: *a }")[0]?.problem).toContain("nested deeper");
    expect(problemsOf(`x-a: ${"y".repeat(1024 * 1024)}`)[0]?.problem).toContain("1 MiB");
  });

  test("never quotes the text", () => {
    for (const text of [
      "a: [s3cr3t",
      "a: 's3cr3t",
      "s3cr3t: x: y",
      "a: *s3cr3t",
      'a: "\\q s3cr3t"',
      "a: @s3cr3t",
      "a: !s3cr3t x",
    ])
      expect(JSON.stringify(problemsOf(text))).not.toContain("s3cr3t");
  });
});

describe("renderProblems()", () => {
  test("shows place, problem and hint, and counts", () => {
    expect(
      renderProblems(problemsOf(file(rule({ teir: "page", database: null })))),
    ).toBe(`branchline.yaml:7:5 rules.web.database
  "database" is missing

branchline.yaml:13:5 rules.web.teir
  there is no "teir" here
  -> did you mean "tier"?

2 problems`);
    expect(renderProblems([{ where: "PORT", problem: "is not a port number", hint: "" }])).toContain(
      "1 problem",
    );
  });
});
