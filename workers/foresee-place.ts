/** What applying would do at one place: decided by the very code that a push runs, up to the first write. */
import type { BindingRow } from "../services/store/binding.ts";
import type { PlaceRow } from "../services/store/place.ts";
import type { Snapshot } from "../services/store/snapshot.ts";
import type { Judged, PlanWarning } from "../services/sync/document-plan.ts";
import { asSyncError, SyncError } from "../services/sync/errors.ts";
import { gate } from "../services/sync/gate.ts";
import type { LedgerEntry } from "../services/sync/model.ts";
import type { Destination } from "../services/sync/ports.ts";
import { prepare } from "../services/sync/prepare.ts";
import { type Decision, decide, type PushBinding, type PushInput } from "../services/sync/push.ts";
import type { Intent } from "./foresee-intent.ts";
import {
  blindDeletes,
  judge,
  linesOf,
  notSeen,
  refused,
  stays,
  UNCHECKED,
  unwritable,
} from "./foresee-lines.ts";
import type { Reads } from "./foresee-reads.ts";
import type { KnownDestination } from "./foresee-scope.ts";
import type { Runtime } from "./runtime.ts";

/** A place with all that live there, or leave it. */
export interface Scene {
  readonly destination: KnownDestination;
  readonly key: string;
  readonly target: unknown;
  readonly row: PlaceRow | null;
  /** False: the destination leads to another account by now, and nothing can be taken away here any more. */
  readonly reachable: boolean;
  readonly homes: readonly Intent[];
  /** They own names here and live elsewhere, or nowhere, from now on. */
  readonly leavers: readonly Intent[];
}

export interface Foreseen {
  readonly judged: readonly Judged[];
  readonly warnings: readonly PlanWarning[];
  /** How full it will be, where the vendor counts names over several places. */
  readonly filling: { readonly used: number; readonly fresh: number; readonly room: number } | null;
}

export interface PlaceContext {
  readonly runtime: Runtime;
  readonly snapshot: Snapshot;
  readonly reads: Reads;
  /** Null: it must not be contacted. */
  readonly open: Destination | null;
}

export async function foreseePlace(context: PlaceContext, scene: Scene): Promise<Foreseen> {
  const ledger = passOn(context.snapshot, scene);
  const staying = stays(scene, ledger);
  const { open } = context;
  const unseen = scene.homes.filter(
    ({ due, entry, row }) => due && !suspended(row) && (open === null || entry.source.standing !== "same"),
  );
  const unchecked = await Promise.all(unseen.map(async (intent) => await gated(context, scene, intent)));
  const judged = [...staying, ...unchecked.flatMap((one) => one.judged)];
  const warnings = unchecked.flatMap((one) => one.warnings);
  if (open === null) return { judged: [...judged, ...blindDeletes(scene, ledger)], warnings, filling: null };
  const input = await inputOf(context, scene, ledger, unseen);
  if (input.bindings.length === 0) return { judged, warnings, filling: null };
  const decided = await decide(input, portsOf(context, scene, open)).catch(asSyncError);
  if (decided instanceof SyncError)
    return { judged: [...judged, ...notSeen(scene, input, decided)], warnings, filling: null };
  const told = around(scene, input, decided);
  const missing = await foretold(open, scene, decided);
  const lines =
    missing === null ? linesOf(scene, input, decided) : unwritable(scene, input, decided, missing);
  return {
    judged: [...judged, ...lines],
    warnings: [...warnings, ...told.warnings],
    filling: told.filling,
  };
}

/** Some vendors tell only by other ways than `check` that they would not take a new name. */
async function foretold(open: Destination, { target }: Scene, { plan }: Decision): Promise<SyncError | null> {
  const creates = plan.changes.some(
    ({ change }) => change.op === "put" && change.observed === null && !change.owned,
  );
  if (!creates || open.foretell === undefined) return null;
  const thrown = await open.foretell(target).then(() => null, asSyncError);
  return thrown?.code === "target_missing" ? thrown : null;
}

