/** Brings one place to what its bindings want, and writes down what became of it. */
import { type BindingWithAll, setState } from "../services/store/binding.ts";
import { claimNames } from "../services/store/ledger.ts";
import { recordProof } from "../services/store/login.ts";
import { openIntent, type PlaceRow } from "../services/store/place.ts";
import type { LoginMaterial } from "../services/sync/model.ts";
import type { Change, Mark, Source } from "../services/sync/ports.ts";
import { type PushPorts, push, type StepName } from "../services/sync/push.ts";
import { loadPush } from "./load.ts";
import { recordFailure, recordOutcome } from "./record.ts";
import { LostLease, type Outcome, runWork, type Work } from "./run.ts";
import { type Counted, openDestination, openProof, openSource, type Runtime } from "./runtime.ts";

/** Told when a push reaches a step; tests stop the process there. */
export type OnStep = (step: StepName | "record", place: string) => void;

export async function pushPlace(
  runtime: Runtime,
  id: string,
  stopping: AbortSignal,
  onStep: OnStep = () => {},
): Promise<void> {
  await runWork(runtime, "place", id, stopping, async (work) => await bring(runtime, id, work, onStep));
}

async function bring(runtime: Runtime, id: string, work: Work, onStep: OnStep): Promise<Outcome> {
  const loaded = await loadPush(runtime, id, work.lease);
  if (loaded === null) return { kind: "done", dueInMs: null };
  const { row, destination, adapter, input } = loaded;
  const trace = startTrace(row.key, onStep);
  const counted: Counted = { calls: 0 };
  const opened = openDestination(runtime, destination, work.signal, counted);
  const ports = openPorts(runtime, row, work, loaded.bindings, trace, opened);
  const context = { runtime, row, work, destination, adapter, loaded: loaded.bindings, trace, counted };
  try {
    const outcome = await push(input, ports);
    trace.step("record");
    return await recordOutcome(context, input, outcome);
  } catch (thrown) {
    if (thrown instanceof LostLease) throw thrown;
    return await recordFailure(context, input, thrown);
  }
}

function openPorts(
  runtime: Runtime,
  row: PlaceRow,
  work: Work,
  loaded: ReadonlyMap<string, BindingWithAll>,
  trace: Trace,
  destination: PushPorts["destination"],
): PushPorts {
  const { db } = runtime.database;
  const sources = new Map<string, Source>();
  const sourceRow = (id: string) => {
    const entry = [...loaded.values()].find((all) => all.source.id === id);
    if (entry === undefined) throw new Error("a binding without its source");
    return entry.source;
  };
  return {
    destination,
    fingerprint: runtime.fingerprint,
    source: (id) => {
      const opened = sources.get(id) ?? openSource(runtime, sourceRow(id), work.signal);
      sources.set(id, opened);
      return opened;
    },
    prove: async (sourceId: string, login: LoginMaterial) =>
      await openProof(runtime, sourceRow(sourceId), work.signal)(login),
    recordProof: async (login) => await recordProof(db, login.id, login.fingerprint),
    claim: async (changes, observation) =>
      await work.record(async (tx) => {
        const names = changes.map(({ bindingId, change }) => ({
          bindingId,
          name: change.name,
          fingerprint: change.op === "put" ? change.fingerprint : null,
        }));
        await claimNames(tx, row.id, names);
        await setState(tx, [...new Set(names.map((name) => name.bindingId))], "pushing");
        const { intent, token } = await openIntent(tx, row.id, desired(runtime, changes));
        return { intent, token, mark: markOf(runtime, loaded, names[0]?.bindingId), observation };
      }),
    step: trace.step,
  };
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
