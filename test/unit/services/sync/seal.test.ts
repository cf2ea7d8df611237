import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { SyncError } from "../../../../services/sync/errors.ts";
import { seal, unseal } from "../../../../services/sync/seal.ts";

const key = randomBytes(32);
const plain = Buffer.from("what nobody may read");

describe("seal()", () => {
  test("opens again with the same key for the same purpose", () => {
    expect(Buffer.from(unseal(key, "a key", seal(key, "a key", plain)))).toEqual(plain);
  });

  test("is another text each time, and shows nothing", () => {
    const sealed = seal(key, "a key", plain);
    expect(seal(key, "a key", plain)).not.toBe(sealed);
    expect(sealed).toMatch(/^v1(\.[\w-]+){3}$/);
    expect(Buffer.from(sealed, "base64url").includes(plain)).toBe(false);
  });
});

describe("unseal()", () => {
  const sealed = seal(key, "a key", plain);
  const [version, iv, text = "", tag] = sealed.split(".");
  const changed = (text.startsWith("A") ? "B" : "A") + text.slice(1);

  test.each([
    ["another key", randomBytes(32), "a key", sealed],
    ["another purpose", key, "another key", sealed],
    ["a changed text", key, "a key", [version, iv, changed, tag].join(".")],
    ["a tag cut short", key, "a key", [version, iv, text, tag?.slice(0, 6)].join(".")],
    ["another version", key, "a key", ["v2", iv, text, tag].join(".")],
    ["something else", key, "a key", "nonsense"],
    ["nothing", key, "a key", ""],
  ])("refuses %s, and says what to do", (_, masterKey, purpose, what) => {
    let thrown: unknown;
    try {
      unseal(masterKey, purpose, what);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(SyncError);
    expect(thrown).toMatchObject({ code: "unauthenticated" });
    expect(String(thrown)).not.toContain(what === "" ? "what nobody" : what);
  });
});
