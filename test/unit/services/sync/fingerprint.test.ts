import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createFingerprinter, equalInConstantTime } from "../../../../services/sync/fingerprint.ts";
import { Secret } from "../../../../services/sync/secret.ts";

const key = new Uint8Array(32).fill(1);
const fingerprint = createFingerprinter(key);

describe("createFingerprinter()", () => {
  test("is equal for equal parts, secret or not, and different for different ones", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.array(fc.string()), (a, b) => {
        const same = JSON.stringify(a) === JSON.stringify(b);
        const secrets = b.map((part) => new Secret(part));
        expect(fingerprint("value", ...a) === fingerprint("value", ...secrets)).toBe(same);
      }),
    );
  });

  test("tells apart where one part ends and the next begins", () => {
    expect(fingerprint("value", "ab", "c")).not.toBe(fingerprint("value", "a", "bc"));
    expect(fingerprint("value", "a", "")).not.toBe(fingerprint("value", "a"));
    expect(fingerprint("value", "a:1:b")).not.toBe(fingerprint("value", "a", "b"));
  });

  test("is another one in another domain and under another key", () => {
    const other = createFingerprinter(new Uint8Array(32).fill(2));
    const all = [fingerprint("value", "x"), fingerprint("password", "x"), other("value", "x")];
    expect(new Set(all).size).toBe(3);
  });

  test("holds nothing of the value", () => {
    expect(fingerprint("value", new Secret("hunter2"))).toMatch(/^[\w-]{43}$/);
  });
});

test("equalInConstantTime() compares whole texts", () => {
  expect(equalInConstantTime("token", "token")).toBe(true);
  expect(equalInConstantTime("token", "tokem")).toBe(false);
  expect(equalInConstantTime("token", "token ")).toBe(false);
  expect(equalInConstantTime("", "")).toBe(true);
});
