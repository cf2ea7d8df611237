import { describe, expect, test } from "vitest";
import { expandPreset, lintRule, PRESETS } from "../../../../services/sync/presets.ts";
import { parseVariable } from "../../../../services/sync/variables.ts";

const names = (preset: string, project: string | null = "wispy-1") =>
  Object.fromEntries(expandPreset(preset, project).map((entry) => [entry.name, entry.expression]));

describe("PRESETS", () => {
  test("every entry can be read and says why", () => {
    for (const preset of PRESETS.values()) {
      expect(preset.about).toMatch(/\.$/);
      const entries = expandPreset(`app.${preset.name}`, "wispy-1");
      expect(entries).not.toHaveLength(0);
      for (const entry of entries) {
        const expression = parseVariable(entry.expression);
        if (expression.kind === "login") expect(expression.alias).toBe("app");
        expect(entry.reason).not.toBe("");
      }
    }
  });

  test("none of them draws a warning", () => {
    for (const name of PRESETS.keys()) expect(lintRule({ name, variables: names(name) })).toEqual([]);
  });
});

describe("expandPreset()", () => {
  test("vercel is the pair that Neon and Vercel agree on", () => {
    expect(names("vercel")).toEqual({ DATABASE_URL: "pooled", DATABASE_URL_UNPOOLED: "direct" });
  });

  test("vercel-all is the sixteen names of Neon's integration and warns of Vercel's limit", () => {
    expect(Object.keys(names("vercel-all"))).toHaveLength(16);
    expect(names("vercel-all")).toMatchObject({
      PGHOST: "pooled.host",
      PGHOST_UNPOOLED: "direct.host",
      POSTGRES_URL_NO_SSL: "pooled.url-bare",
      NEON_PROJECT_ID: "text:wispy-1",
    });
    expect(PRESETS.get("vercel-all")?.caution).toContain("1,000");
  });

  test("a project without an id has no variable for it", () => {
    expect(Object.keys(names("vercel-all", null))).toHaveLength(15);
  });

  test("a role goes before each expression but not before text", () => {
    expect(names("app.aws-rds-json")).toMatchObject({ engine: "text:postgres", host: "app.direct.host" });
  });

  test("refuses a preset that does not exist, with a guess", () => {
    expect(() => expandPreset("vercell", null)).toThrow('there is no preset "vercell"');
    expect(() => expandPreset("app.prisma2", null)).toThrow(
      expect.objectContaining({ next: 'did you mean "prisma"?' }),
    );
  });
});

describe("lintRule()", () => {
  const lint = (variables: Record<string, string>) => lintRule({ name: "web", variables });

  test.each([
    ["DATABASE_URL_UNPOOLED", "pooled", "migrations_over_pooler"],
    ["DIRECT_URL", "app.pooled", "migrations_over_pooler"],
    ["FLYWAY_URL", "pooled.jdbc-bare?pooling=false", "migrations_over_pooler"],
    ["POSTGRES_URL_NON_POOLING", "pooled", "migrations_over_pooler"],
    ["DATABASE_URL", "migrate.pooled", "migrations_over_pooler"],
    ["ConnectionStrings__Default", "pooled.npgsql", "double_pooling"],
    ["SPRING_DATASOURCE_URL", "pooled.jdbc-bare", "double_pooling"],
    ["HYPERDRIVE_ORIGIN", "pooled", "double_pooling"],
    ["NEXT_PUBLIC_DATABASE_URL", "pooled", "public_prefix"],
    ["VITE_PGHOST", "pooled.host", "public_prefix"],
    ["GITHUB_DATABASE_URL", "pooled", "reserved_name"],
    ["AWS_SECRET_ACCESS_KEY", "password", "reserved_name"],
    ["PATH", "pooled", "reserved_name"],
  ])("warns of %s: %s (%s)", (name, expression, code) => {
    const warnings = lint({ [name]: expression });
    expect(warnings).toMatchObject([{ rule: "web", path: `variables.${name}`, code }]);
    expect(warnings[0]?.hint).toMatch(/\.$/);
  });

  test.each([
    ["DATABASE_URL", "pooled"],
    ["DATABASE_URL_UNPOOLED", "direct"],
    ["DATABASE_URL", "migrate.direct"],
    ["ConnectionStrings__Default", "pooled.npgsql?Pooling=false"],
    ["MIGRATE_USER", "migrate.user"],
    ["NEXT_PUBLIC_MODE", "text:on"],
    ["REDIRECT_URL", "pooled"],
  ])("has nothing to say of %s: %s", (name, expression) => {
    expect(lint({ [name]: expression })).toEqual([]);
  });

  test("says what a public prefix would publish", () => {
    expect(lint({ NEXT_PUBLIC_X: "pooled" })[0]?.message).toContain("a password");
    expect(lint({ NEXT_PUBLIC_X: "pooled.host" })[0]?.message).toContain("where the database is");
  });

  test("passes over what cannot be read: that is an error elsewhere", () => {
    expect(lint({ X: "nonsense" })).toEqual([]);
  });
});
