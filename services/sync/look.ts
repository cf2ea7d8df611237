/** The first step of a push: what is there, and which bindings have something to do about it. */
import { type Drift, drifted, needsContents } from "./drift.ts";
import { SyncError } from "./errors.ts";
import type { Observation } from "./ports.ts";
import type { PushBinding, PushInput, ReadPorts } from "./push.ts";
import { JUDGED_HERE } from "./reconcile.ts";

/** Before anything else: what is seen in another account says nothing about the one that is meant. */
export async function look(input: PushInput, ports: ReadPorts): Promise<Observation> {
  ports.step?.("check");
  await ports.check();
  return await observe(input, ports);
}

async function observe(input: PushInput, ports: ReadPorts): Promise<Observation> {
  ports.step?.("observe");
  const compare = new Set(input.bindings.flatMap((binding) => binding.handed?.names ?? []));
  const look = async (contents: boolean): Promise<Observation> => {
    const first = input.ledger.length === 0;
    const [seen] = await ports.destination.observe([input.target], { contents, compare, first });
    if (seen === undefined) throw new SyncError("internal", "the adapter observed nothing");
    return seen;
  };
  const seen = await look(input.shared || compare.size > 0);
  return needsContents({ ...input, observation: seen }) ? await look(true) : seen;
}

/** Whether a binding's last push failed at something that may have passed since; nothing else would say so. */
export const isTroubled = ({
  state,
  code,
}: {
  readonly state: string;
  readonly code: string | null;
}): boolean => (state === "retrying" || state === "parked") && !JUDGED_HERE.has(code ?? "");

/** Untouched stays what is as it should be: neither Neon nor the vendor is asked for more. */
export function isDue(input: PushInput, binding: PushBinding, observation: Observation): boolean {
  if (input.force || binding.leaving !== "no" || binding.wanted > binding.applied) return true;
  // Drift that was reported and is here no more, trouble that has passed: to be found equal, and said to be so.
  if (binding.reported || binding.troubled) return true;
  const mine = input.ledger.filter((entry) => entry.bindingId === binding.id);
  if (mine.some((entry) => !entry.confirmed)) return true;
  return drifted({ ...input, observation, ledger: mine }).length > 0;
}

/**
 * Drift that the rule only wants reported; it stays until the desired value changes or somebody pushes by hand.
 * Not a name that somebody else calls theirs: that parks. Nor what may be a late write of our own.
 */
export function onlyReported(
  input: PushInput,
  binding: PushBinding,
  observation: Observation,
): readonly Drift[] {
  if (binding.rule.onDrift !== "report" || binding.leaving !== "no") return [];
  if (binding.wanted > binding.applied || (input.force && !binding.reported)) return [];
  const mine = input.ledger.filter((entry) => entry.bindingId === binding.id);
  const drift = mine.some((entry) => !entry.confirmed)
    ? []
    : drifted({ ...input, observation, ledger: mine });
  return drift.some(({ kind }) => kind === "foreign") ? [] : drift;
}

/** Whether the vendor's secret holds names that are not ours; as was known before where its contents were not read. */
export function holdsOthers(input: PushInput, seen: Observation): boolean {
  if (!seen.contents) return input.shared;
  const ours = new Set(input.ledger.map((entry) => entry.name));
  return input.traits.grain === "atomic" && seen.names.some((name) => !ours.has(name.name));
}
