import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  allowedReference,
  ConfigurationError,
  type EnvironmentVariables,
  parseMasterKey,
  readClientEnvironment,
  readEnvironment,
  refuseReference,
  resolveReference,
} from "../../../services/config.ts";
import { SyncError } from "../../../services/sync/errors.ts";

const KEY = Buffer.alloc(32, 7);

describe("readEnvironment()", () => {
  test("needs nothing", () => {
    expect(readEnvironment({})).toEqual({
      databaseUrl: null,
      redisUrl: null,
      configPath: null,
      masterKey: null,
      formerMasterKey: null,
      allowedReferences: [],
      adminToken: null,
      host: "127.0.0.1",
      port: 8420,
      webhookPort: null,
      logLevel: "info",
    });
  });

  test("reads everything", () => {
    const read = readEnvironment({
      DATABASE_URL: "postgres://u:p@db:5432/x",
      REDIS_URL: "rediss://cache:6379",
      BRANCHLINE_CONFIG: "/etc/branchline.yaml",
      BRANCHLINE_MASTER_KEY: KEY.toString("base64"),
      BRANCHLINE_REFS: "env:PREVIEW_*, file:/run/secrets/*\nenv:ONE",
      BRANCHLINE_ADMIN_TOKEN: "a".repeat(20),
      HOST: "::",
      PORT: "0",
      WEBHOOK_PORT: "8421",
      LOG_LEVEL: "debug",
      HOME: "/root",
    });
    expect(read).toMatchObject({
      configPath: "/etc/branchline.yaml",
      allowedReferences: ["env:PREVIEW_*", "file:/run/secrets/*", "env:ONE"],
      host: "::",
      port: 0,
      webhookPort: 8421,
      logLevel: "debug",
    });
    expect(read.databaseUrl?.reveal()).toBe("postgres://u:p@db:5432/x");
    expect(read.redisUrl?.reveal()).toBe("rediss://cache:6379");
    expect(read.adminToken?.reveal()).toBe("a".repeat(20));
    expect(Buffer.from(read.masterKey ?? [])).toEqual(KEY);
  });

  test("takes a variable that is set to nothing for one that is not set", () => {
    expect(readEnvironment({ REDIS_URL: "", PORT: "" })).toMatchObject({ redisUrl: null, port: 8420 });
  });

  test("tells every problem at once, without a value", () => {
    const canary = "s3cr3t-canary";
    const problems = refused({
      DATABASE_URL: `mysql://${canary}@h/d`,
      REDIS_URL: canary,
      BRANCHLINE_MASTER_KEY: canary,
      BRANCHLINE_REFS: `env:OK,${canary}`,
      BRANCHLINE_ADMIN_TOKEN: canary,
      HOST: `${canary} x`,
      PORT: "70000",
      WEBHOOK_PORT: canary,
      LOG_LEVEL: canary,
    });
    expect(problems.map(({ where }) => where)).toEqual([
      "DATABASE_URL",
      "REDIS_URL",
      "BRANCHLINE_MASTER_KEY",
      "BRANCHLINE_REFS",
      "BRANCHLINE_ADMIN_TOKEN",
      "HOST",
      "PORT",
      "WEBHOOK_PORT",
      "LOG_LEVEL",
    ]);
    expect(JSON.stringify(problems)).not.toContain(canary);
  });

  test("says of an operator's token what it may be made of, beside whatever else is wrong", () => {
    const token = `${"a".repeat(20)}!`;
    const problems = refused({ BRANCHLINE_ADMIN_TOKEN: token, PORT: "70000" });
    expect(problems).toMatchObject([
      { where: "BRANCHLINE_ADMIN_TOKEN", problem: expect.stringContaining("letters, digits and -._~+/") },
      { where: "PORT" },
    ]);
    expect(JSON.stringify(problems)).not.toContain(token);
  });

  test("names a setting that is misspelt, and leaves other people's alone", () => {
    expect(refused({ BRANCHLINE_MASTERKEY: "x" })).toMatchObject([
      { where: "BRANCHLINE_MASTERKEY", hint: "Did you mean BRANCHLINE_MASTER_KEY?" },
    ]);
    expect(() =>
      readEnvironment({ BRANCHLINE_URL: "x", BRANCHLINE_SOMETHING_ELSE_ENTIRELY: "x" }),
    ).not.toThrow();
  });

  test("refuses one port for two listeners", () => {
    expect(refused({ WEBHOOK_PORT: "8420" })).toMatchObject([{ where: "WEBHOOK_PORT" }]);
    expect(() => readEnvironment({ PORT: "0", WEBHOOK_PORT: "0" })).not.toThrow();
  });
});

describe("parseMasterKey()", () => {
  test("takes 32 bytes as base64, base64url or hexadecimal", () => {
    const key = Buffer.from(Array.from({ length: 32 }, (_, i) => 255 - i));
    for (const text of [
      key.toString("base64"),
      key.toString("base64url"),
      key.toString("hex"),
      `${key.toString("hex")}\n`,
    ])
      expect(Buffer.from(parseMasterKey(text) ?? [])).toEqual(key);
  });

  test.each([
    "",
    "short",
    "g".repeat(64),
    Buffer.alloc(31).toString("base64"),
    Buffer.alloc(33).toString("base64"),
  ])("refuses %j", (text) => {
    expect(parseMasterKey(text)).toBeNull();
  });
});

