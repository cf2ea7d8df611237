import fc from "fast-check";
import picomatch from "picomatch";
import { describe, expect, test } from "vitest";
import {
  type BranchFacts,
  checkPattern,
  matchesGlob,
  nearMisses,
  selectBranch,
  selectsSomething,
} from "../../../../services/sync/patterns.ts";

const now = new Date("2026-11-20T12:00:00Z");
const branch = (facts: Partial<BranchFacts> = {}): BranchFacts => ({
  name: "preview/login",
  default: false,
  protected: false,
  expiresAt: null,
  createdAt: new Date("2026-11-20T11:00:00Z"),
  parentName: "main",
  annotations: {},
  ...facts,
});

describe("matchesGlob()", () => {
  test.each([
    ["preview/*", "preview/login", true],
    ["preview/*", "preview/feat/login", false],
    ["preview/*", "preview/", true],
    ["preview/**", "preview/feat/login", true],
    ["preview/**", "preview", false],
    ["**/login", "login", true],
    ["**/login", "a/b/login", true],
    ["**/login", "a/xlogin", false],
    ["a/**/b", "a/b", true],
    ["a/**/b", "a/x/y/b", true],
    ["a/**/b", "a/xb", false],
    ["feat**", "feat/x", true],
    ["**", "any/thing", true],
    ["*", "", true],
    ["a?c", "abc", true],
    ["a?c", "a/c", false],
    ["v[0-9].[!x]", "v1.y", true],
    ["v[0-9].[!x]", "v1.x", false],
    ["v[!a]x", "v/x", false],
    ["[]a]", "]", true],
    ["Main", "main", false],
    ["fix(core)+1|2", "fix(core)+1|2", true],
    ["a\\*", "a*", true],
    ["a\\*", "ab", false],
    ["émile-*", "émile-😀", true],
    ["?", "😀", true],
  ])("%s and %s: %s", (pattern, name, expected) => {
    expect(matchesGlob(pattern, name)).toBe(expected);
  });

  test("agrees with picomatch where both mean the same", () => {
    const piece = fc.constantFrom("a", "b", "*", "/", "?", "-");
    const name = fc.array(fc.constantFrom("a", "b", "/", "-"), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 8 }), name, (pieces, chars) => {
        const pattern = pieces.join("");
        const text = chars.join("");
        // Ours differ on purpose: `**` crosses everywhere, and `*` may stand for nothing at all.
        fc.pre(!pattern.includes("**") && !/(^|\/)\*(\/|$)/.test(pattern) && !pattern.includes("//"));
        fc.pre(!pattern.endsWith("/") && !text.endsWith("/") && !pattern.startsWith("/"));
        expect(matchesGlob(pattern, text)).toBe(picomatch(pattern, { dot: true, windows: false })(text));
      }),
      { numRuns: 500 },
    );
  });

  test("takes a hostile pattern on a long name without noticing", () => {
    const started = performance.now();
    expect(matchesGlob(`${"*a".repeat(120)}b`, "a".repeat(256))).toBe(false);
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe("checkPattern()", () => {
  test.each(["preview/**", "v[0-9]", "a\\{b\\}", "release-?"])("has nothing against %s", (pattern) => {
    expect(checkPattern(pattern)).toBeNull();
  });

  test.each([
    ["", "empty"],
    ["{a,b}", "braces are not expanded"],
    ["a[b", "not closed"],
    ["[z-a]", "backwards"],
    ["a\\", "lone"],
    ["!main", "exclude"],
    ["x".repeat(600), "longer than"],
  ])("refuses %s", (pattern, why) => {
    expect(checkPattern(pattern)).toContain(why);
    expect(matchesGlob(pattern, pattern)).toBe(false);
  });
});

describe("selectBranch()", () => {
  test("an empty selector matches nothing", () => {
    expect(selectBranch({}, branch(), now)).toEqual({ matches: false, why: "the rule selects no branches" });
    expect(selectBranch({ include: [] }, branch(), now).matches).toBe(false);
    expect(selectBranch({ annotations: {} }, branch(), now).matches).toBe(false);
  });

  test("exclude alone matches nothing", () => {
    expect(selectBranch({ exclude: ["x"] }, branch(), now).matches).toBe(false);
  });

  test("exclude wins over include and says which pattern did", () => {
    const selector = { include: ["preview/**"], exclude: ["preview/dependabot/**"] };
    expect(selectBranch(selector, branch(), now)).toEqual({ matches: true, why: 'matches "preview/**"' });
    expect(selectBranch(selector, branch({ name: "preview/dependabot/npm" }), now)).toEqual({
      matches: false,
      why: 'excluded by "preview/dependabot/**"',
    });
  });

  test.each([
    [{ default: true }, { default: true }, true, "is the default branch"],
    [{ default: true }, {}, false, "is not the default branch"],
    [{ default: false }, {}, true, "is not the default branch"],
    [{ protected: true }, {}, false, "is not protected"],
    [{ expires: true }, { expiresAt: now }, true, "is expiring"],
    [{ expires: false }, { expiresAt: now }, false, "is expiring"],
    [{ parent: "main" }, {}, true, 'is a child of "main"'],
    [{ parent: "main" }, { parentName: null }, false, 'is not a child of "main"'],
    [{ olderThanMs: 3_600_000 }, {}, true, "is old enough"],
    [{ olderThanMs: 3_600_001 }, {}, false, "is too young"],
    [{ youngerThanMs: 3_600_000 }, {}, true, "is young enough"],
    [{ youngerThanMs: 3_599_999 }, {}, false, "is too old"],
    [{ annotations: { team: "web-*" } }, { annotations: { team: "web-a" } }, true, "annotation team"],
    [{ annotations: { team: "web-*" } }, { annotations: { team: "api" } }, false, "annotation team"],
    [{ annotations: { toString: "*" } }, {}, false, "annotation toString"],
  ] as const)("%j on %j: %s, %s", (selector, facts, matches, why) => {
    const selection = selectBranch(selector, branch(facts), now);
    expect(selection.matches).toBe(matches);
    expect(selection.why).toContain(why);
  });

  test("needs every condition", () => {
    const selector = { include: ["**"], protected: true };
    expect(selectBranch(selector, branch(), now).matches).toBe(false);
    expect(selectBranch(selector, branch({ protected: true }), now).matches).toBe(true);
  });
});

describe("selectsSomething()", () => {
  test("knows selectors that never match", () => {
    expect(selectsSomething({})).toBe(false);
    expect(selectsSomething({ exclude: ["a"] })).toBe(false);
    expect(selectsSomething({ include: [], default: true })).toBe(false);
    expect(selectsSomething({ default: false })).toBe(true);
    expect(selectsSomething({ include: ["a"] })).toBe(true);
  });
});

describe("nearMisses()", () => {
  const names = ["preview/a", "preview/feat/x", "Preview/b", "preview-c", "main", "preview/skip/y"];

  test("names what differs by a slash, case or separator only", () => {
    expect(nearMisses({ include: ["preview/*"], exclude: ["preview/skip/*"] }, names)).toEqual([
      "preview/feat/x",
      "Preview/b",
      "preview-c",
    ]);
  });

  test("names nothing when all match, and at most ten", () => {
    expect(nearMisses({ include: ["**"] }, names)).toEqual([]);
    const many = Array.from({ length: 20 }, (_, i) => `preview/x/${i}`);
    expect(nearMisses({ include: ["preview/*"] }, many)).toHaveLength(10);
  });
});
