import type { Reason, Rule } from "./model.ts";
import type { Exposure } from "./ports.ts";

export interface Production {
  readonly branch: string;
  readonly isDefault: boolean;
  readonly isProtected: boolean;
}

/** One that can be asked now what it accepts. */
export interface AskedProduction extends Production {
  readonly neonId: string;
}

export interface GateInput {
  readonly rule: Pick<Rule, "productionReason" | "inheritedPassword">;
  readonly branch: Production;
  readonly exposure: Exposure;
  /** Default and protected branches that still accept a password of this bundle. */
  readonly inherited: readonly (Production & { readonly role: string })[];
  /** Default and protected branches whose passwords have not been read yet, so that nobody can tell. */
  readonly unread: readonly Production[];
}

export interface GateResult {
  /** Why nothing of this bundle may go there; null: it may. */
  readonly refusal: Reason | null;
  /** What should be known although it may go there; null: nothing. */
  readonly warning: string | null;
}

/** Whether a password that such a branch accepts keeps a bundle back: then somebody has to ask the branch. */
export function keepsBack(
  { rule, branch, exposure }: Pick<GateInput, "rule" | "branch" | "exposure">,
  other: Pick<Production, "isProtected">,
): boolean {
  if (exposure === "production" || rule.productionReason !== null) return false;
  // Those are refused for what they are.
  if (branch.isDefault || branch.isProtected) return false;
  return other.isProtected || rule.inheritedPassword === "refuse";
}

const CURE =
  "protect the parent and create the branch anew, or reset the password on the branch, and it will differ";

/**
 * No production in preview. A login of a default or protected branch goes only where readers may have
 * production access. A password that such a branch still accepts opens it with the host swapped, so it
 * counts as well: always if that branch is protected, and by the rule's choice if it is only the default.
 */
export function gate({ rule, branch, exposure, inherited, unread }: GateInput): GateResult {
  if (exposure === "production" || rule.productionReason !== null) return { refusal: null, warning: null };
  if (branch.isDefault || branch.isProtected) {
    const which = branch.isDefault ? "default" : "protected";
    return refuse(
      `"${branch.branch}" is the source's ${which} branch and the target's exposure is ${exposure}`,
      `Leave the branch out of the rule, or say why in the rule's productionReason.`,
    );
  }
  const keeps = (other: Production): boolean => keepsBack({ rule, branch, exposure }, other);
  const unknown = unread.find(keeps);
  if (unknown !== undefined) {
    const cause = `the passwords of "${unknown.branch}" are not known yet, and must not be the same here`;
    return {
      refusal: { code: "unavailable", cause, next: "Nothing: it is tried again by itself." },
      warning: null,
    };
  }
  const worst = inherited.find((other) => other.isProtected) ?? inherited[0];
  if (worst === undefined) return { refusal: null, warning: null };
  const cause = `role "${worst.role}" has the same password here and on "${worst.branch}", which production uses`;
  if (keeps(worst)) return refuse(cause, `To go on, ${CURE}.`);
  return { refusal: null, warning: `${cause}: ${CURE}` };
}

const refuse = (cause: string, next: string): GateResult => ({
  refusal: { code: "policy", cause, next },
  warning: null,
});
