import { describe, expect, test } from "vitest";
import { asSyncError, SyncError } from "../../../../services/sync/errors.ts";

const coded = (code: string, message = "npg_secret"): Error => Object.assign(new Error(message), { code });

describe("what is thrown becomes an error that may be shown", () => {
  test("one of ours is itself", () => {
    const ours = new SyncError("policy", "no");
    expect(asSyncError(ours)).toBe(ours);
  });

  test.each([
    ["its session was ended", coded("57P01")],
    ["it starts", coded("57P03")],
    ["it has no room", coded("53300")],
    ["a statement took too long", coded("57014")],
    ["two met again and again", coded("40P01")],
    ["the connection broke", coded("ECONNRESET")],
    ["the pool says so", new Error("Connection terminated unexpectedly")],
    ["Drizzle says so", new Error("Failed query", { cause: coded("57P01") })],
  ])("a database that is away for a moment is tried again, however often: %s", (_, thrown) => {
    expect(asSyncError(thrown)).toMatchObject({ code: "unavailable", where: { vendor: "postgres" } });
  });

  test.each([
    ["a constraint", coded("23505")],
    ["a statement that is none", coded("42601")],
    ["a bug", new TypeError("npg_secret is not a function")],
    ["no error at all", "npg_secret"],
  ])("anything else is a bug, and what it says is not repeated: %s", (_, thrown) => {
    const error = asSyncError(thrown);
    expect(error.code).toBe("internal");
    expect(JSON.stringify([error, error.message])).not.toContain("npg_secret");
  });
});
