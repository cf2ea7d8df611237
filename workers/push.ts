/** Brings one place to what its bindings want, and writes down what became of it. */
import { type BindingWithAll, bindingsAtPlace, setState } from "../services/store/binding.ts";
import { productionUnread } from "../services/store/branch.ts";
import { destinationById } from "../services/store/destination.ts";
import { installationRow } from "../services/store/installation.ts";
import { claimNames, ledgerOf, ownersAt } from "../services/store/ledger.ts";
import { loginsById, recordProof, sharedWithProduction } from "../services/store/login.ts";
import { openIntent, type PlaceRow, placeById, unsettle } from "../services/store/place.ts";
import type { LoginMaterial } from "../services/sync/model.ts";
import type { Change, DestinationAdapter, Mark, Source } from "../services/sync/ports.ts";
import {
  type PushBinding,
  type PushInput,
  type PushPorts,
  push,
  type StepName,
} from "../services/sync/push.ts";
import { recordFailure, recordOutcome } from "./record.ts";
import { LostLease, type Outcome, runWork, type Work } from "./run.ts";
import {
  type Counted,
  destinationAdapter,
  openDestination,
  openProof,
  openSource,
  type Runtime,
} from "./runtime.ts";

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
  const { db } = runtime.database;
  const found = await placeById(db, id);
  const destination = found && (await destinationById(db, found.destinationId));
  const installation = await installationRow(db);
  if (found === undefined || destination === undefined || destination.removedAt !== null) {
    return { kind: "done", dueInMs: null };
  }
  // Whoever resumes makes the places due again.
  if (installation.suspendedAt !== null || destination.suspendedAt !== null) {
    return { kind: "done", dueInMs: null };
  }
  const adapter = destinationAdapter(runtime, destination.kind);
  // Whoever held the lease before us may still have a request on its way.
  const row = work.lease.takeover ? await takenOver(runtime, found, adapter) : found;
  const here = await bindingsHere(runtime, row);
  const loaded = new Map(here.map((entry) => [entry.binding.id, entry]));
  const bindings = await Promise.all(here.map((entry) => pushBinding(runtime, row, entry)));
  const input: PushInput = {
    installation: runtime.installation,
    traits: adapter.traits,
    target: row.target,
    ledger: await ledgerOf(db, row.id),
    bindings: bindings.filter((binding) => binding !== null),
    shared: row.shared,
    force: row.settleAt !== null && row.settleAt <= work.lease.now,
  };
  const trace = startTrace(row.key, onStep);
  const counted: Counted = { calls: 0 };
  const opened = openDestination(runtime, destination, work.signal, counted);
  const ports = openPorts(runtime, row, work, loaded, trace, opened);
  const context = { runtime, row, work, destination, adapter, loaded, trace, counted };
  try {
    const outcome = await push(input, ports);
    trace.step("record");
    return await recordOutcome(context, input, outcome);
  } catch (thrown) {
    if (thrown instanceof LostLease) throw thrown;
    return await recordFailure(context, input, thrown);
  }
}

async function takenOver(runtime: Runtime, row: PlaceRow, adapter: DestinationAdapter): Promise<PlaceRow> {
  if (adapter.traits.compareAndSet) return row;
  await unsettle(runtime.database.db, row.id, runtime.settings.settleMs);
  return (await placeById(runtime.database.db, row.id)) ?? row;
}

/** The bindings that live here and those that have moved away and left names behind. */
async function bindingsHere(runtime: Runtime, row: PlaceRow): Promise<BindingWithAll[]> {
  const { db } = runtime.database;
  const all = await bindingsAtPlace(db, row.id, await ownersAt(db, row.id));
  return all.filter(({ binding }) => binding.suspendedAt === null);
}

async function pushBinding(
  runtime: Runtime,
  row: PlaceRow,
  all: BindingWithAll,
): Promise<PushBinding | null> {
  const { db } = runtime.database;
  const { binding, rule, branch } = all;
  const leaving = whyLeaving(row, all);
  if (leaving === "stays") return null;
  const rows = await loginsById(db, Object.values(binding.logins));
  const logins = Object.entries(binding.logins).flatMap(([alias, id]) => {
    const login = rows.find((candidate) => candidate.id === id);
    if (login === undefined) return [];
    const { role, database, fingerprint } = login;
    return [{ alias, id, role, database, fingerprint, proven: login.provenFingerprint === fingerprint }];
  });
  const passwords = rows.map((login) => login.passwordFingerprint);
  const adapter = destinationAdapter(runtime, all.destinationKind);
  return {
    id: binding.id,
    rule: rule.definition,
    wanted: binding.wanted,
    applied: binding.applied,
    leaving,
    exposure: adapter.exposure(row.target) ?? rule.definition.exposure ?? "development",
    sourceId: rule.sourceId,
    branch: {
      id: branch.id,
      neonId: branch.neonId,
      name: branch.name,
      isDefault: branch.isDefault,
      isProtected: branch.isProtected,
    },
    inherited: await sharedWithProduction(db, branch.id, branch.sourceId, passwords),
    unread: await productionUnread(db, branch.id, branch.sourceId),
    logins,
  };
}

/**
 * A move puts the new place first: what is left behind goes only when the binding has arrived, and only
 * if the rule wants names that are not needed any more to go.
 */
function whyLeaving(
  row: PlaceRow,
  { binding, rule, branch }: BindingWithAll,
): PushBinding["leaving"] | "stays" {
  if (binding.leaving) return branch.goneAt === null ? "moved" : "branch-gone";
  if (binding.state === "removed" || binding.state === "retained") return "stays";
  if (binding.placeId === row.id) return "no";
  const { policy, onBranchDelete } = rule.definition;
  const arrived = binding.applied >= binding.wanted;
  return arrived && (policy === "mirror" || onBranchDelete === "delete") ? "moved" : "stays";
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
        const names = changes.map(({ bindingId, change }) => ({ bindingId, name: change.name }));
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
