/** What a person reads when something failed that no command has words for. */
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { EXIT, explain } from "../../../../services/cli/exit.ts";
import { runCli } from "../../../support/cli.ts";

const failed = (code: string, message = `connect ${code} 127.0.0.1:5999`) =>
  Object.assign(new Error(message), { code });
/** Of a name with two addresses, as Node has it. */
const refusedTwice = () =>
  Object.assign(new AggregateError([failed("ECONNREFUSED"), failed("ECONNREFUSED")]), {
    code: "ECONNREFUSED",
  });

describe("explain()", () => {
  beforeEach(() => {
    vi.stubEnv("DATABASE_URL", "postgresql://app:s3cret-word@db/shop");
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test.each([
    ["one address refuses", "ECONNREFUSED", failed("ECONNREFUSED")],
    ["every address refuses", "ECONNREFUSED", refusedTwice()],
    ["nobody knows the name", "ENOTFOUND", failed("ENOTFOUND", "getaddrinfo ENOTFOUND db")],
    ["nobody can be asked for the name", "EAI_AGAIN", failed("EAI_AGAIN", "getaddrinfo EAI_AGAIN db")],
    ["it has no room", "53300", new Error("Failed query: select $1", { cause: failed("53300", "sorry") })],
    ["it hung up", "Connection terminated", new Error("Connection terminated unexpectedly")],
  ])("a database that is away is named, with what to do: %s", (_, code, error) => {
    const { text, code: exitCode } = explain(error);
    expect(exitCode).toBe(EXIT.unavailable);
    expect(text).toMatch(/^the database of DATABASE_URL does not answer \(/);
    expect(text).toContain(`(${code}`);
    expect(text).toMatch(/\n {2}Check /);
  });

  test("without DATABASE_URL it is the embedded one", () => {
    vi.stubEnv("DATABASE_URL", "");
    expect(explain(failed("ECONNRESET")).text).toMatch(
      /^the embedded database does not answer \(ECONNRESET\)/,
    );
  });

  test.each([
    ["nothing said", new Error("")],
    ["several that say nothing", new AggregateError([new Error(""), new Error("")])],
    ["an empty first line", new Error("\n")],
    ["no error at all", undefined],
  ])("there are always words: %s", (_, error) => {
    expect(explain(error)).toEqual({ text: "something failed", code: EXIT.failed });
  });

  test("of several errors the first speaks, and of one its first line", () => {
    const several = new AggregateError([new Error("the first\nand more"), new Error("the second")]);
    expect(explain(several)).toEqual({ text: "the first", code: EXIT.failed });
  });

  test("an answer of the database is its own", () => {
    const denied = new pg.DatabaseError('password authentication failed for user "app"', 0, "error");
    denied.code = "28P01";
    expect(explain(denied)).toEqual({ text: denied.message, code: EXIT.failed });
  });
});

describe.each(["127.0.0.1:9", "localhost:9"])("with nobody at %s", (host) => {
  const env = {
    DATABASE_URL: `postgresql://app:s3cret-word@${host}/shop`,
    BRANCHLINE_MASTER_KEY: "ab".repeat(32),
    BRANCHLINE_MASTER_KEY_OLD: "cd".repeat(32),
  };

  test.each([["migrate"], ["backup"], ["rekey"], ["serve"]])("branchline %s says so", async (command) => {
    const ran = await runCli([command], { env });
    expect([ran.code, ran.out]).toEqual([69, ""]);
    expect(ran.err).toContain(
      "branchline: the database of DATABASE_URL does not answer (ECONNREFUSED)\n  Check ",
    );
    expect(ran.all).not.toContain("s3cret-word");
  });
});
