import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodePath, isCanonical, refusePath } from "../../../../services/destinations/vault-paths.ts";

describe("refusePath()", () => {
  test("takes what branches are called", () => {
    for (const path of ["shop/db", "preview/feat#1?x=y", "a=b/c d", "ünïcode/日本", "v1.2/x_y-z~"]) {
      expect(refusePath(path), path).toBeNull();
    }
  });

  test("refuses what would mean another path", () => {
    const hostile = [
      "",
      "/a",
      "a/",
      "a//b",
      ".",
      "..",
      "a/../b",
      "a/./b",
      "x..y",
      "a\\b",
      "a\nb",
      "a\u0000",
      "\ud800",
    ];
    for (const path of hostile) expect(refusePath(path), JSON.stringify(path)).toMatch(/\w/);
  });
});

describe("encodePath()", () => {
  test("gives a canonical path that means what was asked, for every path that is not refused", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 60, unit: "binary" }), (path) => {
        fc.pre(refusePath(path) === null);
        const encoded = encodePath(path);
        expect(isCanonical(encoded)).toBe(true);
        const url = new URL(`http://vault/v1/secret/data/${encoded}`);
        expect(url.pathname).toBe(`/v1/secret/data/${encoded}`);
        expect(decodeURIComponent(encoded)).toBe(path);
      }),
    );
  });
});

describe("isCanonical()", () => {
  test("takes a version and no other query", () => {
    expect(isCanonical("secret/data/a%2Fb?version=12")).toBe(true);
    for (const path of [
      "a?list=true",
      "a?version=1?version=2",
      "a?version=1&x",
      "a#b",
      "a/../b",
      "a//b",
      "a b",
      "%zz",
      "",
    ]) {
      expect(isCanonical(path), path).toBe(false);
    }
  });
});
