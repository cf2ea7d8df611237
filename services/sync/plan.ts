/**
 * What to do at one place. Pure: an observation, a ledger and wishes in; changes and refusals out.
 *
 *   seen at the vendor      ours by ledger   wanted           result
 *   ------------------      --------------   ------           ------
 *   nothing, all shown      any              yes              put, create only
 *   nothing, some hidden    no / yes         yes              put, create only / put
 *   something               no               yes              skip not_owned, unless adopted
 *   something               by claim alone   yes              as ours if it is seen to be, else not_owned
 *   something, equal        yes              yes              nothing
 *   something, not equal    yes              yes              put (create-only: skip policy)
 *   something               yes              no               delete under mirror or when leaving
 *   something               by claim alone   no               the same if it is seen to be ours, else forget
 *   something, not as left  yes, moved on    no               forget
 *   nothing, all shown      yes              no               forget
 *   nothing, some hidden    yes              no               skip not_visible
 *
 * One refusal parks its whole binding: nothing of it is written.
 */
import { type Drift, driftOf, findName } from "./drift.ts";
import type { Adoption, LedgerEntry, Policy, Reason, RenderedVariable } from "./model.ts";
import {
  foreignPlace,
  foreignSecret,
  isForeign,
  mayBeOurs,
  notOurs,
  refuseOverwrite,
  wantedTwice,
} from "./ownership.ts";
import type { Change, Observation, ObservedName, Traits } from "./ports.ts";
import { limitCounts, refuseVariable } from "./room.ts";

export interface Wish {
  readonly bindingId: string;
  readonly rule: string;
  readonly policy: Policy;
  /** Handed over by the rule, whatever they hold. */
  readonly adopt: ReadonlySet<string>;
  /** Handed over by a command. */
  readonly handed: Adoption | null;
  /** Empty for a binding that leaves. */
  readonly variables: readonly RenderedVariable[];
  /** Its names are to go: the branch is gone, or it has moved to another place. */
  readonly leaving: boolean;
  /** It lives elsewhere by now. */
  readonly moved: boolean;
}

export interface PlanInput {
  readonly traits: Traits;
  readonly installation: string;
  readonly observation: Observation;
  readonly ledger: readonly LedgerEntry[];
  /** Bindings that are dealt with now. Names of others at this place are left as they are. */
  readonly wishes: readonly Wish[];
  /** The place is unsettled and has waited long enough: write everything once more. */
  readonly force: boolean;
}

export interface PlannedChange {
  readonly bindingId: string;
  readonly change: Change;
}

export interface Skip {
  readonly bindingId: string;
  readonly name: string;
  readonly reason: Reason;
  /** False: a note. True: parks the binding. */
  readonly refuses: boolean;
}

export interface Plan {
  readonly changes: readonly PlannedChange[];
  /** Names that are as they should be; their version and fingerprint as seen. */
  readonly equal: readonly { bindingId: string; name: string; fingerprint: string; version: string | null }[];
  readonly skips: readonly Skip[];
  /** Ledger entries whose names are gone and not wanted. */
  readonly forget: readonly string[];
  readonly drift: readonly Drift[];
  /** What will soon be too much at this place, in words. */
  readonly warnings: readonly string[];
}

/** So many drifts of one name within 24 hours, and someone else is writing it. */
const DRIFTS_TO_PARK = 3;

export function plan(input: PlanInput): Plan {
  const out: Draft = { changes: [], equal: [], skips: [], forget: [], drift: [], warnings: [] };
  for (const wish of input.wishes) planBinding(input, wish, out);
  dropRefused(out);
  limitCounts(input, out);
  dropRefused(out);
  seeBystanders(input, out);
  return out;
}

function dropRefused(out: Draft): void {
  const refused = new Set(out.skips.filter((skip) => skip.refuses).map((skip) => skip.bindingId));
  out.changes = out.changes.filter((planned) => !refused.has(planned.bindingId));
}

/** A plan while it is made. */
export type Draft = { -readonly [K in keyof Plan]: Plan[K][number][] };

function planBinding(input: PlanInput, wish: Wish, out: Draft): void {
  const foreign = foreignPlace(input, wish);
  for (const variable of wish.variables) {
    const refusal = foreign ?? refuseVariable(input, variable);
    if (refusal === null) planName(input, wish, variable, out);
    else out.skips.push({ bindingId: wish.bindingId, name: variable.name, reason: refusal, refuses: true });
  }
  const wanted = new Set(wish.variables.map((variable) => variable.name));
  for (const entry of input.ledger) {
    if (entry.bindingId === wish.bindingId && !wanted.has(entry.name)) planRemoval(input, wish, entry, out);
  }
}

function planName(input: PlanInput, wish: Wish, variable: RenderedVariable, out: Draft): void {
  const { name, fingerprint } = variable;
  const { bindingId } = wish;
  const entry = input.ledger.find((e) => e.name === name);
  const seen = findName(input, name);
  const drift = entry === undefined ? null : driftOf(input, entry);
  if (drift !== null) out.drift.push({ name, kind: drift });

  const refusal =
    refuseRival(input, wish, name, entry) ??
    refuseOverwrite(input, wish, variable, entry, seen) ??
    refuseFight(input, entry, drift);
  if (refusal !== null) {
    out.skips.push({ bindingId, name, reason: refusal, refuses: true });
  } else if (isEqual(input, entry, seen, variable)) {
    out.equal.push({ bindingId, name, fingerprint, version: seen?.version ?? input.observation.version });
  } else if (wish.policy === "create-only" && entry?.confirmed === true && (seen !== null || hides(input))) {
    const cause = `"${name}" exists and the rule only creates`;
    const next = "Change the rule's policy to update it.";
    out.skips.push({ bindingId, name, reason: { code: "policy", cause, next }, refuses: true });
  } else {
    const owned = entry !== undefined && seen === null && hides(input);
    out.changes.push({ bindingId, change: { op: "put", ...variable, observed: seen, owned } });
  }
}

