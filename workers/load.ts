/** What a push has to know before it begins, made of our own rows. */
import type { BindingWithAll } from "../services/store/binding.ts";
import type { DestinationRow } from "../services/store/destination.ts";
import type { Lease } from "../services/store/lease.ts";
import type { PlaceFacts, Production } from "../services/store/loading.ts";
import type { LoginRow } from "../services/store/login.ts";
import type { PlaceRow } from "../services/store/place.ts";
import { isTroubled } from "../services/sync/look.ts";
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
  /** Roles that some rule reads of a branch, by Neon's id: who reads one of them reads all, and shares with the others. */
  readonly roles: ReadonlyMap<string, readonly string[]>;
  /** Some branches are held for so long: what is theirs is left out, and waits. 0: none. */
  readonly heldMs: number;
}

/** Null if nothing may be written there now: the destination is gone, or writes are suspended. */
export function loadPush(runtime: Runtime, found: PlaceFacts, lease: Lease): Loaded | null {
  const { place: row, destination, bindings: all, ledger, logins, production } = found;
  if (destination.removedAt !== null) return null;
  const adapter = destinationAdapter(runtime, destination.kind);
  // The destination leads elsewhere by now: what was written in the account before stays as it is.
  if (adapter.within?.(destination.block, row.target) === false) return null;
  // Whoever resumes makes the places due again.
  if (found.suspendedAt !== null || destination.suspendedAt !== null) return null;
  const standing = all.filter(({ binding }) => binding.suspendedAt === null);
  const heldMs = Math.max(0, ...standing.map(({ branch }) => heldFor(branch, lease.now)));
  const here = standing.filter(({ branch }) => heldFor(branch, lease.now) === 0);
  const settling = row.settleAt !== null && row.settleAt > lease.now;
  const settles = row.settleAt !== null && row.settleAt <= lease.now;
  const known: Known = { row, settling, logins, production };
  return {
    row,
    destination,
    adapter,
    heldMs,
    roles: rolesOf(all, logins, production),
    bindings: new Map(here.map((entry) => [entry.binding.id, entry])),
    input: {
      installation: runtime.installation,
      traits: adapter.traits,
      target: row.target,
      ledger,
      bindings: here.flatMap((entry) => pushBinding(runtime, entry, known) ?? []),
      shared: row.shared,
      // Where the vendor compares, what came late was refused: there is nothing to write over.
      force: settles && !adapter.traits.compareAndSet,
    },
  };
}

function rolesOf(
  all: readonly BindingWithAll[],
  logins: readonly LoginRow[],
  production: readonly Production[],
): ReadonlyMap<string, readonly string[]> {
  const ids = new Map(all.map(({ branch }) => [branch.id, branch.neonId]));
  const named = [
    ...logins.map(({ branchId, role }) => [ids.get(branchId), role] as const),
    ...production.map(({ neonId, role }) => [neonId, role] as const),
  ];
  const roles = new Map<string, readonly string[]>();
  for (const [neonId, role] of named) {
    if (neonId === undefined || role === null) continue;
    roles.set(neonId, [...new Set([...(roles.get(neonId) ?? []), role])].sort());
  }
  return roles;
}

const heldFor = ({ heldUntil }: BindingWithAll["branch"], now: Date): number =>
  heldUntil === null ? 0 : Math.max(0, heldUntil.getTime() - now.getTime());

/** What else is known of the place. */
interface Known {
  readonly row: PlaceRow;
  readonly settling: boolean;
  readonly logins: readonly LoginRow[];
  readonly production: readonly Production[];
}

function pushBinding(
  runtime: Runtime,
  all: BindingWithAll,
  { row, settling, logins: loginRows, production }: Known,
): PushBinding | null {
  const { binding, rule, branch } = all;
  const leaving = whyLeaving(row, all);
  // A write that is still on its way would come after the delete, and nobody would know of it.
  if (leaving !== "no" && settling) return null;
  if (leaving === "stays") return null;
  const ids = new Set(Object.values(binding.logins));
  const mine = loginRows.filter((login) => ids.has(login.id));
  const logins = Object.entries(binding.logins).flatMap(([alias, id]) => {
    const login = mine.find((candidate) => candidate.id === id);
    if (login === undefined) return [];
    const { role, database, fingerprint, generation } = login;
    return [
      { alias, id, role, database, fingerprint, generation, proven: login.provenFingerprint === fingerprint },
    ];
  });
  const others = production.filter(({ sourceId, id }) => sourceId === branch.sourceId && id !== branch.id);
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
    troubled: isTroubled(binding),
    exposure: adapter.exposure(row.target) ?? rule.definition.exposure ?? "development",
    sourceId: rule.sourceId,
    branch: {
      id: branch.id,
      neonId: branch.neonId,
      name: branch.name,
      isDefault: branch.isDefault,
      isProtected: branch.isProtected,
    },
    inherited: inheritedFrom(others, mine),
    unread: distinct(others.filter((one) => one.unread)),
    production: distinct(others),
    logins,
  };
}

/** Branches that accept one of these passwords, by role. */
function inheritedFrom(others: readonly Production[], mine: readonly LoginRow[]): PushBinding["inherited"] {
  const passwords = new Set(mine.map((login) => login.passwordFingerprint));
  const shared = others.flatMap(({ role, passwordFingerprint, name: branch, isDefault, isProtected }) =>
    role !== null && passwordFingerprint !== null && passwords.has(passwordFingerprint)
      ? [{ branch, role, isDefault, isProtected }]
      : [],
  );
  return [...new Map(shared.map((one) => [`${one.branch}\n${one.role}`, one])).values()];
}

/** There is a row for each login. */
function distinct(others: readonly Production[]): PushBinding["production"] {
  const named = others.map(({ neonId, name: branch, isDefault, isProtected }) => {
    return { neonId, branch, isDefault, isProtected };
  });
  return [...new Map(named.map((one) => [one.neonId, one])).values()];
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
