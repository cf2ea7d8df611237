import fc from "fast-check";
import { parse as parseNodePostgres } from "pg-connection-string";
import { describe, expect, test } from "vitest";
import {
  checkParameter,
  directHost,
  encodePart,
  openLogin,
  pooledHost,
} from "../../../../services/sync/connection-strings.ts";
import { renderForm } from "../../../../services/sync/forms.ts";
import {
  type ConnectionOptions,
  DEFAULT_CONNECTION,
  type LoginMaterial,
} from "../../../../services/sync/model.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import {
  readAdoNet,
  readDotenv,
  readJdbc,
  readLibpq,
  readLibpqUri,
  readSqlalchemy,
} from "../../../support/readers.ts";

const HOST = "ep-cool-tree-123456.c-2.us-east-1.aws.neon.tech";

function login(
  parts: Partial<Record<"role" | "database" | "password" | "host" | "id", string>> = {},
): LoginMaterial {
  return {
    role: parts.role ?? "shop_app",
    database: parts.database ?? "shop",
    password: new Secret(parts.password ?? "npg_AbCdEf123456"),
    endpoint: { id: parts.id ?? "ep-cool-tree-123456", host: parts.host ?? HOST },
    port: 5432,
  };
}

const write = (form: string, material = login(), options: Partial<ConnectionOptions> = {}) =>
  renderForm(form, material, { ...DEFAULT_CONNECTION, ...options }, "direct").reveal();

describe("pooledHost()", () => {
  test.each([
    ["ep-a-1.us-east-2.aws.neon.tech", "ep-a-1-pooler.us-east-2.aws.neon.tech"],
    ["ep-a-1.c-2.us-east-1.aws.neon.tech", "ep-a-1-pooler.c-2.us-east-1.aws.neon.tech"],
    ["ep-a-1.eastus2.azure.neon.tech", "ep-a-1-pooler.eastus2.azure.neon.tech"],
  ])("%s", (direct, pooled) => {
    expect(pooledHost(direct)).toBe(pooled);
    expect(pooledHost(pooled)).toBe(pooled);
    expect(directHost(pooled)).toBe(direct);
    expect(directHost(direct)).toBe(direct);
  });

  test.each(["localhost", "10.0.0.1", "a b.neon.tech", "ep-a.neon.tech:5432", "", "ep-a/x.neon.tech"])(
    "refuses %j",
    (host) => {
      expect(() => pooledHost(host)).toThrow("not a host name of Neon's form");
    },
  );
});

describe("openLogin()", () => {
  test("refuses a host that is not the endpoint's", () => {
    const foreign = login({ host: "db.example.com" });
    expect(() => openLogin(foreign, "direct", DEFAULT_CONNECTION)).toThrow("not the id of its endpoint");
  });

  test("takes the direct host although it was given the pooled one", () => {
    expect(openLogin(login({ host: pooledHost(HOST) }), "direct", DEFAULT_CONNECTION).host).toBe(HOST);
  });

  test.each(["", "a\0b", "\ud800x"])("refuses the password %j without repeating it", (password) => {
    expect(() => openLogin(login({ password }), "direct", DEFAULT_CONNECTION)).toThrow(
      /^the password is empty or holds/,
    );
  });
});

describe("encodePart()", () => {
  test("leaves only unreserved characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(encodePart(text)).toMatch(/^(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})*$/);
        expect(decodeURIComponent(encodePart(text))).toBe(text);
      }),
    );
    expect(encodePart("!'()*%41")).toBe("%21%27%28%29%2A%2541");
  });
});

describe("checkParameter()", () => {
  test.each([
    "pgbouncer",
    "statement_cache_size",
    "Maximum Pool Size",
    "sslrootcert",
    "target_session_attrs",
  ])("lets %s through", (name) => {
    expect(checkParameter(name, "1")).toBeNull();
  });

  test.each([
    "host",
    "HostAddr",
    "hostname",
    "User Id",
    "password",
    "PGHOST",
    "dbname",
    "service",
    "Data Source",
  ])("refuses %s, which could send the password elsewhere", (name) => {
    expect(checkParameter(name, "evil")).toContain("where or as whom");
  });

  test("refuses what has a field of its own, control characters, and a second endpoint", () => {
    expect(checkParameter("ssl", "false")).toContain("sslmode");
    expect(checkParameter("SSL Mode", "Disable")).toContain("sslmode");
    expect(checkParameter("x", "a\nb")).toContain("control character");
    expect(checkParameter("a=b", "c")).toContain("not the name");
    expect(checkParameter("options", "endpoint=ep-other")).toContain("sni_workaround");
    expect(checkParameter("options", "-c search_path=x")).toBeNull();
  });
});

