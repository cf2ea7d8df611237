/** Brings one place to what its bindings want, and writes down what became of it. */
import {
  type BindingWithAll,
  bindingsAtPlace,
  holdBindings,
  setOutcome,
  setState,
} from "../services/store/binding.ts";
import { answered, type Db } from "../services/store/db.ts";
import { claimNames } from "../services/store/ledger.ts";
import type { PlaceFacts } from "../services/store/loading.ts";
import { recordProof } from "../services/store/login.ts";
import { openIntent, unsettle } from "../services/store/place.ts";
import { asSyncError, SyncError } from "../services/sync/errors.ts";
import type { LoginMaterial } from "../services/sync/model.ts";
import { revivesOurs } from "../services/sync/ownership.ts";
import type { Change, Claim, Mark, Observation, Source } from "../services/sync/ports.ts";
import { type PushOutcome, type PushPorts, push, type StepName } from "../services/sync/push.ts";
import { doubtAccount, proveAccount } from "./account.ts";
import { loadPush } from "./load.ts";
import { openProof } from "./proofs.ts";
import { announceReads, openShared } from "./reads.ts";
import { livesElsewhere, type PushContext, recordFailure, recordOutcome } from "./record.ts";
import { afterDeaths, LostLease, type Outcome, runWork, type Work } from "./run.ts";
import { type Counted, openDestination, type Runtime } from "./runtime.ts";

/** Told when a push reaches a step; tests stop the process there. */
export type OnStep = (step: StepName | "record", place: string) => void;

export async function pushPlace(
  runtime: Runtime,
  id: string,
  stopping: AbortSignal,
  onStep: OnStep = () => {},
): Promise<boolean> {
  return await runWork(
    runtime,
    "place",
    id,
    stopping,
    async (work, found) => await bring(runtime, found, work, onStep),
    async (work, error) => await park(id, work, error),
  );
}

async function bring(runtime: Runtime, found: PlaceFacts, work: Work, onStep: OnStep): Promise<Outcome> {
  const loaded = loadPush(runtime, found, work.lease);
  if (loaded === null) return { kind: "done", dueInMs: null };
  const { row, destination, adapter, input } = loaded;
  const trace = startTrace(row.key, onStep);
  const counted: Counted = { calls: 0 };
  const { roles } = loaded;
  const staying = input.bindings.filter(({ leaving }) => leaving === "no");
  const coming = announceReads(
    runtime,
    staying.map(({ sourceId, branch: { neonId } }) => ({ sourceId, neonId })),
  );
  const context = {
    runtime,
    row,
    work,
    destination,
    adapter,
    loaded: loaded.bindings,
    roles,
    coming,
    trace,
    counted,
  };
  try {
    const ports = openPorts(context);
    const outcome = await push(input, ports);
    doubtAccount(destination, errorsIn(outcome));
    trace.step("record");
    return await recordOutcome(context, input, outcome, loaded.heldMs);
  } catch (thrown) {
    if (thrown instanceof LostLease) return await lost(context, thrown);
    doubtAccount(destination, [asSyncError(thrown)]);
    return await recordFailure(context, input, thrown);
  } finally {
    coming.leave();
  }
}

/** Somebody else is at it by now. What we wrote, if anything, they are to write over once more. */
async function lost({ runtime, row, trace }: PushContext, error: LostLease): Promise<never> {
  if (trace.reached("apply")) await unsettle(runtime.database.db, row.id, runtime.settings.settleMs);
  throw error;
}

/** The work here has killed too many: whoever waits for it says why it does not come. */
async function park(id: string, work: Work, error: SyncError): Promise<void> {
  await work.record(async (tx) => {
    const here = await bindingsAtPlace(tx, id);
    const waiting = here.filter(({ binding }) => binding.leaving || binding.wanted > binding.applied);
    for (const { binding, rule, branch } of waiting) {
      // What leaves is told nothing any more.
      const next = afterDeaths(binding.leaving ? null : `${rule.name}/${branch.name}`);
      await setOutcome(tx, [binding.id], "parked", { code: error.code, cause: error.message, next });
    }
  });
}

const errorsIn = ({ applied, bindings }: PushOutcome): SyncError[] => [
  ...applied.flatMap(({ result }) => result.error ?? []),
  ...[...bindings.values()].flatMap((what) => (what.kind === "failed" ? [what.error] : [])),
];

