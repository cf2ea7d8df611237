/**
 * One push: brings one place to what its bindings want. Read it from the top, it does what it says:
 * check, observe, read, render, gate, prove, plan, guard, claim, apply, record.
 *
 * Observe comes before read, else compare-and-set could pass with an old value. The claim is on our disk
 * before the first write, else a crash leaves a secret behind that nobody dares to touch. Record is last.
 */

import type { Drift } from "./drift.ts";
import { asSyncError, SyncError } from "./errors.ts";
import type { Fingerprinter } from "./fingerprint.ts";
import type { AskedProduction, GateInput } from "./gate.ts";
import { holdsOthers, isDue, look, onlyReported } from "./look.ts";
import type { Adoption, LedgerEntry, LoginMaterial, LoginWanted, Rule } from "./model.ts";
import { revivesOurs } from "./ownership.ts";
import { type Plan, plan } from "./plan.ts";
import type {
  Applied,
  Change,
  Claim,
  Destination,
  Exposure,
  Fingerprint,
  Observation,
  Source,
  Traits,
} from "./ports.ts";
import { type Prepared, prepare } from "./prepare.ts";

export interface PushLogin extends LoginWanted {
  readonly id: string;
  readonly fingerprint: Fingerprint;
  /** Of the fingerprint, for the record; absent: nobody asks. */
  readonly generation?: number;
  /** Somebody has logged in with exactly this fingerprint, pooled and direct. */
  readonly proven: boolean;
}

export interface PushBinding {
  readonly id: string;
  readonly rule: Rule;
  readonly wanted: number;
  readonly applied: number;
  /** What `wanted` stands for; absent: nothing beside the logins. */
  readonly inputs?: string | null;
  /** Its names are to go from this place. */
  readonly leaving: "no" | "branch-gone" | "not-meant" | "moved";
  /** Names that a person has handed over since the last push that went well. */
  readonly handed: Adoption | null;
  /** Somebody else changed it, that was reported, and nobody has asked for a repair yet. */
  readonly reported: boolean;
  /** Its last push failed at something that may be no more. */
  readonly troubled: boolean;
  readonly exposure: Exposure;
  readonly sourceId: string;
  readonly branch: {
    readonly id: string;
    readonly neonId: string;
    readonly name: string;
    readonly isDefault: boolean;
    readonly isProtected: boolean;
  };
  readonly inherited: GateInput["inherited"];
  readonly unread: GateInput["unread"];
  /** Default and protected branches that are asked now whether they accept one of its passwords. */
  readonly production: readonly AskedProduction[];
  readonly logins: readonly PushLogin[];
}

export interface PushInput {
  readonly installation: string;
  readonly traits: Traits;
  readonly target: unknown;
  readonly ledger: readonly LedgerEntry[];
  readonly bindings: readonly PushBinding[];
  /** The vendor's secret was last seen with names that are not ours. */
  readonly shared: boolean;
  /** Write everything once more, whatever is seen. */
  readonly force: boolean;
}

export interface PushPorts {
  readonly destination: Destination;
  /** The account is the one that is configured: throws what `Destination.check` throws. May remember. */
  check(): Promise<void>;
  source(id: string): Source;
  readonly fingerprint: Fingerprinter;
  /** Logs in over the pooled and the direct host. */
  prove(sourceId: string, login: LoginMaterial): Promise<void>;
  recordProof(login: PushLogin): Promise<void>;
  /** Throws if the lease is lost. Returns what to apply under. */
  claim(changes: readonly { bindingId: string; change: Change }[], seen: Observation): Promise<Claim>;
  /** Called between steps; a test or a trace listens. */
  step?(name: StepName): void;
}

/** What is needed until the first write: a plan asks for no more. */
export type ReadPorts = Omit<PushPorts, "claim">;

export const STEPS = [
  "check",
  "observe",
  "read",
  "render",
  "gate",
  "prove",
  "plan",
  "guard",
  "claim",
  "apply",
] as const;
export type StepName = (typeof STEPS)[number];

/** What became of one binding at this place. */
export type BindingOutcome =
  | { readonly kind: "untouched" }
  | { readonly kind: "done"; readonly warning: string | null; readonly removed: boolean }
  /** The login has moved on since reconcile saw it: reconcile comes first. */
  | { readonly kind: "superseded" }
  /** Not as we left it, and the rule only wants that said. */
  | { readonly kind: "drifted"; readonly drift: readonly Drift[] }
  | { readonly kind: "failed"; readonly error: SyncError };

