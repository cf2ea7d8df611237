/**
 * Whose is it? Pure. Only what Branchline made, or what somebody handed over, is written or taken away.
 *
 * Three things say that a name is ours: a write that was recorded, our mark at the vendor, or, for a write
 * that was claimed and never recorded, evidence that it is that write which we see.
 */
import type { LedgerEntry, Reason, RenderedVariable } from "./model.ts";
import type { PlanInput, Wish } from "./plan.ts";
import type { Fingerprint, Mark, Observation, ObservedName, Traits } from "./ports.ts";

/** What can be said of a place, whichever binding asks. */
type Scene = Pick<PlanInput, "traits" | "installation" | "observation" | "ledger">;

/** A name that was made within this span after its claim may be ours: the longest life of a request. */
const CLAIM_WINDOW_MS = 60_000;

/** Why what is there may not be overwritten, or null. */
export function refuseOverwrite(
  input: Scene,
  wish: Wish,
  variable: RenderedVariable,
  entry: LedgerEntry | undefined,
  seen: ObservedName | null,
): Reason | null {
  const { name } = variable;
  if (entry !== undefined && entry.bindingId !== wish.bindingId) return wantedTwice(name);
  if (seen === null) return null;
  const ours =
    entry === undefined
      ? markedOurs(input, seen)
      : isOurs(input, entry, seen, [variable.fingerprint, ...entry.claims]);
  return ours ? null : refuseAdoption(wish, variable, seen);
}

/** The rule hands over whatever a name holds, a command what it says, and nobody what something else owns. */
function refuseAdoption(
  wish: Wish,
  { name, fingerprint }: RenderedVariable,
  seen: ObservedName,
): Reason | null {
  const refuse = (cause: string, next: string): Reason => ({ code: "not_owned", cause, next });
  if (seen.foreign !== null) return refuse(notOurs(name, seen), "Choose another name.");
  if (wish.adopt.has(name)) return null;
  const { handed } = wish;
  if (!handed?.names.includes(name)) {
    return refuse(notOurs(name, seen), `Adopt "${name}", or choose another name.`);
  }
  if (seen.fingerprint === fingerprint) return null;
  if (seen.fingerprint !== null) {
    return refuse(
      `"${name}" exists and holds another value than the one that is wanted`,
      `Adopt "${name}" in the rule if its value is to be replaced.`,
    );
  }
  if (handed.expect === "replace-unreadable") return null;
  return refuse(
    `"${name}" exists and its value cannot be read, so nobody can tell whether it is the same`,
    "Adopt it with replace-unreadable if it is to be replaced; it cannot be restored.",
  );
}

/** Two rules, or two branches of one rule, that mean the same name at the same place. */
export const wantedTwice = (name: string): Reason => ({
  code: "policy",
  cause: `"${name}" is wanted here by another rule or branch too`,
  next: "Give one of the two another name or another target.",
});

/** The secret as a whole is not ours to write: everything wanted there is refused for the same reason. */
export function foreignPlace(input: Scene, wish: Wish): Reason | null {
  const { observation, ledger, traits } = input;
  if (!observation.exists || traits.grain !== "atomic") return null;
  const theirs = foreignSecret(input);
  if (theirs !== null) return theirs;
  const adopted =
    wish.variables.length > 0 &&
    wish.variables.every(({ name }) => wish.adopt.has(name) || wish.handed?.names.includes(name) === true);
  if (observation.mark !== null || adopted || ledger.some((entry) => madeHere(observation, entry)))
    return null;
  return { code: "not_owned", cause: "the secret exists and was not made here", next: CHOOSE };
}

/** Somebody else says that the secret is theirs: nothing in it is touched, not even our own names. */
export function foreignSecret(input: Scene): Reason | null {
  const { observation, traits } = input;
  if (!observation.exists || traits.grain !== "atomic") return null;
  if (observation.foreign !== null) {
    return { code: "not_owned", cause: `the secret belongs to ${observation.foreign}`, next: CHOOSE };
  }
  if (foreignMark(input, observation.mark)) {
    return { code: "not_owned", cause: "the secret belongs to another installation", next: CHOOSE };
  }
  return null;
}

const CHOOSE = "Choose another target, or adopt the names in the rule.";

/**
 * Whether a name in the ledger is really ours at the vendor, as far as can be seen. What was written, and not
 * claimed to be taken away since, is ours whatever it holds by now. Else what we see must look like ours.
 */
export function isOurs(
  input: Scene,
  entry: LedgerEntry,
  seen: ObservedName,
  claims: readonly Fingerprint[] = entry.claims,
): boolean {
  const { traits, observation } = input;
  if (isForeign(input, seen)) return false;
  if (entry.confirmed || (entry.written && !entry.deleting) || seen.mark !== null) return true;
  if (seen.fingerprint !== null) return [entry.fingerprint, ...claims].includes(seen.fingerprint);
  if (traits.grain === "atomic") return observation.mark !== null;
  return !traits.mark && (entry.written ? madeBefore(entry, seen) : madeAtClaim(traits, entry, seen));
}

/** The same of a name that may not be shown: in a secret without our mark nothing that we only claimed was made. */
export function mayBeOurs(input: Scene, entry: LedgerEntry, seen: ObservedName | null): boolean {
  if (seen !== null) return isOurs(input, entry, seen);
  const { traits, observation } = input;
  return (
    entry.confirmed || entry.written || traits.grain !== "atomic" || !traits.mark || observation.mark !== null
  );
}

/** Somebody else says that it is theirs. */
export const isForeign = (input: Scene, seen: ObservedName): boolean =>
  seen.foreign !== null || foreignMark(input, seen.mark);

export const notOurs = (name: string, seen: ObservedName): string =>
  seen.foreign === null ? `"${name}" exists and was not made here` : `"${name}" belongs to ${seen.foreign}`;

/** A secret with a name that we wrote, or that holds what we claimed to write, was made here or handed over. */
function madeHere(observation: Observation, entry: LedgerEntry): boolean {
  if (entry.confirmed || entry.written) return true;
  const seen = observation.names.find(({ name }) => name === entry.name);
  return seen?.fingerprint != null && entry.claims.includes(seen.fingerprint);
}

/**
 * What a write brings back was made here: ours it is. If the write then gets no further, whatever it failed at, the old
 * values are back, and nobody else looks after them.
 */
export const revivesOurs = ({
  installation,
  observation,
}: Pick<Scene, "installation" | "observation">): boolean =>
  observation.revives === true && observation.mark?.installation === installation;

const foreignMark = (input: Scene, mark: Mark | null): boolean =>
  mark !== null && mark.installation !== input.installation;

/** The mark outlives a lost ledger: what says in our own hand that we made it is ours, under whichever rule. */
const markedOurs = (input: Scene, seen: ObservedName): boolean =>
  seen.foreign === null && seen.mark?.installation === input.installation;

/** Made after we began to take it away, it is somebody else's. */
const madeBefore = (entry: LedgerEntry, seen: ObservedName): boolean =>
  seen.createdAt == null || seen.createdAt.getTime() <= entry.claimedAt.getTime() + 1_000;

/** Where neither value nor mark can be seen, only the time of its making speaks. */
function madeAtClaim(traits: Traits, entry: LedgerEntry, seen: ObservedName): boolean {
  const made = seen.createdAt?.getTime();
  if (made === undefined) return false;
  const claimed = entry.claimedAt.getTime();
  return made >= claimed - traits.versionGrainMs - 1_000 && made <= claimed + CLAIM_WINDOW_MS;
}
