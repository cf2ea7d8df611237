/** What workers/record.ts does: how a push ended becomes the model's rows. */
import { SyncError } from "../../../services/sync/errors.ts";
import type { Reason } from "../../../services/sync/model.ts";
import { nextFor, verdict } from "../../../services/sync/outcome.ts";
import type { PushInput, PushOutcome } from "../../../services/sync/push.ts";
import { bindingsAt, whole } from "./load.ts";
import { type Job, type Outcome, SETTLE_MS } from "./sim.ts";
import type { BindingRow, PlaceRow } from "./state.ts";

/** What a place waits for when those who work on it keep dying. */
export function giveUp(job: Job, row: PlaceRow, error: SyncError): void {
  for (const binding of bindingsAt(job, row)) {
    if (binding.leaving || binding.wanted > binding.applied)
      job.sim.state.setOutcome(binding, "parked", reasonOf(error));
  }
}

export function unsettle({ sim }: Job, row: PlaceRow): void {
  if (sim.switches.noSettle) return;
  row.settleAt = Math.max(row.settleAt ?? 0, sim.clock.now + SETTLE_MS);
}

/** One transaction as the holder of the lease, and then how the run ends. */
export async function recordOutcome(
  job: Job,
  row: PlaceRow,
  loaded: Loaded,
  input: PushInput,
  outcome: PushOutcome,
): Promise<Outcome> {
  const { state, switches, checker, clock } = job.sim;
  const unsure = outcome.applied.some(({ result }) => result.unsettled);
  if (switches.claimAfterWrite) {
    await job.record(() => {
      const put = outcome.applied.flatMap(({ bindingId, change }) =>
        change.op === "put"
          ? [
              {
                bindingId: whole(bindingId),
                name: change.name,
                fingerprint: change.fingerprint,
                seen: false,
                gone: false,
                deleting: false,
              },
            ]
          : [],
      );
      state.claim(row, put, job.lease.now);
    });
  }
  const superseded: BindingRow[] = [];
  await job.record(() => {
    for (const { bindingId, change, result } of outcome.applied) {
      if (result.error !== null) {
        const made = result.unsettled || input.ledger.some(({ name }) => name === change.name);
        if (!made) state.forget(row, change.name, whole(bindingId));
        continue;
      }
      if (change.op === "delete") state.forget(row, change.name, whole(bindingId));
      else state.recordName(row, change.name, { fingerprint: change.fingerprint, version: result.version });
    }
    for (const { name, fingerprint: seen, version } of outcome.plan.equal)
      state.recordName(row, name, { fingerprint: seen, version });
    for (const name of outcome.plan.forget) state.forget(row, name);
    for (const { name } of outcome.plan.drift) {
      if (outcome.applied.some(({ change }) => change.name === name)) state.countDrift(row, name);
    }
    const done = new Set<string>();
    for (const [id, what] of outcome.bindings) {
      const binding = state.bindings.find((one) => one.id === whole(id));
      const was = input.bindings.find((one) => one.id === id);
      if (binding === undefined || was === undefined) continue;
      if (what.kind === "done") done.add(binding.id);
      if (what.kind === "superseded") superseded.push(binding);
      if (what.kind === "failed") {
        state.setOutcome(binding, verdict(what.error, row, job.sim.random).state, reasonOf(what.error));
      } else if (what.kind === "done" && what.removed) {
        if (was.leaving !== "no" && binding.leaving) state.recordApplied(binding, was.wanted, "removed");
      } else if (what.kind === "done") {
        state.recordApplied(binding, was.wanted, "synced");
        checker.synced(binding);
      }
    }
    row.shared = outcome.shared;
    if (input.force) {
      for (const entry of state.names(row).values()) if (!done.has(entry.bindingId)) entry.confirmed = false;
    }
    const settles = loaded.settleAt !== null && loaded.settleAt <= job.lease.now;
    if (!unsure && settles && row.settleAt !== null && row.settleAt <= clock.now) row.settleAt = null;
    if (unsure) unsettle(job, row);
  });
  await job.process.pause(1);
  state.markDue([...new Set(superseded.map(({ branch }) => branch))]);
  return conclude(job, row, loaded, outcome, unsure);
}

/** The row as it was loaded: what others write to it meanwhile is not seen. */
export type Loaded = Pick<PlaceRow, "settleAt">;

const SUPERSEDED = new SyncError("conflict", "what is to be pushed moved on meanwhile", {
  retryAfterMs: 500,
});

function conclude(
  { sim, lease }: Job,
  row: PlaceRow,
  loaded: Loaded,
  outcome: PushOutcome,
  unsure: boolean,
): Outcome {
  const [soonest] = [...outcome.bindings.values()]
    .flatMap((what) =>
      what.kind === "failed" ? [what.error] : what.kind === "superseded" ? [SUPERSEDED] : [],
    )
    .map((error) => ({ error, dueInMs: verdict(error, row, sim.random).dueInMs }))
    .sort((a, b) => a.dueInMs - b.dueInMs);
  if (soonest !== undefined) return { error: soonest.error };
  if (unsure && !sim.switches.noSettle) return { dueInMs: SETTLE_MS };
  const settleIn = loaded.settleAt === null ? null : loaded.settleAt - lease.now;
  return { dueInMs: settleIn !== null && settleIn > 0 ? settleIn : null };
}

export async function recordFailure(
  job: Job,
  row: PlaceRow,
  input: PushInput,
  error: SyncError,
): Promise<Outcome> {
  const { state, random } = job.sim;
  const { state: word } = verdict(error, row, random);
  await job.record(() => {
    for (const { id, wanted, applied, leaving } of input.bindings) {
      const binding = state.bindings.find((one) => one.id === whole(id));
      if (binding !== undefined && (wanted > applied || leaving !== "no"))
        state.setOutcome(binding, word, reasonOf(error));
    }
  });
  return { error };
}

const reasonOf = (error: SyncError): Reason => ({
  code: error.code,
  cause: error.message,
  next: nextFor(error),
});
