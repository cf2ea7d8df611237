import { describe, expect, test } from "vitest";
import { dotenvLine, FORMS, renderForm } from "../../../../services/sync/forms.ts";
import {
  type ConnectionOptions,
  DEFAULT_CONNECTION,
  type LoginMaterial,
} from "../../../../services/sync/model.ts";
import { Secret } from "../../../../services/sync/secret.ts";

const login: LoginMaterial = {
  role: "app",
  database: "shop",
  password: new Secret("p@ss"),
  endpoint: { id: "ep-a-1", host: "ep-a-1.eu-central-1.aws.neon.tech" },
  port: 5432,
};
const DIRECT = "ep-a-1.eu-central-1.aws.neon.tech";
const POOLED = "ep-a-1-pooler.eu-central-1.aws.neon.tech";
const both = "sslmode=require&channel_binding=require";

const write = (name: string, via: "pooled" | "direct", options: Partial<ConnectionOptions> = {}) =>
  renderForm(name, login, { ...DEFAULT_CONNECTION, ...options }, via).reveal();

describe("renderForm()", () => {
  test.each([
    ["url", `postgresql://app:p%40ss@${POOLED}/shop?${both}`],
    ["url-bare", `postgresql://app:p%40ss@${POOLED}/shop`],
    ["drizzle", `postgresql://app:p%40ss@${POOLED}/shop?${both}`],
    ["kysely", `postgresql://app:p%40ss@${POOLED}/shop?${both}`],
    ["typeorm", `postgresql://app:p%40ss@${POOLED}/shop?${both}`],
    ["nextjs", `postgresql://app:p%40ss@${POOLED}/shop?${both}`],
    ["neon-serverless", `postgresql://app:p%40ss@${POOLED}/shop?${both}`],
    ["rust", `postgresql://app:p%40ss@${POOLED}/shop?${both}`],
    ["postgres-js", `postgresql://app:p%40ss@${POOLED}/shop?sslmode=require`],
    ["go", `postgresql://app:p%40ss@${POOLED}/shop?sslmode=require`],
    ["asyncpg", `postgresql://app:p%40ss@${POOLED}/shop?sslmode=require`],
    ["rails", `postgresql://app:p%40ss@${POOLED}/shop?${both}&prepared_statements=false`],
    ["elixir", `ecto://app:p%40ss@${POOLED}/shop?ssl=true`],
    ["symfony", `postgresql://app:p%40ss@${POOLED}/shop?sslmode=require&charset=utf8`],
    ["prisma", `postgresql://app:p%40ss@${POOLED}/shop?${both}&connect_timeout=15`],
    [
      "prisma-legacy",
      `postgresql://app:p%40ss@${POOLED}/shop?${both}&connect_timeout=30&pool_timeout=30&pgbouncer=true`,
    ],
    ["sqlalchemy-psycopg", `postgresql+psycopg://app:p%40ss@${POOLED}/shop?${both}`],
    ["sqlalchemy-asyncpg", `postgresql+asyncpg://app:p%40ss@${POOLED}/shop?ssl=require`],
    ["psql", `psql 'postgresql://app:p%40ss@${POOLED}/shop?${both}'`],
    [
      "libpq",
      `host='${POOLED}' port='5432' dbname='shop' user='app' password='p@ss' sslmode='require' channel_binding='require'`,
    ],
    [
      "jdbc",
      `jdbc:postgresql://${POOLED}/shop?user=app&password=p%40ss&sslmode=require&channelBinding=require`,
    ],
    ["jdbc-bare", `jdbc:postgresql://${POOLED}/shop?sslmode=require&channelBinding=require`],
    [
      "npgsql",
      `Host=${POOLED};Port=5432;Database=shop;Username=app;Password=p@ss;SSL Mode=Require;Channel Binding=Require;No Reset On Close=true`,
    ],
    [
      "aws-rds-json",
      `{"engine":"postgres","host":"${POOLED}","username":"app","password":"p@ss","dbname":"shop","port":5432}`,
    ],
    [
      "django",
      `{"default":{"ENGINE":"django.db.backends.postgresql","NAME":"shop","USER":"app","PASSWORD":"p@ss","HOST":"${POOLED}","PORT":"5432","OPTIONS":{"sslmode":"require","channel_binding":"require"},"CONN_HEALTH_CHECKS":true,"DISABLE_SERVER_SIDE_CURSORS":true}}`,
    ],
    [
      "dotenv",
      `DATABASE_URL='postgresql://app:p%40ss@${POOLED}/shop?${both}'\nPGHOST='${POOLED}'\nPGPORT='5432'\nPGDATABASE='shop'\nPGUSER='app'\nPGPASSWORD='p@ss'\nPGSSLMODE='require'\nPGCHANNELBINDING='require'`,
    ],
    ["host", POOLED],
    ["user", "app"],
    ["password", "p@ss"],
    ["database", "shop"],
    ["port", "5432"],
  ])("writes %s", (name, expected) => {
    expect(write(name, "pooled")).toBe(expected);
  });

  test("the table above names every form", () => {
    expect(FORMS.size).toBe(31);
  });

  test("pooled and direct differ in the host and in what the pooler needs, nowhere else", () => {
    const onlyPooled =
      /&prepared_statements=false|&pool_timeout=30&pgbouncer=true|;No Reset On Close=true|,"DISABLE_SERVER_SIDE_CURSORS":true/;
    for (const form of FORMS.values()) {
      const pooled = write(form.name, "pooled");
      const direct = write(form.name, "direct");
      expect(pooled.replaceAll(POOLED, DIRECT).replace(onlyPooled, "")).toBe(direct);
      expect(pooled === direct).toBe(!form.viaMatters);
    }
  });

  test("what a form says of itself is true", () => {
    for (const form of FORMS.values()) {
      const text = write(form.name, "direct");
      expect(/p(@|%40)ss/.test(text)).toBe(form.secret);
      const other = write(form.name, "direct", { sslmode: "verify-full", parameters: { x: "1" } });
      expect(other !== text).toBe(form.takesOptions);
      expect(form.consumer).not.toBe("");
      expect(form.about).toMatch(/\.$/);
    }
  });

  test("refuses a form that does not exist, with a guess", () => {
    expect(() => write("jbdc", "direct")).toThrow('there is no form "jbdc"; did you mean "jdbc"?');
  });
});

