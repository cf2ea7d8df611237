import { describe, expect, test } from "vitest";
import { plainText } from "../../../../services/webhooks/json.ts";

describe("plainText()", () => {
  test.each(["main", "feat/été", "🙂", "a b"])("takes %j", (name) => {
    expect(plainText(20).safeParse(name).success).toBe(true);
  });

  test.each(["", "a\u0000b", "a\nb", "\ud800", "a\udc00", "x".repeat(21)])("refuses %j", (name) => {
    expect(plainText(20).safeParse(name).success).toBe(false);
  });
});
