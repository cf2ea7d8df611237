/** What a rule can get wrong about the four destinations: told before anything is done, all at once, each with its line. */
import { describe, expect, test } from "vitest";
import { ConfigurationError } from "../../../../services/config.ts";
import { destinations } from "../../../../services/destinations/index.ts";
import type { FileProblem } from "../../../../services/file/configuration.ts";
import { loadText } from "../../../../services/file/load.ts";
import { sourceAdapters } from "../../../../services/sources/index.ts";

const ACCOUNTS = `sources:
  shop: { neon: { project: wispy-1, apiKey: "env:KEY" } }
destinations:
  web: { vercel: { project: shop-web, team: acme, token: "env:T" } }
  same-web: { vercel: { project: shop-web, team: ACME, token: "env:OTHER" } }
  ci: { github: { repository: acme/shop, token: "env:T" } }
  org: { github: { organization: acme, token: "env:T" } }
  runtime: { awsSecretsManager: { account: "123456789012", region: eu-central-1 } }
  vault: { vault: { address: "https://vault.internal:8200", mount: kv, auth: { token: "env:T" } } }
x-rule: &rule { source: shop, branches: main, role: app, database: shop, exposure: preview }
x-web: &web { source: shop, branches: main, role: app, database: shop }
rules:
`;
const FIRST = ACCOUNTS.split("\n").length;

/** Line within the rules, path and problem of everything that is wrong with these rules, one a line. */
function problemsOf(...rules: readonly string[]): [line: number, path: string, problem: string][] {
  try {
    loadText(`${ACCOUNTS}${rules.map((rule) => `  ${rule}`).join("\n")}\n`, {
      adapters: { sources: sourceAdapters, destinations: [...destinations.values()] },
      refuse: () => null,
    });
  } catch (thrown) {
    if (!(thrown instanceof ConfigurationError)) throw thrown;
    return (thrown.problems as readonly FileProblem[]).map(({ line, path, problem }) => [
      line - FIRST + 1,
      path,
      problem,
    ]);
  }
  return [];
}

const at = (destination: string, target: string, variables = "DATABASE_URL: pooled", base = "rule"): string =>
  `<<: *${base}, destination: ${destination}, target: ${target}, variables: { ${variables} }`;

describe("targets", () => {
  test.each([
    ["vercel", at("web", "{ environment: preview, branch: main }", undefined, "web"), '"branch"'],
    ["github", at("ci", "{ enviroment: production }", undefined, "web"), '"enviroment"'],
    ["aws", at("runtime", "{ secret: shop/db }"), '"secret"'],
    ["vault", at("vault", "{ path: shop/db, mount: kv }"), '"mount"'],
  ])("with a field that %s does not know", (_, rule, field) => {
    const problems = problemsOf(`bad: { ${rule} }`);
    expect(problems.map(([line]) => line)).toEqual(problems.map(() => 1));
    const unknown = problems.find(([, , problem]) => problem.includes(field));
    expect(unknown?.[1]).toMatch(/^rules\.bad\.target/);
  });

  test.each([
    [
      "vercel's environments in another case",
      at("web", "{ environment: Production }", undefined, "web"),
      "lower case",
    ],
    ["no name of an environment", at("web", '{ environment: "no such/one" }'), "expected a name"],
    [
      "a git branch outside of preview",
      at("web", "{ environment: production, gitBranch: x }", undefined, "web"),
      "gitBranch",
    ],
    ["an environment of an organization", at("org", "{ environment: production }"), "organization has none"],
    [
      "an environment of Dependabot",
      at("ci", "{ environment: production, family: dependabot }"),
      "Dependabot",
    ],
    [
      "an ARN of another account",
      at("runtime", '{ secretId: "arn:aws:secretsmanager:eu-central-1:210987654321:secret:db-a1B2c3" }'),
      "another account",
    ],
    ["a path that leaves its mount", at("vault", "{ path: ../sys/policy }"), "`..`"],
  ])("that cannot be: %s", (_, rule, words) => {
    const problems = problemsOf(`bad: { ${rule} }`);
    expect(problems.map(([line]) => line)).toEqual([1]);
    expect(problems[0]?.[2]).toContain(words);
  });
});

