import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { legalSecretName, parseSecretArn } from "../../../../services/destinations/secret-names.ts";

describe("legalSecretName()", () => {
  test("leaves a legal name as it is", () => {
    for (const name of ["prd/billing/db", "a_b+c=d.e@f-g", "x", "x".repeat(512)]) {
      expect(legalSecretName(name)).toBe(name);
    }
  });

  test("replaces what AWS refuses and says by a hash which one it was", () => {
    expect(legalSecretName("preview/feat#1/db")).toMatch(/^preview\/feat_1\/db_[0-9a-f]{8}$/);
    expect(legalSecretName("a#b")).not.toBe(legalSecretName("a:b"));
    expect(legalSecretName("a#b")).toBe(legalSecretName("a#b"));
  });

  test("never ends in a hyphen and six characters, as ARNs do", () => {
    expect(legalSecretName("shop/db-orders")).toMatch(/^shop\/db-orders_[0-9a-f]{8}$/);
    expect(legalSecretName("shop/db-order")).toBe("shop/db-order");
  });

  test("is legal for any text", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 700, unit: "binary" }), (text) => {
        const name = legalSecretName(text);
        expect(name).toMatch(/^[A-Za-z0-9/_+=.@-]{1,512}$/);
        expect(name).not.toMatch(/-[A-Za-z0-9]{6}$/);
      }),
    );
  });
});

describe("parseSecretArn()", () => {
  test("gives the name without the six characters that AWS put on", () => {
    const arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prd/db-orders-a1B2c3";
    expect(parseSecretArn(arn)).toEqual({
      region: "eu-central-1",
      account: "123456789012",
      name: "prd/db-orders",
    });
  });

  test("takes nothing else", () => {
    for (const text of [
      "prd/db",
      "arn:aws:s3:::x",
      "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db",
    ]) {
      expect(parseSecretArn(text)).toBeNull();
    }
  });
});
