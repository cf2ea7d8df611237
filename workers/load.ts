/** What a push has to know before it begins, read from our own rows. */
import { type BindingWithAll, bindingsAtPlace } from "../services/store/binding.ts";
import { heldForMs, productionUnread } from "../services/store/branch.ts";
import { type DestinationRow, destinationById } from "../services/store/destination.ts";
import { installationRow } from "../services/store/installation.ts";
import { ledgerOf, ownersAt } from "../services/store/ledger.ts";
import { loginsById, sharedWithProduction } from "../services/store/login.ts";
import { type PlaceRow, placeById, unsettle } from "../services/store/place.ts";
import type { Lease } from "../services/store/work.ts";
import type { DestinationAdapter } from "../services/sync/ports.ts";
import type { PushBinding, PushInput } from "../services/sync/push.ts";
import { destinationAdapter, type Runtime } from "./runtime.ts";

export interface Loaded {
  readonly row: PlaceRow;
  readonly destination: DestinationRow;
  readonly adapter: DestinationAdapter;
  /** By id; those that live here and those that have moved away and left names behind. */
  readonly bindings: ReadonlyMap<string, BindingWithAll>;
  readonly input: PushInput;
  /** Some branches are held for so long: what is theirs is left out, and waits. 0: none. */
  readonly heldMs: number;
}

/** Null if nothing may be written there now: the destination is gone, or writes are suspended. */
export async function loadPush(runtime: Runtime, id: string, lease: Lease): Promise<Loaded | null> {
  const { db } = runtime.database;
  const [found, installation] = await Promise.all([placeById(db, id), installationRow(db)]);
  const destination = found && (await destinationById(db, found.destinationId));
  if (found === undefined || destination === undefined || destination.removedAt !== null) return null;
  const adapter = destinationAdapter(runtime, destination.kind);
  // The destination leads elsewhere by now: what was written in the account before stays as it is.
  if (adapter.within?.(destination.block, found.target) === false) return null;
  // Whoever held the lease before us may still have a request on its way.
  const row = lease.takeover ? await takenOver(runtime, found) : found;
  // Whoever resumes makes the places due again.
  if (installation.suspendedAt !== null || destination.suspendedAt !== null) return null;
  const [all, ledger] = await Promise.all([bindingsHere(runtime, row), ledgerOf(db, row.id)]);
  const here = all.filter(({ branch }) => !isHeld(branch, lease.now));
  const heldIds = all.flatMap(({ branch }) => (isHeld(branch, lease.now) ? [branch.id] : []));
  const settling = row.settleAt !== null && row.settleAt > lease.now;
  const settles = row.settleAt !== null && row.settleAt <= lease.now;
  const bindings = await Promise.all(here.map((entry) => pushBinding(runtime, row, entry, settling)));
  return {
    row,
    destination,
    adapter,
    heldMs: await heldForMs(db, heldIds),
    bindings: new Map(here.map((entry) => [entry.binding.id, entry])),
    input: {
      installation: runtime.installation,
      traits: adapter.traits,
      target: row.target,
      ledger,
      bindings: bindings.filter((binding) => binding !== null),
      shared: row.shared,
      // Where the vendor compares, what came late was refused: there is nothing to write over.
      force: settles && !adapter.traits.compareAndSet,
    },
  };
}

const isHeld = ({ heldUntil }: BindingWithAll["branch"], now: Date): boolean =>
  heldUntil !== null && heldUntil > now;

async function takenOver(runtime: Runtime, row: PlaceRow): Promise<PlaceRow> {
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
  settling: boolean,
): Promise<PushBinding | null> {
  const { db } = runtime.database;
  const { binding, rule, branch } = all;
  const leaving = whyLeaving(row, all);
  // A write that is still on its way would come after the delete, and nobody would know of it.
  if (leaving !== "no" && settling) return null;
  if (leaving === "stays") return null;
  const [rows, unread] = await Promise.all([
    loginsById(db, Object.values(binding.logins)),
    productionUnread(db, branch.id, branch.sourceId),
  ]);
  const logins = Object.entries(binding.logins).flatMap(([alias, id]) => {
    const login = rows.find((candidate) => candidate.id === id);
    if (login === undefined) return [];
    const { role, database, fingerprint, generation } = login;
    return [
      { alias, id, role, database, fingerprint, generation, proven: login.provenFingerprint === fingerprint },
    ];
  });
  const passwords = rows.map((login) => login.passwordFingerprint);
  const adapter = destinationAdapter(runtime, all.destinationKind);
  return {
    id: binding.id,
    rule: rule.definition,
    wanted: binding.wanted,
    applied: binding.applied,
    inputs: binding.inputs,
    leaving,
    handed: binding.adopt,
    reported: binding.state === "drifted",
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
    unread,
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
  if (binding.leaving) return branch.goneAt === null ? "not-meant" : "branch-gone";
  if (binding.state === "removed" || binding.state === "retained") return "stays";
  if (binding.placeId === row.id) return "no";
  const { policy, onBranchDelete } = rule.definition;
  const arrived = binding.applied >= binding.wanted;
  return arrived && (policy === "mirror" || onBranchDelete === "delete") ? "moved" : "stays";
}
