/** What fits at a vendor: names, sizes and counts, known before the first write. Pure. */
import type { Reason, RenderedVariable } from "./model.ts";
import type { Draft, PlanInput } from "./plan.ts";

/** Why the vendor would refuse this variable, or null. */
export function refuseVariable({ traits }: PlanInput, variable: RenderedVariable): Reason | null {
  const why = traits.refuseName(variable.name);
  if (why !== null) {
    return { code: "invalid_secret", cause: `"${variable.name}": ${why}`, next: "Choose another name." };
  }
  if (variable.value.bytes > traits.limits.valueBytes) {
    const cause = `"${variable.name}" has ${variable.value.bytes} bytes, the vendor takes ${traits.limits.valueBytes}`;
    return { code: "invalid_secret", cause, next: "Choose a shorter form." };
  }
  return null;
}

/** From this share of a limit on people are told. */
const NEARLY = 0.8;

/** Counts are known before the first write, so nobody finds out in the middle of a bundle. */
export function limitCounts(input: PlanInput, out: Draft): void {
  const { bundleBytes } = input.traits.limits;
  const names = input.observation.room ?? input.traits.limits.names;
  const puts = out.changes.flatMap(({ bindingId, change }) =>
    change.op === "put" ? [{ bindingId, change }] : [],
  );
  const fresh = puts.filter(({ change }) => change.observed === null && !change.owned);
  const { observation } = input;
  const count = (observation.used?.names ?? observation.names.length) + fresh.length;
  const bytes = Math.max(bytesOf(input, puts), observation.used?.bytes ?? 0);
  const refuse = (those: typeof puts, cause: string): void => {
    for (const { bindingId, change } of those) {
      const reason = { code: "limit_exceeded", cause, next: "Make room at the vendor." } as const;
      out.skips.push({ bindingId, name: change.name, reason, refuses: true });
    }
  };
  if (names !== null && count > names) refuse(fresh, `there is room for ${names} names`);
  else if (names !== null && count >= NEARLY * names)
    out.warnings.push(`${count} of the ${names} names that there is room for are in use`);
  if (bundleBytes !== null && bytes > bundleBytes)
    refuse(puts, `all values together may have ${bundleBytes} bytes`);
  else if (bundleBytes !== null && bytes >= NEARLY * bundleBytes)
    out.warnings.push(`the values here have ${bytes} of the ${bundleBytes} bytes that there is room for`);
}

/** Of whole bundles: what does not change takes its room as well. */
function bytesOf({ wishes }: PlanInput, puts: readonly { bindingId: string }[]): number {
  return wishes
    .filter((wish) => puts.some(({ bindingId }) => bindingId === wish.bindingId))
    .flatMap((wish) => wish.variables)
    .reduce((sum, { name, value }) => sum + value.bytes + Buffer.byteLength(name), 0);
}
