import { describe, expect, test } from "vitest";
import { SyncError } from "../../../../services/sync/errors.ts";
import { DEFAULT_CONNECTION, type LoginMaterial } from "../../../../services/sync/model.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import {
  checkAlias,
  loginsOf,
  parseVariable,
  renderVariable,
  replicasNamed,
} from "../../../../services/sync/variables.ts";

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
const render = (text: string, connection = DEFAULT_CONNECTION) =>
  renderVariable(parseVariable(text), logins, connection).reveal();

describe("parseVariable()", () => {
  test.each([
    ["pooled", "default", "pooled", "url"],
    ["direct", "default", "direct", "url"],
    ["app.pooled", "app", "pooled", "url"],
    ["app.direct.jdbc-bare", "app", "direct", "jdbc-bare"],
    ["pooled.host", "default", "pooled", "host"],
    ["user", "default", "direct", "user"],
    ["app.password", "app", "direct", "password"],
    ["app.pooled.password", "app", "pooled", "password"],
    ["port", "default", "direct", "port"],
  ])("reads %s", (text, alias, via, form) => {
    const expression = parseVariable(text);
    expect(expression).toMatchObject({ kind: "login", text, alias, via, options: {} });
    expect(expression.kind === "login" && expression.form.name).toBe(form);
  });

  test("reads options, percent-decoded", () => {
    const text =
      "app.pooled.url?sslmode=verify-full&channel_binding=off&sni_workaround=on&connect_timeout=15&application_name=a%26b&pgbouncer=true&x=%25";
    expect(parseVariable(text)).toMatchObject({
      options: {
        sslmode: "verify-full",
        channelBinding: false,
        sniWorkaround: true,
        connectTimeoutSeconds: 15,
        applicationName: "a&b",
        parameters: { pgbouncer: "true", x: "%" },
      },
    });
    expect(parseVariable("pooled?connect_timeout=off&application_name=off")).toMatchObject({
      options: { connectTimeoutSeconds: null, applicationName: null },
    });
  });

  test("reads text as it is", () => {
    expect(parseVariable("text:a.b?c=d")).toMatchObject({ kind: "text", value: "a.b?c=d" });
  });

  test.each([
    ["host", "differs between pooled and direct", "say pooled.host or direct.host"],
    ["app.host", "at character 5", "say app.pooled.host or app.direct.host"],
    ["app.jdbc", "differs between pooled and direct", "say app.pooled.jdbc"],
    ["poled", "neither pooled nor direct", 'did you mean "pooled"?'],
    ["app.drect.jdbc", "at character 5", 'did you mean "direct"?'],
    ["pooled.jbdc", "at character 8", 'did you mean "jdbc"?'],
    ["app.pasword", "at character 5", 'did you mean "password"?'],
    ["app", "neither pooled nor direct", "write [role.]"],
    ["a.b.pooled", "too many words", "write [role.]"],
    ["app.pooled.url.x", "too many words", "write [role.]"],
    ["pooled.url.x", "at character 12", "write [role.]"],
    ["", "a word is missing", "app.pooled"],
    ["app..url", "at character 4", "app.pooled"],
    ["pooled?sslmode=disable", "expected require, verify-ca or verify-full", ""],
    ["pooled?ssl_mode=require", 'there is no option "ssl_mode"', 'did you mean "sslmode"?'],
    ["pooled?sslmode", "at character 8: expected option=value", ""],
    ["pooled?x=1&x=2", "at character 12", ""],
    ["pooled?x=%zz", "at character 10", "%25"],
    ["pooled?host=evil.example", "where or as whom", ""],
    ["pooled?connect_timeout=soon", "expected seconds", ""],
    ["pooled?channel_binding=maybe", "expected on or off", ""],
    ["pooled?", "expected option=value", ""],
    ["user?sslmode=require", 'form "user" has no room for options', ""],
  ])("refuses %j", (text, why, hint) => {
    const refused = caught(() => parseVariable(text));
    expect(refused.code).toBe("invalid_target");
    expect(refused.message).toContain(why);
    expect(refused.next ?? "").toContain(hint);
  });

  test("does not repeat a connection string that somebody pasted", () => {
    for (const text of ["postgresql://u:hunter2@h/d", "text:postgresql://u:hunter2@h/d"]) {
      const refused = caught(() => parseVariable(text));
      expect(`${refused.message} ${refused.next}`).not.toContain("hunter2");
    }
  });
});