describe("verify-full", () => {
  const full = { sslmode: "verify-full" } as const;

  test("libpq's followers are told to use the system's certificates", () => {
    for (const name of ["psql", "rails", "sqlalchemy-psycopg"])
      expect(write(name, "direct", full)).toContain(
        "sslmode=verify-full&channel_binding=require&sslrootcert=system",
      );
    expect(write("libpq", "direct", full)).toContain("sslrootcert='system'");
    expect(JSON.parse(write("django", "direct", full)).default.OPTIONS.sslrootcert).toBe("system");
  });

  test("a file of certificates that the user names is kept", () => {
    const options = { ...full, parameters: { sslrootcert: "/etc/ssl/ca.pem" } };
    expect(write("psql", "direct", options)).not.toContain("system");
  });

  test("node-postgres would look for a file of that name, so plain URLs do not say it", () => {
    expect(write("url", "direct", full)).not.toContain("sslrootcert");
  });

  test("pgjdbc takes the JVM's trust store, Npgsql has words of its own, older Prisma only strictness", () => {
    expect(write("jdbc", "direct", full)).toContain("sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory");
    expect(write("npgsql", "direct", full)).toContain("SSL Mode=VerifyFull");
    expect(write("prisma-legacy", "direct", full)).toMatch(/\?sslmode=require&.*sslaccept=strict/);
  });
});

describe("a database whose name has to be encoded", () => {
  test("is named in the query as well for postgres.js, which does not decode the path", () => {
    const odd = { ...login, database: "shop ü" };
    const text = renderForm("postgres-js", odd, DEFAULT_CONNECTION, "direct").reveal();
    expect(text).toBe(
      `postgresql://app:p%40ss@${DIRECT}/shop%20%C3%BC?database=shop%20%C3%BC&sslmode=require`,
    );
  });
});

describe("options in forms with names of their own", () => {
  const options = {
    sniWorkaround: true,
    connectTimeoutSeconds: 10,
    applicationName: "my app",
    channelBinding: false,
    parameters: { Tag: "a;b" },
  };

  test("JDBC", () => {
    expect(write("jdbc-bare", "pooled", options)).toBe(
      `jdbc:postgresql://${POOLED}/shop?sslmode=require&options=endpoint%3Dep-a-1-pooler&connectTimeout=10&ApplicationName=my%20app&Tag=a%3Bb`,
    );
  });

  test("Npgsql", () => {
    expect(write("npgsql", "direct", options)).toBe(
      `Host=${DIRECT};Port=5432;Database=shop;Username=app;Password=p@ss;SSL Mode=Require;Options="endpoint=ep-a-1";Timeout=10;Application Name="my app";Tag="a;b"`,
    );
  });

  test("SQLAlchemy with asyncpg gets nothing that asyncpg.connect() would refuse", () => {
    const own = { ...options, parameters: { prepared_statement_cache_size: "0" } };
    expect(write("sqlalchemy-asyncpg", "direct", own)).toBe(
      `postgresql+asyncpg://app:p%40ss@${DIRECT}/shop?ssl=require&prepared_statement_cache_size=0`,
    );
  });

  test("what the user says of pooling beats our default", () => {
    const own = { parameters: { "No Reset On Close": "false" } };
    expect(write("npgsql", "pooled", own)).toMatch(/;No Reset On Close=false$/);
    expect(write("prisma-legacy", "pooled", { parameters: { pgbouncer: "false" } })).not.toContain(
      "pgbouncer=true",
    );
    expect(write("prisma", "pooled", { connectTimeoutSeconds: 3 })).toContain("connect_timeout=3");
  });
});

describe("dotenvLine()", () => {
  test("quotes so that all readers agree, or refuses without showing the value", () => {
    expect(dotenvLine("A", "x $y `z`")).toBe("A='x $y `z`'");
    expect(dotenvLine("A", "it's")).toBe('A="it\'s"');
    expect(() => dotenvLine("A", "it's $5")).toThrow(/^A cannot be written/);
    expect(() => dotenvLine("A", "two\nlines")).toThrow(/^A cannot be written/);
  });
});
