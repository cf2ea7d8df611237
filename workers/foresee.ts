/**
 * What applying a document would do. Reads our own rows, Neon for sources that are as they were, and looks at
 * destinations that are as they were; nothing else is contacted, and nothing is written anywhere.
 */

import { digestOf } from "../services/store/configure.ts";
import type { DestinationRow } from "../services/store/destination.ts";
import { isKept, type Snapshot, takeSnapshot } from "../services/store/snapshot.ts";
import {
  type DocumentPlan,
  finishPlan,
  type Judged,
  type PlanPart,
  type PlanWarning,
} from "../services/sync/document-plan.ts";
import { asSyncError, SyncError } from "../services/sync/errors.ts";
import { nextFor } from "../services/sync/outcome.ts";
import type { Destination } from "../services/sync/ports.ts";
import { means } from "../services/sync/reconcile.ts";
import { type Intent, intents, plannedRules } from "./foresee-intent.ts";
import { UNCHECKED } from "./foresee-lines.ts";
import { onlyObserved } from "./foresee-observe.ts";
import { type Foreseen, foreseePlace, type Scene } from "./foresee-place.ts";
import { Reads } from "./foresee-reads.ts";
import { compareScope, type Entry, type KnownDestination, type Posted, type Scope } from "./foresee-scope.ts";
import { openDestination, type Runtime } from "./runtime.ts";

export interface ForeseeOptions {
  /** Rules that left are let go as well. */
  readonly prune: boolean;
  /** Of everything that the document says, also of what no plan looks at. */
  readonly digest: string;
  /** What is refused of the document itself: references that it may not name. */
  readonly refused: readonly PlanPart[];
  readonly warnings: readonly PlanWarning[];
  readonly signal: AbortSignal;
}

/** `version` is that of the state which the plan was made from: to be given to `configure`. */
export async function foresee(
  runtime: Runtime,
  posted: Posted,
  options: ForeseeOptions,
): Promise<{ readonly plan: DocumentPlan; readonly version: number }> {
  const now = new Date();
  const snapshot = await takeSnapshot(runtime.database.db);
  const scope = compareScope(snapshot, posted, runtime.destinations, options.prune);
  const all = intents(snapshot, scope, now);
  const reads = new Reads(runtime, snapshot, scope.entries, options.signal);
  const scenes = scenesOf(snapshot, scope, all);
  const foreseen = await atEach(runtime, snapshot, reads, scenes, options.signal);
  const judged = [
    ...scope.entries.flatMap(notYetKnown),
    ...all.flatMap(nowhere),
    ...all.flatMap(standing),
    ...foreseen.flatMap((one) => one.judged),
  ];
  const unseen = await appeared(scope, reads, now);
  const live = snapshot.bindings.filter(isKept);
  const leaving = all.filter(({ home }) => home === null).length;
  const plan = finishPlan({
    digest: digestOf([options.digest, options.prune, snapshot.version]),
    judged,
    parts: [...scope.parts, ...options.refused],
    rules: plannedRules(snapshot, scope, now),
    warnings: [
      ...options.warnings,
      ...foreseen.flatMap((one) => one.warnings),
      ...crowded(scenes, foreseen),
      ...unseen,
    ],
    owned: { names: snapshot.ledger.length, bindings: live.length },
    leaving: leaving + lost(snapshot, scope),
    moved: scope.moved,
    unseen: unseen.map(({ rule, branch }) => `${rule} ${branch}`),
  });
  return { plan, version: snapshot.version };
}

/** Bindings whose source leaves: nobody can tell any more what their branches are. */
function lost(snapshot: Snapshot, scope: Scope): number {
  const kept = new Set([...scope.sources.values()].map(({ row }) => row?.id));
  const branches = new Set(
    snapshot.branches.filter(({ sourceId }) => !kept.has(sourceId)).map(({ id }) => id),
  );
  return snapshot.bindings.filter((row) => isKept(row) && branches.has(row.branchId)).length;
}

// ---------------------------------------------------------------- places

/** Places with something to do; who is where it wants to be is only there beside the others. */
function scenesOf(snapshot: Snapshot, scope: Scope, all: readonly Intent[]): Scene[] {
  return [...scope.destinations.values()].flatMap((destination) => {
    const here = all.filter(({ entry }) => entry.destination === destination);
    const rows = snapshot.places.filter(({ destinationId }) => destinationId === destination.row?.id);
    const targets = new Map<string, unknown>(rows.map(({ key, target }) => [key, target]));
    for (const { home } of here)
      if (home !== null && !(home instanceof SyncError)) targets.set(home.key, home.target);
    return [...targets].flatMap(([key, target]) => {
      const row = rows.find((one) => one.key === key) ?? null;
      const owners = new Set(
        snapshot.ledger.filter(({ placeId }) => placeId === row?.id).map(({ bindingId }) => bindingId),
      );
      const homes = here.filter(({ home }) => homeKey(home) === key);
      const leavers = all.filter(
        (intent) => owners.has(intent.id) && !homes.includes(intent) && leaves(intent),
      );
      const reachable = destination.adapter.within?.(destination.block, target) !== false;
      const busy = leavers.length > 0 || homes.some(({ due }) => due);
      return busy ? [{ destination, key, target, row, reachable, homes, leavers }] : [];
    });
  });
}

const homeKey = (home: Intent["home"]): string | null =>
  home === null || home instanceof SyncError ? null : home.key;

