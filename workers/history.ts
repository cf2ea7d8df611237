/** The history of a push: what it did, how long each step took, and what led to it. */
import { answered, type Db } from "../services/store/db.ts";
import { forgetCauses, type PlaceRow } from "../services/store/place.ts";
import { type PushResult, recordPush } from "../services/store/push.ts";
import type { Code, SyncError } from "../services/sync/errors.ts";
import { nextFor, type Tried, verdict } from "../services/sync/outcome.ts";
import type { BindingOutcome, PushOutcome } from "../services/sync/push.ts";
import type { PushContext } from "./record.ts";

/** What became of one binding, in the words of its states. */
function resultOf(what: BindingOutcome, before: Tried): PushResult {
  const nothing = { code: null, cause: null, next: null };
  if (what.kind === "done") return { outcome: what.removed ? "removed" : "synced", ...nothing };
  if (what.kind !== "failed") return { outcome: what.kind, ...nothing };
  const { error } = what;
  return {
    outcome: verdict(error, before).state,
    code: error.code,
    cause: error.message,
    next: nextFor(error),
  };
}

/** Of bindings that have all they want nothing led here. */
const causesOf = ({ causes }: PlaceRow, loaded: PushContext["loaded"]): string[] => [
  ...causes,
  ...[...loaded.values()].flatMap(({ binding }) => (binding.wanted > binding.applied ? binding.causes : [])),
];

export type History = Parameters<typeof recordPush>[1] & { readonly code: Code | null };

/** `failure`: the place as a whole could not be pushed. */
export function historyOf(
  { row, work, trace, counted, loaded }: PushContext,
  outcome: PushOutcome | null,
  failure?: { readonly error: SyncError; readonly bindings: readonly string[] },
): History {
  const applied = outcome?.applied.filter(({ result }) => result.error === null) ?? [];
  const written = applied.filter(({ change }) => change.op === "put").length;
  const errors = [...(outcome?.bindings.values() ?? [])].flatMap((b) =>
    b.kind === "failed" ? [b.error] : [],
  );
  const error = failure?.error ?? errors[0] ?? null;
  const superseded = [...(outcome?.bindings.values() ?? [])].some(({ kind }) => kind === "superseded");
  const well = superseded ? "superseded" : applied.length > 0 ? "synced" : "unchanged";
  const word = error !== null ? verdict(error, row).state : well;
  return {
    causes: causesOf(row, loaded),
    placeId: row.id,
    epoch: work.lease.epoch,
    startedAt: trace.startedAt,
    outcome: word,
    code: error?.code ?? null,
    cause: error?.message ?? null,
    next: error === null ? null : nextFor(error),
    written,
    deleted: applied.length - written,
    calls: counted.calls,
    steps: trace.steps(),
    bindings: [...(outcome?.bindings.keys() ?? failure?.bindings ?? [])],
    results: Object.fromEntries(
      [...(outcome?.bindings ?? [])].map(([id, what]) => [id, resultOf(what, row)]),
    ),
  };
}

export async function writeHistory({ row }: PushContext, tx: Db, history: History): Promise<void> {
  await answered([forgetCauses(tx, row.id, row.causes), recordPush(tx, history)]);
}

/** Once it is written down: what is lost with its lease is somebody else's push. */
export function countPush({ runtime, trace, destination }: PushContext, { outcome, code }: History): void {
  const seconds = (Date.now() - trace.startedAt.getTime()) / 1000;
  runtime.metrics.pushed({ destination: destination.name, outcome, code, seconds });
}
