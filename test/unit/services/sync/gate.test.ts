import { describe, expect, test } from "vitest";
import { type GateInput, gate } from "../../../../services/sync/gate.ts";
import { EXPOSURES } from "../../../../services/sync/ports.ts";

const preview = { branch: "preview/x", isDefault: false, isProtected: false };
const main = { branch: "main", isDefault: true, isProtected: false };
const release = { branch: "release", isDefault: false, isProtected: true };

type Choice = Partial<Omit<GateInput, "rule">> & { rule?: Partial<GateInput["rule"]> };

function result(input: Choice = {}) {
  const { rule, ...rest } = input;
  return gate({
    branch: preview,
    exposure: "preview",
    inherited: [],
    unread: [],
    ...rest,
    rule: { productionReason: null, inheritedPassword: "warn", ...rule },
  });
}

describe("gate()", () => {
  test("lets a branch of no importance pass", () => {
    expect(result()).toEqual({ refusal: null, warning: null });
  });

  test.each(EXPOSURES)("lets production go to %s only if that is production", (exposure) => {
    for (const branch of [main, release]) {
      const { refusal } = result({ branch, exposure });
      expect(refusal?.code ?? null).toBe(exposure === "production" ? null : "policy");
      if (refusal !== null) expect(refusal.cause).toContain(`"${branch.branch}"`);
    }
  });

  test("lets it go anywhere with a reason in words", () => {
    const rule = { productionReason: "the demo shows it" };
    expect(result({ rule, branch: main }).refusal).toBeNull();
    expect(result({ rule, inherited: [{ ...release, role: "app" }] }).refusal).toBeNull();
    expect(result({ rule, unread: [release] }).refusal).toBeNull();
  });

  describe("with a password that another branch accepts", () => {
    test("refuses it if that branch is protected", () => {
      const { refusal } = result({
        inherited: [
          { ...main, role: "app" },
          { ...release, role: "app" },
        ],
      });
      expect(refusal).toMatchObject({ code: "policy" });
      expect(refusal?.cause).toContain('"release"');
      expect(refusal?.next).toContain("reset the password");
    });

    test("warns if that branch is only the default, or refuses by the rule's choice", () => {
      const inherited = [{ ...main, role: "app" }];
      expect(result({ inherited }).refusal).toBeNull();
      expect(result({ inherited }).warning).toContain('"main"');
      expect(result({ inherited, rule: { inheritedPassword: "refuse" } }).refusal?.code).toBe("policy");
    });

    test("does not mind where production may go anyway", () => {
      expect(result({ exposure: "production", inherited: [{ ...release, role: "app" }] })).toEqual({
        refusal: null,
        warning: null,
      });
    });
  });

  describe("before the passwords of production are known", () => {
    test("waits for a protected branch", () => {
      expect(result({ unread: [release] }).refusal).toMatchObject({ code: "unavailable" });
    });

    test("waits for the default branch only if the rule refuses inherited passwords", () => {
      expect(result({ unread: [main] }).refusal).toBeNull();
      expect(result({ unread: [main], rule: { inheritedPassword: "refuse" } }).refusal?.code).toBe(
        "unavailable",
      );
    });
  });
});