describe("renderVariable()", () => {
  test("takes the login of the alias", () => {
    expect(render("pooled")).toMatch(/^postgresql:\/\/one:pw-one@ep-a-1-pooler\./);
    expect(render("app.direct")).toMatch(/^postgresql:\/\/shop_app:pw-shop_app@ep-a-1\.eu/);
    expect(render("app.user")).toBe("shop_app");
    expect(render("text:require")).toBe("require");
  });

  test("lays the expression's options over the rule's", () => {
    const connection = { ...DEFAULT_CONNECTION, parameters: { a: "1", b: "1" }, connectTimeoutSeconds: 9 };
    const url = new URL(render("pooled?b=2&sslmode=verify-full&connect_timeout=off", connection));
    expect(url.search).toBe("?sslmode=verify-full&channel_binding=require&a=1&b=2");
  });

  test("refuses an alias that the rule does not define", () => {
    expect(caught(() => render("ghost.pooled")).message).toContain('the role "ghost"');
  });

  test("gives a Secret", () => {
    expect(String(renderVariable(parseVariable("password"), logins, DEFAULT_CONNECTION))).toBe("[secret]");
  });
});

describe("replica", () => {
  const replicas = [
    { id: "ep-b-2", name: "analytics", host: "ep-b-2.eu.aws.neon.tech" },
    { id: "ep-c-3", name: null, host: "ep-c-3.eu.aws.neon.tech" },
  ];
  const here = new Map([["default", { ...material("one"), replicas }]]);
  const hostOf = (text: string) =>
    new URL(renderVariable(parseVariable(text), here, DEFAULT_CONNECTION).reveal()).hostname;

  test("is taken by its name or id, pooled and direct, and never without being named", () => {
    expect(hostOf("pooled.url?replica=analytics")).toBe("ep-b-2-pooler.eu.aws.neon.tech");
    expect(hostOf("direct.url?replica=ep-c-3&connect_timeout=5")).toBe("ep-c-3.eu.aws.neon.tech");
    expect(hostOf("direct")).toBe("ep-a-1.eu.aws.neon.tech");
    const host = parseVariable("direct.host?replica=analytics");
    expect(renderVariable(host, here, DEFAULT_CONNECTION).reveal()).toBe("ep-b-2.eu.aws.neon.tech");
  });

  test("that is not there is a state to wait in, with a guess", () => {
    const error = caught(() => hostOf("direct?replica=analytic"));
    expect([error.code, error.next]).toEqual([
      "source_unready",
      expect.stringContaining('did you mean "analytics"?'),
    ]);
    expect(caught(() => render("direct?replica=analytics")).code).toBe("source_unready");
  });

  test("makes no sense for what is the same everywhere, and needs a name", () => {
    expect(caught(() => parseVariable("user?replica=a")).message).toContain("the same on every compute");
    expect(caught(() => parseVariable("direct?replica=")).message).toContain("a compute's name or id");
    expect(caught(() => parseVariable("direct?relpica=a")).next).toBe('did you mean "replica"?');
  });

  test("replicasNamed() names each once with its login", () => {
    const variables = { A: "app.direct?replica=x", B: "app.pooled?replica=x", C: "direct", D: "text:x" };
    expect(replicasNamed(variables)).toEqual([{ alias: "app", replica: "x" }]);
  });
});

describe("loginsOf()", () => {
  test("names each alias once and none for text", () => {
    const variables = { A: "app.pooled", B: "app.user", C: "direct", D: "text:x" };
    expect(loginsOf(variables)).toEqual(new Set(["app", "default"]));
  });
});

describe("checkAlias()", () => {
  test("keeps the words of the grammar for the grammar", () => {
    expect(checkAlias("app")).toBeNull();
    expect(checkAlias("default")).toBeNull();
    for (const alias of ["pooled", "direct", "user", "url", "preset", "text"])
      expect(checkAlias(alias)).toContain("meaning of its own");
    for (const alias of ["", "a.b", "1a", "a b"]) expect(checkAlias(alias)).toContain("letters");
  });
});

function caught(act: () => unknown): SyncError {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof SyncError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}