/** Where it is to be cannot be said just now: that is no reason to leave. */
const leaves = ({ home }: Intent): boolean => !(home instanceof SyncError);

/** At once; enough for a listing to be shared, few enough for no vendor to mind. */
const AT_ONCE = 8;

async function atEach(
  runtime: Runtime,
  snapshot: Snapshot,
  reads: Reads,
  scenes: readonly Scene[],
  signal: AbortSignal,
): Promise<Foreseen[]> {
  const opened = new Map<string, Destination | null>();
  const openFor = (known: KnownDestination): Destination | null => {
    const { name, row, adapter, standing } = known;
    const targets = scenes.filter((scene) => scene.destination === known).map(({ target }) => target);
    const open =
      opened.get(name) ??
      (row === null || standing !== "same"
        ? null
        : onlyObserved(openOrSay(runtime, row, signal), adapter, targets));
    opened.set(name, open);
    return open;
  };
  const found: Foreseen[] = [];
  const waiting = [...scenes.entries()];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, scene] = next;
      const context = { runtime, snapshot, reads, open: openFor(scene.destination) };
      found[index] = await foreseePlace(context, scene);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return found;
}

/** A credential that is not there is told by whoever asks for something at the destination. */
function openOrSay(runtime: Runtime, row: DestinationRow, signal: AbortSignal): Destination {
  try {
    return openDestination(runtime, row, signal);
  } catch (thrown) {
    const say = async (): Promise<never> => {
      throw asSyncError(thrown);
    };
    return { check: say, observe: say, apply: say };
  }
}

/** Where a vendor counts names over several places, what they add has to be added up. */
function crowded(scenes: readonly Scene[], foreseen: readonly Foreseen[]): PlanWarning[] {
  const containers = new Map<string, { used: number; fresh: number; room: number; name: string }>();
  scenes.forEach(({ destination, target }, index) => {
    const filling = foreseen[index]?.filling;
    if (filling == null) return;
    const key = `${destination.name} ${destination.adapter.container(target)}`;
    const before = containers.get(key);
    containers.set(key, {
      name: destination.name,
      used: Math.max(before?.used ?? 0, filling.used),
      fresh: (before?.fresh ?? 0) + filling.fresh,
      room: filling.room,
    });
  });
  return [...containers.values()].flatMap(({ name, used, fresh, room }) => {
    const count = used + fresh;
    if (fresh === 0 || count < NEARLY * room) return [];
    const message = `${name}: after this ${count} of the ${room} names that there is room for are in use`;
    return [
      {
        rule: null,
        at: null,
        branch: null,
        code: "nearly_full",
        message,
        hint: "Give names to fewer branches.",
      },
    ];
  });
}
const NEARLY = 0.8;

// ---------------------------------------------------------------- where nobody can look

/** A source that nobody has looked at yet: its branches become known when it is applied. */
function notYetKnown({ rule, at, source, destination, why }: Entry): Judged[] {
  if (source.standing !== "new") return [];
  const reason = `${why}; ${UNCHECKED} (the source is new, its branches are not known)`;
  return [
    alone({ rule: rule.name, at, branch: null, destination: destination.name, action: "unchecked", reason }),
  ];
}

/** Branches that are at Neon by now and that no watch has seen: what they get is known once they have been read. */
async function appeared({ entries, sources }: Scope, reads: Reads, now: Date): Promise<PlanWarning[]> {
  const found = await Promise.all(
    [...sources.values()].map(async (source) => ({ source, branches: await reads.unseen(source) })),
  );
  return found.flatMap(({ source, branches }) =>
    branches.flatMap((branch) => {
      const meaning = entries.filter(
        (entry) => entry.source === source && isDeclared(entry) && means(entry.rule, branch, now),
      );
      return meaning.map(({ rule, at }) => ({
        rule: rule.name,
        at,
        branch: branch.name,
        code: "branch_not_read",
        message: "the branch has just appeared at Neon and is not in this plan",
        hint: "Plan again in a moment, when it has been read.",
      }));
    }),
  );
}

const isDeclared = ({ action }: Entry): boolean => !["orphan", "orphaned", "prune"].includes(action);

/** A target that cannot be worked out for this branch. */
function nowhere({ home, entry, branch }: Intent): Judged[] {
  if (!(home instanceof SyncError)) return [];
  return [
    alone({
      rule: entry.rule.name,
      at: entry.at,
      branch: branch.name,
      destination: entry.destination.name,
      action: "refuse",
      code: home.code,
      reason: home.message,
      next: nextFor(home),
    }),
  ];
}

/** It stands still already, and the document changes nothing about that. */
function standing({ home, due, row, entry, branch }: Intent): Judged[] {
  if (due || home === null || home instanceof SyncError || row?.state !== "parked") return [];
  const { code, cause, next } = row;
  const names = {
    rule: entry.rule.name,
    at: entry.at,
    branch: branch.name,
    destination: entry.destination.name,
  };
  return [
    alone({ ...names, target: home.key, action: "refuse", code, reason: cause ?? "it is parked", next }),
  ];
}

function alone(
  line: Pick<Judged["line"], "rule" | "at" | "branch" | "destination" | "action" | "reason"> &
    Partial<Judged["line"]>,
): Judged {
  const whole = { target: null, name: null, code: null, next: null, ...line };
  return { line: whole, basis: [], deletes: false, unreadable: false };
}