/** Nobody at the destination is needed for the gate: what it refuses is refused already here. */
async function gated(
  context: PlaceContext,
  scene: Scene,
  intent: Intent,
): Promise<Omit<Foreseen, "filling">> {
  const { entry } = intent;
  const known = entry.source.standing === "same";
  const why = known ? `the destination is ${scene.destination.standing}` : "its source has changed";
  const reason = `${intent.why}; ${UNCHECKED} (${why})`;
  const names = Object.keys(entry.rule.variables);
  const lines = names.map((name) => judge(scene, intent, { name, action: "unchecked", reason }));
  if (!known) {
    const refusal = refusedByName(scene, intent);
    return { judged: refusal === null ? lines : [refused(scene, intent, refusal)], warnings: [] };
  }
  const input = await inputOf(context, { ...scene, homes: [intent], leavers: [] }, [], []);
  const outcomes: Decision["outcomes"] = new Map();
  const prepared = await prepare(input, portsOf(context, scene, nobody), input.bindings, outcomes);
  const outcome = outcomes.get(intent.id);
  if (outcome?.kind === "failed") return { judged: [refused(scene, intent, outcome.error)], warnings: [] };
  return { judged: lines, warnings: inherited(scene, prepared) };
}

/** Where Neon must not be asked either: whether the branch is production is known all the same. */
function refusedByName({ destination, target }: Scene, { entry, branch }: Intent): SyncError | null {
  const { refusal } = gate({
    rule: entry.rule,
    branch: { branch: branch.name, isDefault: branch.isDefault, isProtected: branch.isProtected },
    exposure: destination.adapter.exposure(target) ?? entry.rule.exposure ?? "development",
    inherited: [],
    unread: [],
  });
  return refusal === null ? null : new SyncError(refusal.code, refusal.cause, { next: refusal.next });
}

const never = async (): Promise<never> => {
  throw new SyncError("internal", "a destination that must not be contacted");
};
const nobody: Destination = { check: never, observe: never, apply: never };

function portsOf({ runtime, reads }: PlaceContext, scene: Scene, destination: Destination) {
  return {
    destination,
    check: async () => await destination.check(scene.target),
    fingerprint: runtime.fingerprint,
    source: (id: string) => {
      const known = scene.homes.find(({ branch }) => branch.sourceId === id)?.entry.source;
      if (known === undefined) throw new Error("a binding without its source");
      return reads.source(known);
    },
    // Whether a login works is found out before it is published, not before it is planned.
    prove: async () => {},
    recordProof: async () => {},
  };
}

// ---------------------------------------------------------------- what goes in

/** The ledger after names have passed to whom they will pass: as in the store when branches are reconciled. */
function passOn(snapshot: Snapshot, { row, homes, destination }: Scene): LedgerEntry[] {
  const { traits } = destination.adapter;
  const ofPlace = row === null ? [] : snapshot.ledger.filter(({ placeId }) => placeId === row.id);
  return ofPlace.map((entry) => {
    const heir = homes.find(
      ({ id, entry: of }) =>
        id !== entry.bindingId &&
        (of.row === null || of.row.orphanedAt === null) &&
        of.action !== "orphan" &&
        Object.keys(of.rule.variables).some((name) => traits.normaliseName(name) === entry.name),
    );
    const lets = heir !== undefined && letsGo(snapshot, homes, entry.bindingId);
    return lets ? { ...entry, bindingId: heir.id } : entry;
  });
}

/** Its owner lives elsewhere or nowhere, or its rule left. */
function letsGo(snapshot: Snapshot, homes: readonly Intent[], owner: string): boolean {
  const home = homes.find(({ id }) => id === owner);
  if (home !== undefined) return home.entry.action === "orphan" || home.entry.action === "orphaned";
  const row = snapshot.bindings.find(({ id }) => id === owner);
  return row?.suspendedAt == null || row.leaving || row.state === "removed" || row.state === "retained";
}