describe("resolveReference()", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "branchline-refs-"));
    writeFileSync(join(folder, "token"), "from-file\n");
    writeFileSync(join(folder, "windows"), "two\r\nlines\r\n");
    writeFileSync(join(folder, "empty"), "\n");
    writeFileSync(join(folder, "large"), "x".repeat(70_000));
    symlinkSync("/proc/self/environ", join(folder, "link"));
    symlinkSync(join(folder, "token"), join(folder, "good-link"));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test.each([
    [" kept ", " kept "],
    ["from-a-file\n", "from-a-file"],
    ["two\r\nlines\r\n", "two\r\nlines"],
  ])("reads %j of the environment without the line end behind it", (written, value) => {
    expect(resolveReference({ ref: "env:TOKEN" }, { TOKEN: written }).reveal()).toBe(value);
  });

  test("reads a file without the newline at its end", () => {
    expect(resolveReference({ ref: `file:${folder}/token` }).reveal()).toBe("from-file");
    expect(resolveReference({ ref: `file:${folder}/windows` }).reveal()).toBe("two\r\nlines");
    expect(resolveReference({ ref: `file:${folder}/good-link` }).reveal()).toBe("from-file");
  });

  test.each([
    ["env:GONE", "env:GONE is not set or empty"],
    ["env:EMPTY", "env:EMPTY is not set or empty"],
    ["env:LINE_END", "env:LINE_END is not set or empty"],
  ])("says that nothing is at %s", (ref, message) => {
    expect(refuseReference({ ref }, { EMPTY: "", LINE_END: "\n" })).toBe(message);
  });

  test("says what is wrong with a file", () => {
    const of = (name: string) => refuseReference({ ref: `file:${folder}/${name}` });
    expect(of("gone")).toContain("does not exist");
    expect(of("empty")).toContain("not set or empty");
    expect(of("large")).toContain("64 KiB");
    expect(of("link")).toContain("/proc");
    expect(refuseReference({ ref: `file:${folder}` })).toContain("no file");
    expect(of("token")).toBeNull();
  });

  test.each([
    "env:BRANCHLINE_MASTER_KEY",
    "env:branchline_admin_token",
    "env:DATABASE_URL",
    "env:REDIS_URL",
    "file:/proc/self/environ",
    "file:/run/../proc/self/environ",
    "file:relative",
    "napi_pasted_key",
    "",
  ])("never opens %s, and does not repeat what was pasted", (ref) => {
    const env = { BRANCHLINE_MASTER_KEY: "x", DATABASE_URL: "x", REDIS_URL: "x" };
    const attempt = () => resolveReference({ ref }, env);
    expect(attempt).toThrow(SyncError);
    expect(attempt).toThrow(expect.objectContaining({ code: "unauthenticated" }));
    expect(refuseReference({ ref }, env)).not.toContain("napi");
  });
});

describe("allowedReference()", () => {
  const patterns = ["env:PREVIEW_*", "file:/run/secrets/*"];

  test.each([
    ["env:PREVIEW_TOKEN", true],
    ["env:TOKEN", false],
    ["file:/run/secrets/a", true],
    ["file:/run/secrets/a/b", false],
    ["file:/run/secrets/../x", false],
  ])("%s: %s", (ref, allowed) => {
    expect(allowedReference(ref, patterns)).toBe(allowed);
  });

  test("nothing is allowed by default, and our own settings never", () => {
    expect(allowedReference("env:X", [])).toBe(false);
    expect(allowedReference("env:BRANCHLINE_MASTER_KEY", ["env:*"])).toBe(false);
    expect(allowedReference("file:/proc/1/environ", ["file:/**"])).toBe(false);
  });
});

describe("ConfigurationError", () => {
  test("shows the first problem and how many more there are", () => {
    const problem = { where: "PORT", problem: "is not a port number", hint: "" };
    expect(new ConfigurationError([problem]).message).toBe("PORT: is not a port number");
    expect(new ConfigurationError([problem, problem]).message).toBe(
      "PORT: is not a port number (and 1 more)",
    );
  });
});

function refused(env: EnvironmentVariables) {
  try {
    readEnvironment(env);
  } catch (thrown) {
    if (thrown instanceof ConfigurationError) return thrown.problems;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

describe("readClientEnvironment()", () => {
  const TOKEN = "a-token-of-a-test";

  test("needs nothing, and takes the server at its usual address", () => {
    expect(readClientEnvironment({})).toEqual({
      url: "http://127.0.0.1:8420",
      token: null,
      idToken: null,
      githubEnvPath: null,
    });
  });

  test("takes the operator's token where there is no other, and empty for not set", () => {
    const token = (env: EnvironmentVariables) => readClientEnvironment(env).token?.reveal();
    expect(token({ BRANCHLINE_TOKEN: TOKEN, BRANCHLINE_ADMIN_TOKEN: "other" })).toBe(TOKEN);
    expect(token({ BRANCHLINE_TOKEN: "", BRANCHLINE_ADMIN_TOKEN: TOKEN })).toBe(TOKEN);
    expect(readClientEnvironment({ BRANCHLINE_URL: "", GITHUB_ENV: "" })).toMatchObject({
      url: "http://127.0.0.1:8420",
      githubEnvPath: null,
    });
  });

  test.each([`${TOKEN}\n`, `${TOKEN}!`, `"${TOKEN}"`])(
    "names a token that no server can take, and does not show it: %j",
    (token) => {
      const read = () => readClientEnvironment({ BRANCHLINE_TOKEN: token });
      expect(read).toThrow(/^BRANCHLINE_TOKEN: is no bearer token/);
      expect(read).not.toThrow(TOKEN);
    },
  );
});