/** Two live bindings want one name, and neither has it yet: whoever came first would be chance. */
function refuseRival(
  input: PlanInput,
  wish: Wish,
  name: string,
  entry: LedgerEntry | undefined,
): Reason | null {
  if (entry !== undefined) return null;
  const rival = input.wishes.some(
    (other) =>
      other.bindingId !== wish.bindingId && other.variables.some((variable) => variable.name === name),
  );
  return rival ? wantedTwice(name) : null;
}

/** Two writers: after the third change by somebody else we stop and say so. */
function refuseFight(
  input: PlanInput,
  entry: LedgerEntry | undefined,
  drift: Drift["kind"] | null,
): Reason | null {
  if (entry === undefined || drift === null || input.force || entry.drifts + 1 < DRIFTS_TO_PARK) return null;
  return {
    code: "not_owned",
    cause: `"${entry.name}" was changed by someone else ${DRIFTS_TO_PARK} times within 24 hours`,
    next: "Find the other writer and stop one of the two, then resume the binding.",
  };
}

function planRemoval(input: PlanInput, wish: Wish, entry: LedgerEntry, out: Draft): void {
  const { name } = entry;
  const { observation } = input;
  const seen = findName(input, name);
  const refusal = refuseRemoval(input, wish, name, seen);
  const gone = seen === null && observation.complete && (observation.contents || !observation.exists);
  const never = !mayBeOurs(input, entry, seen);
  const rewritten = wish.moved && !gone && !asWeLeftIt(input, entry, seen);
  if (refusal !== null) {
    out.skips.push({ bindingId: wish.bindingId, name, reason: refusal, refuses: false });
  } else if (gone || never || rewritten) {
    out.forget.push(name);
  } else {
    out.changes.push({ bindingId: wish.bindingId, change: { op: "delete", name, observed: seen } });
  }
}

function refuseRemoval(input: PlanInput, wish: Wish, name: string, seen: ObservedName | null): Reason | null {
  if (!wish.leaving && wish.policy !== "mirror") {
    const cause = `"${name}" is no longer wanted and stays`;
    return { code: "policy", cause, next: "Delete it by hand, or use the policy mirror." };
  }
  if (seen === null && !input.observation.complete) {
    const cause = `not_visible: "${name}" is hidden from this credential`;
    return { code: "forbidden", cause, next: "Give the credential the right to see it." };
  }
  const theirs = foreignSecret(input);
  if (theirs !== null) return { ...theirs, next: "Nothing: it is left alone." };
  if (seen !== null && isForeign(input, seen)) {
    return { code: "not_owned", cause: notOurs(name, seen), next: "Nothing: it is left alone." };
  }
  return null;
}

/**
 * One place may have two descriptions (a project by its name and by its id): what was left behind at the one is
 * then what was just written at the other. Whatever has changed since we wrote it here stays.
 */
function asWeLeftIt({ observation }: PlanInput, entry: LedgerEntry, seen: ObservedName | null): boolean {
  if (seen?.fingerprint != null && entry.claims.includes(seen.fingerprint)) return true;
  const version = seen?.version ?? observation.version;
  return version !== null ? version === entry.version : seen?.fingerprint === entry.fingerprint;
}

/** A name may be there without being shown: contents were not read, or not all names are listed. */
const hides = ({ observation }: Pick<PlanInput, "observation">): boolean =>
  !observation.complete || (!observation.contents && observation.exists);

function isEqual(
  input: PlanInput,
  entry: LedgerEntry | undefined,
  seen: ObservedName | null,
  variable: RenderedVariable,
): boolean {
  if (input.force) return false;
  if (seen?.fingerprint != null) return seen.fingerprint === variable.fingerprint && entry !== undefined;
  if (entry === undefined || !entry.confirmed || entry.fingerprint !== variable.fingerprint) return false;
  if (!input.observation.contents) {
    return input.observation.exists && entry.version === input.observation.version;
  }
  const version = seen?.version ?? input.observation.version;
  return seen !== null && version !== null && version === entry.version;
}

/**
 * Where one write moves the version of everything, names that nobody asks about today are still as they were:
 * to be recorded under the new version, or the next look would take our own write for somebody else's.
 */
function seeBystanders(input: PlanInput, out: Draft): void {
  const { traits, observation, ledger } = input;
  if (traits.grain !== "atomic" || !observation.exists) return;
  const told = new Set([...out.equal, ...out.drift].map(({ name }) => name));
  for (const { change } of out.changes) told.add(change.name);
  for (const entry of ledger) {
    const { bindingId, name, fingerprint, confirmed } = entry;
    if (told.has(name) || !confirmed || fingerprint === null || driftOf(input, entry) !== null) continue;
    out.equal.push({ bindingId, name, fingerprint, version: observation.version });
  }
}
