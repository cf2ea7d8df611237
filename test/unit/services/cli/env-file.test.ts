import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  appendGithubEnv,
  githubEnvText,
  maskCommands,
  writeEnvFile,
} from "../../../../services/cli/env-file.ts";
import { readDotenv } from "../../../support/readers.ts";

const URL_VALUE = "postgresql://app:p%40ss%25@ep-a-1.eu-central-1.aws.neon.tech/shop";
const variables = [
  { name: "DATABASE_URL", value: URL_VALUE, secret: true },
  { name: "PGPORT", value: "5432", secret: false },
];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "branchline-env-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("writeEnvFile()", () => {
  test("leaves one file with mode 600 that readers of .env files understand", () => {
    const path = join(folder, ".env");
    writeEnvFile(path, variables, false);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const [comment, ...lines] = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(comment).toMatch(/^# Written by branchline env/);
    expect(readDotenv(lines.join("\n")).get("DATABASE_URL")).toBe(URL_VALUE);
    expect(readdirSync(folder)).toEqual([".env"]);
  });

  test("a value that readers would understand differently leaves the old file as it was", () => {
    const path = join(folder, ".env");
    writeEnvFile(path, variables, false);
    const before = readFileSync(path, "utf8");
    const odd = [{ name: "A", value: "two\nlines", secret: true }];
    expect(() => writeEnvFile(path, odd, true)).toThrow(/^A cannot be written/);
    expect([readFileSync(path, "utf8"), readdirSync(folder)]).toEqual([before, [".env"]]);
  });

  test("says which file it could not write and nothing of what was to be in it", () => {
    const path = join(folder, "missing", ".env");
    expect(() => writeEnvFile(path, variables, false)).toThrow(`${path} cannot be written (ENOENT)`);
  });
});

describe("maskCommands()", () => {
  test("masks every line of every value, and the password in both of its spellings", () => {
    const lines = maskCommands(
      [...variables, { name: "KEY", value: "one\r\ntwo\n\nthree", secret: true }],
      "all",
    );
    expect(lines).toEqual([
      "::add-mask::postgresql://app:p%2540ss%2525@ep-a-1.eu-central-1.aws.neon.tech/shop",
      "::add-mask::5432",
      "::add-mask::one",
      "::add-mask::two",
      "::add-mask::three",
      "::add-mask::p%2540ss%2525",
      "::add-mask::p@ss%25",
    ]);
  });

  test("can leave alone what is no secret, so that a port does not black out the log", () => {
    expect(maskCommands(variables, "secrets")).not.toContain("::add-mask::5432");
  });
});

describe("githubEnvText()", () => {
  test("uses a delimiter that no value can guess", () => {
    const evil = [{ name: "A", value: "x\nghadelimiter_\nB=2", secret: false }];
    const [one, two] = [githubEnvText(evil), githubEnvText(evil)];
    expect(one).not.toBe(two);
    expect(one).toMatch(/^A<<(ghadelimiter_[0-9a-f-]{36})\nx\nghadelimiter_\nB=2\n\1\n$/);
  });

  test.each(["A B", "A=B", "1A", "A\nB<<x", ""])("refuses the name %j", (name) => {
    expect(() => githubEnvText([{ name, value: "x", secret: false }])).toThrow(/name/);
  });

  test("adds to what is there", () => {
    const path = join(folder, "env");
    writeFileSync(path, "EARLIER=1\n");
    appendGithubEnv(path, variables);
    expect(readFileSync(path, "utf8")).toMatch(/^EARLIER=1\nDATABASE_URL<</);
  });
});
