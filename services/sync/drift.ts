/** Whether what is seen at the vendor is what we left there. Pure. */
import type { LedgerEntry } from "./model.ts";
import { foreignSecret, isForeign } from "./ownership.ts";
import type { PlanInput } from "./plan.ts";
import type { ObservedName } from "./ports.ts";

type Scene = Pick<PlanInput, "traits" | "installation" | "observation" | "ledger">;

/** A name of ours that is not as we left it. "foreign": somebody else says now that it is theirs. */
export interface Drift {
  readonly name: string;
  readonly kind: "changed" | "lost" | "foreign";
}

/**
 * Atomic vendors may show a version without contents. That is enough while the version is the one that we
 * wrote and nobody else's names are in it; else the contents must be read before anything is decided.
 */
export function needsContents(
  input: Pick<PlanInput, "traits" | "observation" | "ledger"> & { shared: boolean },
): boolean {
  const { observation, ledger, shared } = input;
  if (observation.contents || !observation.exists) return false;
  const ours = ledger.length > 0 && ledger.every((e) => e.confirmed && e.version === observation.version);
  return shared || !ours;
}

/** Whether what was seen differs from what the ledger says: what a sweep looks for. */
export function drifted(input: Scene): readonly Drift[] {
  return input.ledger.flatMap((entry) => {
    const kind = driftOf(input, entry);
    return kind === null ? [] : [{ name: entry.name, kind }];
  });
}

/** What was seen under a name, or null. */
export const findName = (
  { observation }: Pick<PlanInput, "observation">,
  name: string,
): ObservedName | null => observation.names.find((seen) => seen.name === name) ?? null;

/** What became of one name of the ledger; null: nothing. */
export function driftOf(input: Scene, entry: LedgerEntry): Drift["kind"] | null {
  const { observation } = input;
  if (!entry.confirmed) return null;
  if (foreignSecret(input) !== null) return "foreign";
  if (!observation.contents) {
    if (!observation.exists) return "lost";
    return observation.version === entry.version ? null : "changed";
  }
  const seen = findName({ observation }, entry.name);
  if (seen === null) return observation.complete ? "lost" : null;
  if (isForeign(input, seen)) return "foreign";
  if (seen.fingerprint !== null) return seen.fingerprint === entry.fingerprint ? null : "changed";
  // Where one version stands for the whole secret, its names have none of their own.
  return (seen.version ?? observation.version) === entry.version ? null : "changed";
}
