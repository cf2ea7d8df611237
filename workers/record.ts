/** What is written down after a push: ledger, bindings, history, and when to come back. */
import { type BindingWithAll, recordApplied, setOutcome } from "../services/store/binding.ts";
import { answered, type Db } from "../services/store/db.ts";
import type { DestinationRow } from "../services/store/destination.ts";
import { recordEvent, recordEvents } from "../services/store/event.ts";
import {
  countDrift,
  doubtNames,
  forgetNames,
  formerPlaces,
  type Held,
  type Holding,
  recordNames as settleNames,
} from "../services/store/ledger.ts";
import { type PlaceRow, setPlaceSeen, unsettle } from "../services/store/place.ts";
import { markDue } from "../services/store/work.ts";
import type { Drift } from "../services/sync/drift.ts";
import { asSyncError, SyncError } from "../services/sync/errors.ts";
import type { Rule } from "../services/sync/model.ts";
import { nextFor, verdict } from "../services/sync/outcome.ts";
import type { DestinationAdapter, Traits } from "../services/sync/ports.ts";
import type { BindingOutcome, PushInput, PushOutcome } from "../services/sync/push.ts";
import { JUDGED_HERE } from "../services/sync/reconcile.ts";
import { parseVariable } from "../services/sync/variables.ts";
import type { Coming } from "./coming.ts";
import { countPush, historyOf, writeHistory } from "./history.ts";
import type { Trace } from "./push.ts";
import type { Outcome, Work } from "./run.ts";
import type { Counted, Runtime } from "./runtime.ts";

export interface PushContext {
  readonly runtime: Runtime;
  readonly row: PlaceRow;
  readonly work: Work;
  readonly destination: DestinationRow;
  readonly adapter: DestinationAdapter;
  readonly loaded: ReadonlyMap<string, BindingWithAll>;
  /** See `Loaded`. */
  readonly roles: ReadonlyMap<string, readonly string[]>;
  /** Others wait a moment for it, to read Neon with them. */
  readonly coming: Coming;
  readonly trace: Trace;
  readonly counted: Counted;
}

/** `heldMs`: some branches are held for so long, and what is theirs was left out. */
export async function recordOutcome(
  context: PushContext,
  input: PushInput,
  outcome: PushOutcome,
  heldMs: number,
): Promise<Outcome> {
  const { work } = context;
  const unsure = outcome.applied.some(({ result }) => result.unsettled);
  const finished = outcome.applied.every(({ result }) => result.error === null);
  const conclusion = againAfterHold(conclude(context, outcome, unsure), heldMs);
  const history = historyOf(context, outcome);
  await work.finish(conclusion, async (tx) => {
    const repaired = repairedDrift(outcome).map(({ name, kind }) => ({
      origin: "push" as const,
      kind: `drift.${kind}`,
      subject: { destination: context.destination.name, place: context.row.key, name },
      outcome: "processed" as const,
    }));
    // None of these needs another's answer.
    await answered([
      recordNames(tx, context, input, outcome),
      recordBindings(context, tx, outcome),
      recordPlace(tx, context, { outcome, unsure, finished }),
      recordEvents(tx, repaired),
      writeHistory(context, tx, history),
    ]);
  });
  countPush(context, history);
  await reconcileSuperseded(context, outcome);
  return conclusion;
}

async function recordPlace(
  tx: Db,
  { row, work, runtime }: PushContext,
  { outcome, unsure, finished }: { outcome: PushOutcome; unsure: boolean; finished: boolean },
): Promise<void> {
  const settled = !unsure && row.settleAt !== null && row.settleAt <= work.lease.now;
  const { shared, reference } = outcome;
  const { sweepEveryMs } = runtime.settings;
  await setPlaceSeen(tx, row.id, { shared, settled, finished, reference, sweepEveryMs });
  if (unsure) await unsettle(tx, row.id, runtime.settings.settleMs);
}

/** What was left out since its branch is held is due when the hold ends. A moment later, so that it has ended. */
function againAfterHold(outcome: Outcome, heldMs: number): Outcome {
  if (heldMs === 0 || outcome.kind === "failed") return outcome;
  const dueInMs = Math.min(outcome.dueInMs ?? Number.POSITIVE_INFINITY, heldMs + 10);
  return { kind: "done", dueInMs };
}

