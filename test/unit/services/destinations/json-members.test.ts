import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  digestOfNames,
  holds,
  mergeChanges,
  parseMembers,
  printMembers,
  refuseKey,
} from "../../../../services/destinations/json-members.ts";
import type { Observation } from "../../../../services/sync/ports.ts";
import { put, remove } from "./secret-writer.ts";

const EMPTY: Observation = {
  complete: true,
  contents: true,
  exists: true,
  version: null,
  mark: null,
  foreign: null,
  names: [],
};

describe("parseMembers()", () => {
  test("keeps every value as the text that stood there", () => {
    const text =
      ' {"n" : 12345678901234567890, "f":1.0 ,"s":"a,}\\"{","o":{"x":[1,{"y":"]"}]},"e":{},"t":true}';
    const members = parseMembers(text);
    expect([...(members ?? [])].map(([key, raw]) => [key, raw.reveal()])).toEqual([
      ["n", "12345678901234567890"],
      ["f", "1.0"],
      ["s", '"a,}\\"{"'],
      ["o", '{"x":[1,{"y":"]"}]}'],
      ["e", "{}"],
      ["t", "true"],
    ]);
  });

  test("prints back to something equal, whatever JSON object it was", () => {
    const anyObject = fc.dictionary(fc.string(), fc.jsonValue());
    fc.assert(
      fc.property(anyObject, fc.integer({ min: 0, max: 3 }), (object, indent) => {
        const members = parseMembers(JSON.stringify(object, null, indent));
        const plain: unknown = JSON.parse(JSON.stringify(object));
        expect(JSON.parse(printMembers(members ?? new Map()))).toEqual(plain);
      }),
    );
  });

  test("gives null for anything but an object", () => {
    for (const text of ["", "text", "[]", "null", "1", '"x"', '{"a":1', "{'a':1}"]) {
      expect(parseMembers(text), text).toBeNull();
    }
  });

  test("takes the last of two equal keys and a key with escapes", () => {
    const members = parseMembers('{"a":1,"\\u0061":2,"__proto__":3}');
    expect([...(members ?? [])].map(([key, raw]) => [key, raw.reveal()])).toEqual([
      ["a", "2"],
      ["__proto__", "3"],
    ]);
  });
});

describe("mergeChanges() and holds()", () => {
  test("leave the keys of others as they came", () => {
    const before = parseMembers('{"THEIRS":1.0,"OLD":"x"}') ?? new Map();
    const changes = [put("NEW", 'v"&<', EMPTY), ...remove(EMPTY, "OLD")];
    const after = mergeChanges(before, changes);
    expect(printMembers(after)).toBe('{"THEIRS":1.0,"NEW":"v\\"&<"}');
    expect(holds(after, changes)).toBe(true);
    expect(holds(before, changes)).toBe(false);
  });

  test("know a value again that a server has escaped otherwise", () => {
    const members = parseMembers('{"URL":"a\\u0026b\\u003c"}') ?? new Map();
    expect(holds(members, [put("URL", "a&b<", EMPTY)])).toBe(true);
  });
});

describe("digestOfNames()", () => {
  test("is the same in any order, and another for other names", () => {
    expect(digestOfNames(["A", "B"])).toBe(digestOfNames(["B", "A"]));
    expect(digestOfNames(["A", "B"])).not.toBe(digestOfNames(["A,B"]));
    expect(digestOfNames([])).toMatch(/^[0-9a-f]{10}$/);
  });
});

describe("refuseKey()", () => {
  test("refuses what no consumer could name", () => {
    expect(refuseKey("DATABASE_URL")).toBeNull();
    for (const name of ["", "a\nb", "x".repeat(257)]) expect(refuseKey(name)).toMatch(/\w/);
  });
});