function openPorts(context: PushContext): PushPorts {
  const { runtime, row, work, loaded, trace } = context;
  const { db } = runtime.database;
  const sharing = { always: context.roles, coming: context.coming };
  const { counted } = context;
  const destination = openDestination(runtime, context.destination, work.signal, {
    counted,
    onTurn: work.stillHeld,
  });
  const sources = new Map<string, Source>();
  const sourceRow = (id: string) => {
    const entry = [...loaded.values()].find((all) => all.source.id === id);
    if (entry === undefined) throw new Error("a binding without its source");
    return entry.source;
  };
  return {
    destination,
    check: async () => await proveAccount(runtime, context.destination, () => destination.check(row.target)),
    fingerprint: runtime.fingerprint,
    source: (id) => {
      const opened = sources.get(id) ?? openShared(runtime, sourceRow(id), work.signal, sharing);
      sources.set(id, opened);
      return opened;
    },
    prove: async (sourceId: string, login: LoginMaterial) =>
      await openProof(runtime, sourceRow(sourceId), work.signal)(login),
    recordProof: async (login) => await recordProof(db, login.id, login.fingerprint),
    claim: async (changes, observation) =>
      await work.record(async (tx) => ({ ...(await claim(context, tx, changes, observation)), observation })),
    step: (name) => {
      // By then everybody has read who is going to.
      if (name === "plan") context.coming.leave();
      trace.step(name);
    },
  };
}

/**
 * Throws `conflict` if what is about to be written has been overtaken since it was loaded: somebody has
 * suspended writes, or told a binding to leave, or passed its names on.
 */
async function claim(
  { runtime, row, work, destination, loaded }: PushContext,
  tx: Db,
  changes: readonly { bindingId: string; change: Change }[],
  observation: Observation,
): Promise<Omit<Claim, "observation">> {
  const ids = [...new Set(changes.map(({ bindingId }) => bindingId))];
  const asLoaded = ids.flatMap((id) => loaded.get(id)?.binding ?? []);
  const revived = revivesOurs({ installation: runtime.installation, observation });
  const names = changes.map(({ bindingId, change }) => ({
    bindingId,
    name: change.name,
    fingerprint: change.op === "put" ? change.fingerprint : (change.observed?.fingerprint ?? null),
    seen: change.observed !== null || revived,
    gone: change.op === "put" && change.observed === null && !change.owned && !revived,
    deleting: change.op === "delete",
  }));
  const atHome = asLoaded.filter((binding) => !livesElsewhere(binding, row.id)).map(({ id }) => id);
  const [held, { intent, token }] = await answered([
    holdBindings(tx, asLoaded, destination.id),
    openIntent(tx, row.id, desired(runtime, changes)),
    claimNames(tx, row.id, names, work.lease.now),
    setState(tx, atHome, "pushing"),
  ]);
  if (!held) throw new SyncError("conflict", "what was to be written has changed meanwhile");
  return { intent, token, mark: markOf(runtime, loaded, ids[0]) };
}

/** Who made it, for the vendor's own records. Written once, by the binding that comes first. */
function markOf(runtime: Runtime, loaded: ReadonlyMap<string, BindingWithAll>, bindingId = ""): Mark {
  const entry = loaded.get(bindingId);
  return {
    installation: runtime.installation,
    rule: entry?.rule.name ?? "",
    branch: entry?.branch.neonId ?? "",
  };
}

/** What the vendor is to hold after this push, as one fingerprint. */
function desired(runtime: Runtime, changes: readonly { change: Change }[]): string {
  const parts = changes.map(({ change }) =>
    change.op === "put" ? `${change.name}=${change.fingerprint}` : `${change.name}!`,
  );
  return runtime.fingerprint("inputs", ...parts.sort());
}

export interface Trace {
  readonly startedAt: Date;
  readonly step: (name: StepName | "record") => void;
  reached(name: StepName): boolean;
  /** Milliseconds per step, from its beginning to the next one's. */
  steps(): Record<string, number>;
}

function startTrace(place: string, onStep: OnStep): Trace {
  const marks: [string, number][] = [];
  return {
    startedAt: new Date(),
    step: (name) => {
      marks.push([name, performance.now()]);
      onStep(name, place);
    },
    reached: (name) => marks.some(([mark]) => mark === name),
    steps: () => {
      const total: Record<string, number> = {};
      const end = performance.now();
      marks.forEach(([name, from], index) => {
        const to = marks[index + 1]?.[1] ?? end;
        total[name] = Math.round(((total[name] ?? 0) + to - from) * 10) / 10;
      });
      return total;
    },
  };
}