export interface AppliedChange {
  readonly bindingId: string;
  readonly change: Change;
  readonly result: Applied;
}

export interface PushOutcome {
  readonly bindings: ReadonlyMap<string, BindingOutcome>;
  /** One per change that was tried, in order. */
  readonly applied: readonly AppliedChange[];
  readonly plan: Plan;
  readonly shared: boolean;
  /** What consumers name the place by; undefined: not seen this time. */
  readonly reference: string | null | undefined;
}

/** What is to be done at a place, and why not. Nothing has been written anywhere. */
export interface Decision {
  readonly seen: Observation;
  readonly prepared: readonly Prepared[];
  readonly plan: Plan;
  /** Of those for whom it is over already. */
  readonly outcomes: Map<string, BindingOutcome>;
}

/** The way of a push until the first write, and all that a plan does. Throws what concerns the whole place. */
export async function decide(input: PushInput, ports: ReadPorts): Promise<Decision> {
  const outcomes = new Map<string, BindingOutcome>();
  const seen = await look(input, ports);
  const due = input.bindings.filter((binding) => {
    const drift = onlyReported(input, binding, seen);
    if (drift.length > 0) outcomes.set(binding.id, { kind: "drifted", drift });
    return drift.length === 0 && isDue(input, binding, seen);
  });
  const prepared = await prepare(input, ports, due, outcomes);

  ports.step?.("plan");
  const planned = plan({ ...input, observation: seen, wishes: prepared.map((p) => p.wish) });
  for (const skip of planned.skips) {
    if (skip.refuses && !failed(outcomes, skip.bindingId)) {
      outcomes.set(skip.bindingId, { kind: "failed", error: refusal(planned, skip.bindingId) });
    }
  }
  return { seen, prepared, plan: planned, outcomes };
}

/** Throws what concerns the whole place (check, observe, claim); what concerns a binding is in the outcome. */
export async function push(input: PushInput, ports: PushPorts): Promise<PushOutcome> {
  const decided = await decide(input, ports).catch((thrown: unknown) => missingTarget(input, thrown));
  if (decided instanceof SyncError) return withoutTarget(input, decided);
  const { seen, prepared, plan: planned, outcomes } = decided;
  const guarded = await guard(input, ports, planned, outcomes);
  const applied = await apply(input, ports, guarded, seen);
  settle(prepared, planned, applied, outcomes);
  const known = { ...planned, equal: atVersionOf(applied, input, planned) };
  const reference = applied.find(({ result }) => result.reference)?.result.reference ?? seen.reference;
  return { bindings: outcomes, applied, plan: known, shared: holdsOthers(input, seen), reference };
}

/** A target that is gone keeps nobody from leaving it. For everybody else it is a failure like any other. */
function missingTarget(input: PushInput, thrown: unknown): SyncError {
  const error = asSyncError(thrown);
  if (error.code !== "target_missing" || input.bindings.every(({ leaving }) => leaving === "no")) throw error;
  return error;
}

/** The ledger is kept: should the target come back with its names, they are ours still. */
function withoutTarget(input: PushInput, error: SyncError): PushOutcome {
  const outcomes = input.bindings.map(({ id, leaving }): [string, BindingOutcome] =>
    leaving === "no" ? [id, { kind: "failed", error }] : [id, { kind: "done", warning: null, removed: true }],
  );
  const nothing: Plan = { changes: [], equal: [], skips: [], forget: [], drift: [], warnings: [] };
  return {
    bindings: new Map(outcomes),
    applied: [],
    plan: nothing,
    shared: input.shared,
    reference: undefined,
  };
}

/** A delete needs its reason to hold still: the branch must be missing at Neon at this very moment. */
async function guard(
  input: PushInput,
  ports: PushPorts,
  planned: Plan,
  outcomes: Map<string, BindingOutcome>,
): Promise<Plan["changes"]> {
  ports.step?.("guard");
  const blocked = new Set<string>();
  const deleting = new Set(planned.changes.filter((p) => p.change.op === "delete").map((p) => p.bindingId));
  for (const binding of input.bindings) {
    if (!deleting.has(binding.id) || binding.leaving !== "branch-gone") continue;
    try {
      if ((await ports.source(binding.sourceId).branch(binding.branch.neonId)) === null) continue;
      outcomes.set(binding.id, { kind: "superseded" });
    } catch (thrown) {
      outcomes.set(binding.id, { kind: "failed", error: asSyncError(thrown) });
    }
    blocked.add(binding.id);
  }
  return planned.changes.filter((p) => !blocked.has(p.bindingId));
}