describe("names and values", () => {
  test.each([
    ["vercel", at("web", "{ environment: preview }", "1ST: pooled", "web"), "letters, digits and _"],
    ["vercel", at("web", "{ environment: preview }", "TZ: pooled", "web"), "reserved"],
    ["vercel", at("web", "{ environment: preview }", "NEXT_PUBLIC_URL: pooled", "web"), "sent to browsers"],
    ["github", at("ci", "{}", "GITHUB_URL: pooled", "web"), "GITHUB_"],
    ["github", at("ci", "{}", "database_url: pooled, DATABASE_URL: direct", "web"), "same name"],
    ["aws", at("runtime", "{ secretId: db }", '"LINE\\nBREAK": pooled'), "refuses the name"],
    ["vault", at("vault", "{ path: db }", '"": pooled'), "refuses the name"],
  ])("that %s refuses", (_, rule, words) => {
    const problems = problemsOf(`bad: { ${rule} }`);
    expect(problems.map(([line]) => line)).toEqual([1]);
    expect(problems[0]?.[1]).toMatch(/^rules\.bad\.variables\./);
    expect(problems[0]?.[2]).toContain(words);
  });

  test.each([
    ["vercel", "web", "{ environment: preview }", 66_000, "web"],
    ["github", "ci", "{}", 50_000, "web"],
    ["aws", "runtime", "{ secretId: db }", 65_001, "rule"],
    ["vault", "vault", "{ path: db }", 1_045_000, "rule"],
  ])("that are too long for %s", (_, destination, target, bytes, base) => {
    const variable = `X: "text:${"x".repeat(bytes)}"`;
    const [first, ...more] = problemsOf(`bad: { ${at(destination, target, variable, base)} }`);
    expect(more).toEqual([]);
    expect(first).toEqual([1, "rules.bad.variables.X", expect.stringContaining(`has ${bytes} bytes`)]);
  });

  test("more of them than there is room for", () => {
    const many = Array.from({ length: 101 }, (_, n) => `V${n}: pooled`).join(", ");
    expect(problemsOf(`bad: { ${at("ci", "{}", many, "web")} }`)).toEqual([
      [1, "rules.bad.variables", "101 variables, and the destination takes 100"],
    ]);
  });

  test("handed over in another spelling are the same name where the vendor says so", () => {
    const rule = (destination: string, target: string) =>
      `x: { ${at(destination, target, undefined, "web")}, adopt: [database_url] }`;
    expect(problemsOf(rule("ci", "{}"))).toEqual([]);
    expect(problemsOf(rule("web", "{ environment: preview }"))).toMatchObject([
      [1, "rules.x.adopt[0]", "is none of the rule's variables"],
    ]);
  });
});

describe("two rules that want one name at one target", () => {
  test.each([
    [
      "vercel, by two destinations that are one account",
      "web",
      "{ environment: preview }",
      "same-web",
      "{ environment: preview, type: plain }",
      "web",
    ],
    [
      "github, in another case",
      "ci",
      "{ environment: Production }",
      "ci",
      "{ environment: production }",
      "rule",
    ],
    [
      "aws, by name and by ARN",
      "runtime",
      "{ secretId: shop/db }",
      "runtime",
      '{ secretId: "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/db-a1B2c3" }',
      "rule",
    ],
    ["vault", "vault", "{ path: shop/db }", "vault", "{ path: shop/db }", "rule"],
  ])("at %s", (_, oneDestination, one, otherDestination, other, base) => {
    expect(
      problemsOf(
        `one: { ${at(oneDestination, one, undefined, base)} }`,
        `other: { ${at(otherDestination, other, undefined, base)} }`,
      ),
    ).toEqual([
      [2, "rules.other.variables.DATABASE_URL", 'the rule "one" writes DATABASE_URL to the same target'],
    ]);
  });
});

test("everything that is wrong is told at once, in the order of the file", () => {
  const problems = problemsOf(
    `a: { ${at("web", "{ environment: Preview }", "TZ: pooled", "web")} }`,
    `b: { ${at("ci", "{ nonsense: 1 }", "GITHUB_X: pooled", "web")} }`,
    `c: { ${at("runtime", "{ secretId: db }")} }`,
    `d: { ${at("runtime", "{ secretId: db }")} }`,
  );
  expect(problems.map(([line, path]) => [line, path.split(".")[1]])).toEqual([
    [1, "a"],
    [1, "a"],
    [2, "b"],
    [2, "b"],
    [4, "d"],
  ]);
});