async function inputOf(
  context: PlaceContext,
  scene: Scene,
  ledger: readonly LedgerEntry[],
  unasked: readonly Intent[],
): Promise<PushInput> {
  const { adapter } = scene.destination;
  const homes = scene.homes.filter((intent) => !unasked.includes(intent) && !suspended(intent.row));
  const goers = scene.leavers.filter(
    (intent) => scene.reachable && intent.takesAway && !suspended(intent.row) && owns(ledger, intent),
  );
  return {
    installation: context.runtime.installation,
    traits: adapter.traits,
    target: scene.target,
    ledger,
    bindings: [
      ...(await Promise.all(homes.map(async (intent) => await homeBinding(context, scene, intent)))),
      ...goers.map((intent) => leavingBinding(scene, intent)),
    ],
    shared: scene.row?.shared ?? false,
    force: false,
  };
}

const suspended = (row: BindingRow | null): boolean => row?.suspendedAt != null;
const owns = (ledger: readonly LedgerEntry[], { id }: Intent): boolean =>
  ledger.some(({ bindingId }) => bindingId === id);

async function homeBinding({ reads }: PlaceContext, scene: Scene, intent: Intent): Promise<PushBinding> {
  const { due, row } = intent;
  const logins = due ? await reads.logins(intent) : [];
  const production = due ? await reads.production(intent) : { inherited: [], unread: [] };
  const applied = row?.applied ?? 0;
  return {
    ...common(scene, intent),
    wanted: due ? applied + 1 : applied,
    applied,
    leaving: "no",
    reported: !due && row?.state === "drifted",
    troubled: false,
    ...production,
    logins,
  };
}

function leavingBinding(scene: Scene, intent: Intent): PushBinding {
  const leaving = intent.home === null ? "not-meant" : "moved";
  const nothing = {
    wanted: 1,
    applied: 0,
    reported: false,
    troubled: false,
    inherited: [],
    unread: [],
    logins: [],
  };
  return { ...common(scene, intent), ...nothing, leaving };
}

function common({ destination, target }: Scene, { id, entry, branch, row }: Intent) {
  return {
    id,
    rule: entry.rule,
    inputs: null,
    production: [], // has been asked for the whole plan
    handed: row?.adopt ?? null,
    exposure: destination.adapter.exposure(target) ?? entry.rule.exposure ?? ("development" as const),
    sourceId: branch.sourceId,
    branch: {
      id: branch.id,
      neonId: branch.neonId,
      name: branch.name,
      isDefault: branch.isDefault,
      isProtected: branch.isProtected,
    },
  };
}

function around(
  scene: Scene,
  input: PushInput,
  { plan, prepared, seen }: Decision,
): Pick<Foreseen, "warnings" | "filling"> {
  const full = plan.warnings.map((message) => ({
    rule: null,
    at: null,
    branch: null,
    code: "nearly_full",
    message: `${scene.key}: ${message}`,
    hint: "Make room at the vendor, or give names to fewer branches.",
  }));
  const fresh = plan.changes.filter(
    ({ change }) => change.op === "put" && change.observed === null && !change.owned,
  ).length;
  const room = seen.room ?? input.traits.limits.names;
  const used = seen.used?.names;
  const filling = room === null || used === undefined ? null : { used, fresh, room };
  return { warnings: [...inherited(scene, prepared), ...full], filling };
}

const inherited = (scene: Scene, prepared: Decision["prepared"]): PlanWarning[] =>
  prepared.flatMap(({ binding: { id, rule, branch }, warning }) => {
    if (warning === null) return [];
    const at = scene.homes.find((intent) => intent.id === id)?.entry.at ?? null;
    const code = "inherited_password";
    return [{ rule: rule.name, at, branch: branch.name, code, message: warning, hint: "" }];
  });