/** Written or found right, or left as it is because the rule says so. */
const doneIn = (outcome: PushOutcome): string[] =>
  [...outcome.bindings].flatMap(([id, what]) =>
    what.kind === "done" || what.kind === "drifted" ? [id] : [],
  );

/** Found and written over. What is merely seen again, because something else failed, counts once. */
const repairedDrift = ({ plan, applied }: PushOutcome): PushOutcome["plan"]["drift"] =>
  plan.drift.filter(({ name }) => applied.some(({ change }) => change.name === name));

async function recordNames(
  tx: Db,
  { row: { id: placeId }, adapter: { traits } }: PushContext,
  { ledger, bindings, force }: PushInput,
  outcome: PushOutcome,
): Promise<void> {
  const holding = (bindingId: string, name: string) => holdingOf(bindings, bindingId, name, traits);
  const held: Held[] = [];
  for (const { bindingId, change, result } of outcome.applied) {
    if (result.error !== null) {
      // Surely never made: should the name appear, it is somebody else's.
      const made = result.unsettled || ledger.some(({ name }) => name === change.name);
      if (!made) await forgetNames(tx, placeId, [change.name], bindingId);
    } else if (change.op === "delete") {
      await forgetNames(tx, placeId, [change.name], bindingId);
    } else {
      const { name, fingerprint } = change;
      held.push({ name, fingerprint, version: result.version, holds: holding(bindingId, name) });
    }
  }
  for (const { name, fingerprint, version } of outcome.plan.equal) {
    const owner = bindings.find(({ rule }) => textOf(rule, name, traits) !== undefined)?.id ?? "";
    held.push({ name, fingerprint, version, holds: holding(owner, name) });
  }
  await settleNames(tx, placeId, held);
  await forgetNames(tx, placeId, outcome.plan.forget);
  await countDrift(
    tx,
    placeId,
    repairedDrift(outcome).map((drift) => drift.name),
  );
  // What could not be written again this time is written when it can be, and holds up nobody's settling.
  if (force) await doubtNames(tx, placeId, doneIn(outcome));
}

type Spelling = Pick<Traits, "normaliseName">;

/** What a rule writes under a name as the vendor spells it. */
const textOf = ({ variables }: Pick<Rule, "variables">, name: string, traits: Spelling): string | undefined =>
  Object.entries(variables).find(([key]) => traits.normaliseName(key) === name)?.[1];

/** Which generation of which login is in a name; null: what is there is no secret. */
function holdingOf(
  bindings: PushInput["bindings"],
  bindingId: string,
  name: string,
  traits: Spelling,
): Holding | null {
  const binding = bindings.find(({ id }) => id === bindingId);
  const text = binding === undefined ? undefined : textOf(binding.rule, name, traits);
  const expression = text === undefined ? null : parseVariable(text);
  if (expression?.kind !== "login" || !expression.form.secret) return null;
  const login = binding?.logins.find(({ alias }) => alias === expression.alias);
  return login?.generation === undefined ? null : { loginId: login.id, generation: login.generation };
}

async function recordBindings(context: PushContext, tx: Db, outcome: PushOutcome): Promise<void> {
  const { loaded, row } = context;
  const here = [...outcome.bindings].flatMap(([id, what]) => {
    const entry = loaded.get(id);
    // How it fares is told by the place where it lives, not by one that it has left.
    return entry === undefined || livesElsewhere(entry.binding, row.id) ? [] : [{ entry, what }];
  });
  const arrived = here.filter(
    ({ entry: { binding }, what }) =>
      what.kind === "done" && !what.removed && binding.wanted > binding.applied,
  );
  const homes = arrived.map(({ entry }) => ({ bindingId: entry.binding.id, placeId: row.id }));
  const [left] = await answered([
    formerPlaces(tx, homes),
    ...here.map(async ({ entry, what }) => await recordBinding(context, tx, entry, what)),
  ]);
  // What it left behind elsewhere may go now.
  await markDue(tx, "place", left);
}

async function recordBinding(
  context: PushContext,
  tx: Db,
  entry: BindingWithAll,
  what: BindingOutcome,
): Promise<void> {
  const { binding, rule } = entry;
  if (what.kind === "failed") {
    const { error } = what;
    const { state } = verdict(error, context.row);
    const reason = { code: error.code, cause: error.message, next: nextFor(error) };
    await setOutcome(tx, [binding.id], state, reason);
  } else if (what.kind === "drifted") {
    await reportDrift(context, tx, entry, what.drift);
  } else if (what.kind === "done" && what.removed) {
    if (binding.leaving) await recordApplied(tx, binding.id, binding.wanted, "removed");
  } else if (what.kind === "done") {
    const state = rule.orphanedAt === null ? "synced" : "orphaned";
    await recordApplied(tx, binding.id, binding.wanted, state, what.warning);
  }
}

