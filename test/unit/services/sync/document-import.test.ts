import { describe, expect, test } from "vitest";
import { finishImport, type ImportLine, statusWords } from "../../../../services/sync/document-import.ts";

const line = (branch: string, status: ImportLine["status"], more: Partial<ImportLine> = {}): ImportLine => ({
  rule: "web",
  branch,
  destination: "vault",
  target: `vault:${branch}`,
  name: "DATABASE_URL",
  status,
  differs: [],
  expression: status === "same" ? "pooled" : null,
  kept: false,
  reason: "",
  ...more,
});
const finish = (lines: readonly ImportLine[], replaceUnreadable = false) =>
  finishImport([], [{ name: "web", wanted: { DATABASE_URL: "pooled" }, lines }], replaceUnreadable);
const adopted = (lines: readonly ImportLine[], replaceUnreadable = false) =>
  finish(lines, replaceUnreadable).rules[0]?.adopt;
const verified = { differs: ["sslmode"], expression: "pooled?sslmode=verify-full" };

describe("finishImport()", () => {
  test("hands a name over only if that changes it on no branch", () => {
    expect(adopted([line("a", "same"), line("b", "same")])).toEqual(["DATABASE_URL"]);
    expect(adopted([line("a", "same"), line("b", "absent")])).toEqual(["DATABASE_URL"]);
    expect(adopted([line("a", "absent")])).toEqual([]);
    for (const other of [
      line("b", "differs", verified),
      line("b", "differs", { differs: ["value"] }),
      line("b", "integration"),
      line("b", "unreadable"),
      line("b", "unchecked", { name: null }),
    ])
      expect([other.status, adopted([line("a", "same"), other])]).toEqual([other.status, []]);
  });

  test("writes the variable as it is on most branches, and as wanted where nobody knows", () => {
    const mostly = [line("a", "differs", verified), line("b", "differs", verified), line("c", "same")];
    expect(finish(mostly).rules[0]?.variables).toEqual({ DATABASE_URL: "pooled?sslmode=verify-full" });
    expect(finish([line("a", "unreadable")]).rules[0]?.variables).toEqual({ DATABASE_URL: "pooled" });
  });

  test("what is kept in step already needs no handing over", () => {
    expect(adopted([line("a", "same", { kept: true })])).toEqual([]);
    expect(adopted([line("a", "unreadable", { kept: true }), line("b", "same")])).toEqual(["DATABASE_URL"]);
  });

  test("what nobody can read goes only by word, which says that it cannot be restored", () => {
    const lines = [line("a", "unreadable"), line("b", "same")];
    const without = finish(lines);
    expect(without.rules[0]).toMatchObject({ adopt: [], replaces: [] });
    expect(without.warnings[0]).toContain("1 value cannot be read back");
    const replaced = finish(lines, true);
    expect(replaced.rules[0]).toMatchObject({ adopt: ["DATABASE_URL"], replaces: ["DATABASE_URL"] });
    expect(replaced.warnings).toEqual([
      "1 value that nobody can read back would be replaced. What they were cannot be restored: DATABASE_URL at vault:a.",
    ]);
    expect(adopted([line("a", "unreadable"), line("b", "differs", { differs: ["value"] })], true)).toEqual(
      [],
    );
  });

  test("counts, and puts the difference into words", () => {
    expect(finish([line("a", "same"), line("b", "absent")]).summary).toMatchObject({
      same: 1,
      absent: 1,
      differs: 0,
    });
    expect(statusWords({ status: "differs", differs: ["sslmode", "connection_limit"] })).toBe(
      "differs: sslmode, connection_limit",
    );
  });
});