async function apply(
  input: PushInput,
  ports: PushPorts,
  planned: Plan["changes"],
  seen: Observation,
): Promise<PushOutcome["applied"]> {
  if (planned.length === 0) return [];
  ports.step?.("claim");
  const claim = await ports.claim(planned, seen);
  ports.step?.("apply");
  const changes = planned.map((p) => p.change);
  const results = await ports.destination.apply(input.target, changes, claim).catch((thrown: unknown) => {
    const error = asSyncError(thrown);
    return changes.map(({ name }): Applied => ({ name, version: null, unsettled: error.ambiguous, error }));
  });
  const doubt = revivesOurs({ ...input, observation: seen });
  return planned.map((p, index) => {
    const result = undecided(input, p.change, results[index] ?? missing(p.change));
    return { ...p, result: doubt && result.error !== null ? { ...result, unsettled: true } : result };
  });
}

/** A name that appeared since it was looked for: whose it is, a fresh observation can tell and we cannot. */
function undecided({ traits }: PushInput, change: Change, result: Applied): Applied {
  const { error } = result;
  const creates = traits.grain === "per-name" && change.op === "put" && change.observed === null;
  if (!creates || error?.code !== "not_owned") return result;
  const message = `"${change.name}" appeared since it was looked for`;
  return { ...result, error: new SyncError("conflict", message, { ...error.where, names: [change.name] }) };
}

/** Where one write moves the version of everything, names that were left alone have moved with it. */
function atVersionOf(applied: PushOutcome["applied"], { traits }: PushInput, planned: Plan): Plan["equal"] {
  const written = applied.find(({ result }) => result.error === null && result.version !== null);
  if (traits.grain !== "atomic" || written === undefined) return planned.equal;
  return planned.equal.map((name) => ({ ...name, version: written.result.version }));
}

const missing = ({ name }: Change): Applied => ({
  name,
  version: null,
  unsettled: true,
  error: new SyncError("internal", `the adapter gave no result for "${name}"`),
});

/** A bundle is done as a whole or not at all. */
function settle(
  prepared: readonly Prepared[],
  planned: Plan,
  applied: PushOutcome["applied"],
  outcomes: Map<string, BindingOutcome>,
): void {
  for (const { binding, warning } of prepared) {
    if (outcomes.has(binding.id)) continue;
    const mine = applied.filter((one) => one.bindingId === binding.id).map((one) => one.result);
    const errors = mine.flatMap(({ name, error }) => (error === null ? [] : [{ name, error }]));
    const [first] = errors;
    if (first === undefined) {
      const removed = binding.leaving !== "no";
      const told = [warning, ...(removed ? [] : planned.warnings)].filter((text) => text !== null);
      outcomes.set(binding.id, { kind: "done", warning: told.join("; ") || null, removed });
    } else {
      const names = errors.map((one) => one.name);
      const error = errors.length === mine.length ? first.error : partial(first.error, names);
      outcomes.set(binding.id, { kind: "failed", error });
    }
  }
}

const failed = (outcomes: ReadonlyMap<string, BindingOutcome>, id: string): boolean =>
  outcomes.get(id)?.kind === "failed";

function refusal(planned: Plan, bindingId: string): SyncError {
  const mine = planned.skips.filter((skip) => skip.refuses && skip.bindingId === bindingId);
  const [first] = mine;
  if (first === undefined) return new SyncError("internal", "refused without a reason");
  const names = mine.map((skip) => skip.name);
  const more = mine.length > 1 ? ` (and ${mine.length - 1} more: ${names.slice(1).join(", ")})` : "";
  return new SyncError(first.reason.code, first.reason.cause + more, { next: first.reason.next, names });
}

const partial = (first: SyncError, names: readonly string[]): SyncError =>
  new SyncError("partial", `${names.join(", ")}: ${first.message}`, {
    ...first.where,
    ...(first.next === undefined ? {} : { next: first.next }),
    ...(first.retryAfterMs === undefined ? {} : { retryAfterMs: first.retryAfterMs }),
    ambiguous: first.ambiguous,
    names,
  });