export const livesElsewhere = (
  binding: Pick<BindingWithAll["binding"], "leaving" | "placeId">,
  placeId: string,
): boolean => !binding.leaving && binding.placeId !== placeId;

/** Told once, however often it is seen. */
async function reportDrift(
  { destination, row }: PushContext,
  tx: Db,
  { binding }: BindingWithAll,
  drift: readonly Drift[],
): Promise<void> {
  const what = drift.map(({ name, kind }) => `"${name}" was ${kind}`).join(", ");
  const cause = `${what} by somebody else, and the rule only reports that`;
  const next = "Push the binding by hand to write it again; a new desired value is written by itself.";
  await setOutcome(tx, [binding.id], "drifted", { code: "policy", cause, next });
  if (binding.state === "drifted" && binding.cause === cause) return;
  for (const { name, kind } of drift) {
    const subject = { destination: destination.name, place: row.key, name };
    await recordEvent(tx, { origin: "push", kind: `drift.${kind}`, subject, outcome: "processed" });
  }
}

/**
 * The login moved on between reconcile and push: look at the branch again. Only a hint, so outside, and without it the
 * push that is still owed asks for it once more.
 */
async function reconcileSuperseded({ loaded, runtime }: PushContext, outcome: PushOutcome): Promise<void> {
  const branches = [...outcome.bindings].flatMap(([id, what]) =>
    what.kind === "superseded" ? (loaded.get(id)?.branch.id ?? []) : [],
  );
  await markDue(runtime.database.db, "branch", [...new Set(branches)]).catch((error: unknown) =>
    runtime.log.warn({ err: asSyncError(error) }, "a branch that moved on was not made due"),
  );
}

/** Reconcile decides, and wakes the place; should it find everything as it was, the push is still owed. */
const SUPERSEDED = new SyncError("conflict", "what is to be pushed moved on meanwhile", {
  retryAfterMs: 500,
});

/** When to come back: the soonest that any binding, or a write that has to settle, asks for. */
function conclude({ row, runtime, work }: PushContext, outcome: PushOutcome, unsure: boolean): Outcome {
  const errors = [...outcome.bindings.values()].flatMap((what) =>
    what.kind === "failed" ? [what.error] : what.kind === "superseded" ? [SUPERSEDED] : [],
  );
  const soonest = errors
    .map((error) => ({ error, dueInMs: verdict(error, row).dueInMs }))
    .sort((a, b) => a.dueInMs - b.dueInMs)[0];
  if (soonest !== undefined) return { kind: "failed", error: soonest.error };
  if (unsure) return { kind: "done", dueInMs: runtime.settings.settleMs };
  const settleIn = row.settleAt === null ? null : row.settleAt.getTime() - work.lease.now.getTime();
  return { kind: "done", dueInMs: settleIn !== null && settleIn > 0 ? settleIn : null };
}

/** The place as a whole could not be pushed: every binding that was due says why, and if it is parked all that have names there. */
export async function recordFailure(
  context: PushContext,
  input: PushInput,
  thrown: unknown,
): Promise<Outcome> {
  const error = asSyncError(thrown);
  const { state } = verdict(error, context.row);
  const stands = state === "parked" && !JUDGED_HERE.has(error.code);
  const owners = new Set(input.ledger.map(({ bindingId }) => bindingId));
  const due = input.bindings.filter(
    ({ id, leaving, wanted, applied }) =>
      leaving !== "moved" &&
      // Of what stands still nobody knows any more whether it is in step.
      (wanted > applied || leaving !== "no" || (stands && owners.has(id))),
  );
  const bindings = due.map(({ id }) => id);
  const reason = { code: error.code, cause: error.message, next: nextFor(error) };
  const history = historyOf(context, null, { error, bindings });
  const outcome = await context.work.finish({ kind: "failed", error }, async (tx) => {
    await answered([setOutcome(tx, bindings, state, reason), writeHistory(context, tx, history)]);
  });
  countPush(context, history);
  return outcome;
}