describe("passwords survive", () => {
  const awkward = "a%41b@c/d:e#f g?h&i=j+k\"l'm\\n;o$p`q!é日😀{}[]|^~*()";
  const passwords = fc.oneof(
    fc.constant(awkward),
    fc.string({ unit: fc.constantFrom(..."%@/:# é?&=+\"'\\;$`!aZ09{}()*,~"), minLength: 1, maxLength: 24 }),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 24 }),
  );
  const survive = (form: string, read: (text: string) => string | null | undefined) =>
    fc.assert(
      fc.property(
        passwords.filter((password) => !password.includes("\0")),
        (password) => {
          expect(read(write(form, login({ password })))).toBe(password);
        },
      ),
      { numRuns: 300, examples: [[awkward], ["%41"], [" lead and trail "], ["'"], ['"'], ["\\"], [";"]] },
    );

  test("new URL() and decodeURIComponent", () => {
    survive("url", (text) => decodeURIComponent(new URL(text).password));
  });
  test("node-postgres", () => {
    survive("url", (text) => parseNodePostgres(text).password);
  });
  test("libpq's URI", () => {
    survive("url", (text) => readLibpqUri(text).get("password"));
  });
  test("libpq's keyword string", () => {
    survive("libpq", (text) => readLibpq(text).get("password"));
  });
  test("pgjdbc", () => {
    survive("jdbc", (text) => readJdbc(text).get("password"));
  });
  test("ADO.NET", () => {
    survive("npgsql", (text) => readAdoNet(text).get("password"));
  });
  test("SQLAlchemy", () => {
    survive("sqlalchemy-psycopg", (text) => readSqlalchemy(text).get("password"));
    survive("sqlalchemy-asyncpg", (text) => readSqlalchemy(text).get("password"));
  });
  test("psql on a shell's command line", () => {
    survive("psql", (text) => {
      const quoted = /^psql '([^']*)'$/.exec(text)?.[1] ?? "";
      return readLibpqUri(quoted).get("password");
    });
  });
  test("JSON", () => {
    survive("django", (text) => JSON.parse(text).default.PASSWORD);
    survive("aws-rds-json", (text) => JSON.parse(text).password);
  });
  test(".env text, or it is refused", () => {
    fc.assert(
      fc.property(
        passwords.filter((password) => !password.includes("\0")),
        (password) => {
          let text: string;
          try {
            text = write("dotenv", login({ password }));
          } catch (refused) {
            expect(refused).toMatchObject({ code: "invalid_secret", names: ["PGPASSWORD"] });
            expect(password).toMatch(/['\\\r\n]/);
            return;
          }
          expect(readDotenv(text).get("PGPASSWORD")).toBe(password);
        },
      ),
    );
  });
});

describe("roles and databases survive", () => {
  const names = fc.string({ unit: fc.constantFrom(..."ab% é@:+,;$&=/"), minLength: 1, maxLength: 12 });

  test("in URLs, keyword strings, JDBC, ADO.NET and SQLAlchemy", () => {
    fc.assert(
      fc.property(names, names, (role, database) => {
        const material = login({ role, database });
        const uri = readLibpqUri(write("url", material));
        expect([uri.get("user"), uri.get("dbname")]).toEqual([role, database]);
        const keywords = readLibpq(write("libpq", material));
        expect([keywords.get("user"), keywords.get("dbname")]).toEqual([role, database]);
        const jdbc = readJdbc(write("jdbc", material));
        expect([jdbc.get("user"), jdbc.get("PGDBNAME")]).toEqual([role, database]);
        const ado = readAdoNet(write("npgsql", material));
        expect([ado.get("username"), ado.get("database")]).toEqual([role, database]);
        const alchemy = readSqlalchemy(write("sqlalchemy-psycopg", material));
        expect([alchemy.get("username"), alchemy.get("database") ?? alchemy.get("dbname")]).toEqual([
          role,
          database,
        ]);
      }),
    );
  });

  test("in node-postgres, which decodes a path by half", () => {
    const parsed = parseNodePostgres(write("url", login({ role: "a b@c", database: "d é:+@,;$&=e" })));
    expect([parsed.user, parsed.database]).toEqual(["a b@c", "d é:+@,;$&=e"]);
  });
});

describe("options", () => {
  test("stand in Neon's order and further parameters by name", () => {
    const text = write("url", login(), {
      parameters: { zebra: "1", alpha: "x y" },
      connectTimeoutSeconds: 15,
      applicationName: "shop & co",
    });
    expect(new URL(text).search).toBe(
      "?sslmode=require&channel_binding=require&connect_timeout=15&application_name=shop%20%26%20co&alpha=x%20y&zebra=1",
    );
  });

  test("channel binding is left out when it is off", () => {
    expect(write("url", login(), { channelBinding: false })).toBe(
      `postgresql://shop_app:npg_AbCdEf123456@${HOST}/shop?sslmode=require`,
    );
  });

  test("the SNI work-around names the host's own first label, pooled or direct", () => {
    const options = { ...DEFAULT_CONNECTION, sniWorkaround: true };
    for (const via of ["pooled", "direct"] as const) {
      const url = new URL(renderForm("url", login(), options, via).reveal());
      expect(url.searchParams.get("options")).toBe(`endpoint=${url.hostname.split(".")[0]}`);
      expect(url.search).toContain("options=endpoint%3Dep-cool-tree-123456");
    }
  });

  test("the SNI work-around and options of the user's own share one parameter", () => {
    const text = write("url", login(), {
      sniWorkaround: true,
      parameters: { options: "-c statement_timeout=5s" },
    });
    expect(new URL(text).searchParams.getAll("options")).toEqual([
      "endpoint=ep-cool-tree-123456 -c statement_timeout=5s",
    ]);
  });

  test("a port that is not the usual one is written", () => {
    expect(new URL(write("url", { ...login(), port: 6543 })).port).toBe("6543");
    expect(write("jdbc", { ...login(), port: 6543 })).toContain(".neon.tech:6543/");
  });
});
