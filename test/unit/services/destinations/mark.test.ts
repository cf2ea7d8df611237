import { describe, expect, test } from "vitest";
import { formatMark, parseMark, sameMark } from "../../../../services/destinations/mark.ts";

const MARK = { installation: "inst-1", rule: "web/preview rule", branch: "br-1" };

describe("marks", () => {
  test("survive being written and read", () => {
    expect(formatMark(MARK, 500)).toBe("branchline:inst-1/web%2Fpreview%20rule/br-1");
    expect(parseMark(formatMark(MARK, 500))).toEqual(MARK);
  });

  test.each([
    null,
    undefined,
    "",
    "branchline:",
    "branchline:a/b",
    "branchline:a/b/c/d",
    "branchline:a//c",
    " branchline:a/b/c",
    "branchline:a/b/c and more",
    "Branchline:a/b/c",
    "branchline:%61/b/c",
    "branchline:%zz/b/c",
  ])("are not seen in %j", (text) => {
    expect(parseMark(text)).toBeNull();
  });

  test("that are too long are refused, not cut", () => {
    expect(() => formatMark({ ...MARK, rule: "r".repeat(500) }, 500)).toThrow("500 characters");
  });

  test("are the same only if every part is", () => {
    expect(sameMark(MARK, { ...MARK })).toBe(true);
    expect(sameMark(MARK, { ...MARK, installation: "inst-2" })).toBe(false);
    expect(sameMark(MARK, null)).toBe(false);
  });
});
