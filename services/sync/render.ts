import { SyncError } from "./errors.ts";
import type { Fingerprinter } from "./fingerprint.ts";
import type { LoginMaterial, RenderedVariable, Rule } from "./model.ts";
import type { Traits } from "./ports.ts";
import { parseVariable, renderVariable } from "./variables.ts";

/**
 * All variables of a bundle, under the names as the destination spells them. Throws `invalid_target` if
 * two of the rule's names are one name there.
 */
export function render(
  rule: Pick<Rule, "variables" | "connection">,
  logins: ReadonlyMap<string, LoginMaterial>,
  traits: Pick<Traits, "normaliseName">,
  fingerprint: Fingerprinter,
): RenderedVariable[] {
  const rendered = new Map<string, RenderedVariable>();
  for (const [written, expression] of Object.entries(rule.variables)) {
    const name = traits.normaliseName(written);
    if (rendered.has(name)) {
      throw new SyncError("invalid_target", `"${written}" is the same name as another variable of the rule`);
    }
    const value = renderVariable(parseVariable(expression), logins, rule.connection);
    rendered.set(name, { name, value, fingerprint: fingerprint("value", value) });
  }
  return [...rendered.values()];
}
