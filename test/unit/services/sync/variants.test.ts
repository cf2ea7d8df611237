import { describe, expect, test } from "vitest";
import { DEFAULT_CONNECTION, type LoginMaterial } from "../../../../services/sync/model.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { parseVariable, renderVariable } from "../../../../services/sync/variables.ts";
import { isTelling, type Variant, variantsOf } from "../../../../services/sync/variants.ts";

const material = (role: string): LoginMaterial => ({
  role,
  database: "shop",
  password: new Secret(`pw-${role}`),
  endpoint: { id: "ep-a-1", host: "ep-a-1.eu.aws.neon.tech" },
  port: 5432,
});
const logins = new Map([
  ["default", material("one")],
  ["app", material("shop_app")],
]);

const POOLED = "ep-a-1-pooler.eu.aws.neon.tech";
const at = (host: string, query: string, scheme = "postgresql") =>
  `${scheme}://one:pw-one@${host}/shop${query}`;

/** What a value turns out to be; undefined: nothing that is known. */
function find(value: string, wanted = "pooled", connection = DEFAULT_CONNECTION): Variant | undefined {
  for (const variant of variantsOf(wanted, logins, connection))
    if (variant.value.reveal() === value) return variant;
  return undefined;
}

describe("variantsOf()", () => {
  test.each([
    ["?sslmode=require&channel_binding=require", [], "pooled"],
    ["?sslmode=verify-full&channel_binding=require", ["sslmode"], "pooled?sslmode=verify-full"],
    ["?sslmode=require", ["channel_binding"], "pooled?channel_binding=off"],
    [
      "?sslmode=verify-full&channel_binding=require&connection_limit=1",
      ["sslmode", "connection_limit"],
      "pooled?sslmode=verify-full&connection_limit=1",
    ],
    [
      "?sslmode=require&connect_timeout=10&pgbouncer=true",
      ["channel_binding", "connect_timeout", "pgbouncer"],
      "pooled?channel_binding=off&connect_timeout=10&pgbouncer=true",
    ],
    ["", ["sslmode", "channel_binding"], "pooled.url-bare"],
    ["?sslmode=prefer", ["sslmode", "channel_binding"], null],
    ["?channel_binding=require&sslmode=require", ["order"], null],
    [
      "?pgbouncer=true&connection_limit=1",
      ["sslmode", "channel_binding", "pgbouncer", "connection_limit"],
      null,
    ],
    ["?pgbouncer=true&sslmode=require", ["channel_binding", "pgbouncer"], null],
  ])("finds %s to differ in %j", (query, differs, expression) => {
    const found = find(at(POOLED, query));
    expect([...(found?.differs ?? ["nothing found"])].sort()).toEqual([...differs].sort());
    expect(found?.expression).toBe(expression);
  });

  test.each([
    [at("ep-a-1.eu.aws.neon.tech", "?sslmode=require&channel_binding=require"), ["pooling"], "direct"],
    [at(POOLED, "?sslmode=require&channel_binding=require", "postgres"), ["scheme"], null],
    [
      at(POOLED, "?sslmode=require&channel_binding=require")
        .replaceAll("one", "shop_app")
        .replace("pw-one", "pw-shop_app"),
      ["role"],
      "app.pooled",
    ],
    [
      at(POOLED, "?sslmode=require&channel_binding=require&options=endpoint%3Dep-a-1-pooler"),
      ["options"],
      "pooled?sni_workaround=on",
    ],
  ])("tells another host, scheme or role: %#", (value, differs, expression) => {
    const found = find(value);
    expect([found?.differs, found?.expression]).toEqual([differs, expression]);
  });

  test("knows the other forms", () => {
    const jdbc = renderVariable(parseVariable("direct.jdbc?channel_binding=off"), logins, DEFAULT_CONNECTION);
    expect(find(jdbc.reveal())).toMatchObject({
      expression: "direct.jdbc?channel_binding=off",
      differs: ["pooling", "form", "channel_binding"],
    });
    expect(find("pw-one", "app.password")).toMatchObject({ expression: "password", differs: ["role"] });
    expect(find(POOLED, "direct.host")).toMatchObject({ expression: "pooled.host", differs: ["pooling"] });
  });

  test("does not take another password, another database or other text for a variant", () => {
    expect(find(at(POOLED, "?sslmode=require").replace("pw-one", "old"))).toBeUndefined();
    expect(find(at(POOLED, "?sslmode=require").replace("/shop", "/other"))).toBeUndefined();
    expect(find("text", "text:other")).toBeUndefined();
    expect(find("other", "text:other")).toMatchObject({ differs: [], expression: "text:other" });
  });

  test("every expression gives, under the rule's own connection, the value that it stands for", () => {
    const connection = {
      ...DEFAULT_CONNECTION,
      sslmode: "verify-full" as const,
      channelBinding: false,
      applicationName: "shop",
      parameters: { pgbouncer: "true" },
    };
    let seen = 0;
    for (const { expression, value } of variantsOf("app.pooled?connect_timeout=5", logins, connection)) {
      if (expression === null) continue;
      seen += 1;
      const again = renderVariable(parseVariable(expression), logins, connection);
      if (again.reveal() !== value.reveal())
        expect([expression, again.reveal()]).toEqual([expression, value.reveal()]);
    }
    expect(seen).toBeGreaterThan(1_000);
  });

  test("are few enough to be compared for every name", () => {
    expect([...variantsOf("pooled", logins, DEFAULT_CONNECTION)].length).toBeLessThan(30_000);
  });

  test("a role that is not there is said", () => {
    expect(() => [...variantsOf("migrate.direct", logins, DEFAULT_CONNECTION)]).toThrow("does not define");
  });
});

test("a host, a port or a text says nothing of a name that nobody asked for", () => {
  expect(["pooled.host", "port", "text:x"].map(isTelling)).toEqual([false, false, false]);
  expect(["pooled", "password", "direct.psql", null].map(isTelling)).toEqual([true, true, true, true]);
});
