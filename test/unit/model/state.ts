/**
 * Our own rows, kept by the rules of services/store in memory: leases with epochs, due times, bindings,
 * logins, the ledger. Every method is one transaction: it happens whole or not at all.
 */
import type { BindingState, LedgerEntry, Reason } from "../../../services/sync/model.ts";
import type { Fingerprint } from "../../../services/sync/ports.ts";

export interface Work {
  /** `hanging`: a place of another destination, one that never answers. */
  readonly kind: "source" | "branch" | "place" | "hanging";
  readonly id: string;
  dueAt: number | null;
  revision: number;
  leaseUntil: number | null;
  epoch: number;
  attempts: number;
  deaths: number;
  code: string | null;
}

export interface Lease {
  readonly row: Work;
  readonly epoch: number;
  readonly revision: number;
  readonly attempts: number;
  readonly code: string | null;
  readonly takeover: boolean;
  readonly deaths: number;
  readonly now: number;
}

export interface SourceRow extends Work {
  readonly kind: "source";
  cursor: string | null;
  listedAt: number | null;
  heldSince: number | null;
  watchedRevision: number;
}

export interface BranchRow extends Work {
  readonly kind: "branch";
  readonly neonId: string;
  readonly endpointId: string | null;
  readonly name: string;
  readonly production: boolean;
  missed: number;
  goneAt: number | null;
  readAt: number | null;
  /** Of the default branch, as it was last read. */
  password: Fingerprint | null;
  readonly createdAt: number;
}

export interface PlaceRow extends Work {
  readonly kind: "place";
  readonly key: string;
  settleAt: number | null;
  shared: boolean;
  sweepAt: number;
}

export interface BindingRow {
  readonly id: string;
  readonly rule: string;
  readonly branch: BranchRow;
  place: PlaceRow | null;
  wanted: number;
  applied: number;
  inputs: string | null;
  logins: Readonly<Record<string, string>>;
  leaving: boolean;
  state: BindingState;
  reason: Reason | null;
}

export interface LoginRow {
  readonly id: string;
  readonly branchId: string;
  generation: number;
  fingerprint: Fingerprint;
  /** Of the password alone, wherever it opens something. */
  password: Fingerprint | null;
  proven: Fingerprint | null;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
export type LedgerRow = Mutable<LedgerEntry> & { driftsSince: number | null };

const DAY_MS = 24 * 3_600_000;

export class State {
  readonly source: SourceRow;
  readonly branches: BranchRow[] = [];
  readonly places: PlaceRow[] = [];
  readonly bindings: BindingRow[] = [];
  readonly logins: LoginRow[] = [];
  readonly hanging: readonly Work[];
  /** Hints that are on disk, by number. */
  readonly hints = new Set<number>();
  /** By place id, then by name. */
  readonly ledger = new Map<string, Map<string, LedgerRow>>();
  readonly #now: () => number;
  #ids = 0;

  constructor(now: () => number, hanging: number) {
    this.#now = now;
    this.hanging = Array.from({ length: hanging }, () => this.work("hanging"));
    this.source = {
      ...this.work("source"),
      kind: "source",
      cursor: null,
      listedAt: null,
      heldSince: null,
      watchedRevision: -1,
    };
  }

  /** All that is on our disk. */
  asText(): string {
    const { source, branches, places, bindings, logins } = this;
    const ledger = [...this.ledger.values()].flatMap((names) => [...names.values()]);
    return JSON.stringify([source, branches, places, bindings, logins, ledger]);
  }

  work(kind: Work["kind"], dueAt: number | null = 0): Work {
    const id = `${kind}-${++this.#ids}`;
    return { kind, id, dueAt, revision: 0, leaseUntil: null, epoch: 0, attempts: 0, deaths: 0, code: null };
  }

  id(kind: string): string {
    return `${kind}-${++this.#ids}`;
  }

  get rows(): readonly Work[] {
    return [this.source, ...this.branches, ...this.places, ...this.hanging];
  }

  /** Nobody is at work, nothing is owed, and whatever is due one day is due as ever. */
  isAtRest(): boolean {
    const resting = ["synced", "removed", "retained"];
    return (
      this.bindings.every(({ state }) => resting.includes(state)) &&
      this.branches.every(({ missed, attempts }) => missed === 0 && attempts === 0) &&
      this.places.every(({ dueAt, settleAt }) => dueAt === null && settleAt === null) &&
      [this.source, ...this.branches, ...this.places].every(({ leaseUntil }) => leaseUntil === null)
    );
  }

  // ---------------------------------------------------------------- work: services/store/work.ts

  markDue(rows: readonly Work[]): void {
    for (const row of rows) {
      row.dueAt = Math.min(row.dueAt ?? Number.POSITIVE_INFINITY, this.#now());
      row.revision += 1;
    }
  }

  isFree(row: Work): boolean {
    return row.leaseUntil === null || row.leaseUntil < this.#now();
  }

  takeLease(row: Work, leaseUntil: number): Lease | null {
    const now = this.#now();
    if (row.dueAt === null || row.dueAt > now || !this.isFree(row)) return null;
    const takeover = row.leaseUntil !== null;
    row.leaseUntil = leaseUntil;
    row.epoch += 1;
    row.deaths += Number(takeover);
    const { epoch, revision, attempts, code, deaths } = row;
    return { row, epoch, revision, attempts, code, takeover, deaths, now };
  }

  releaseLease(
    { row, epoch, revision }: Lease,
    end: { dueInMs: number | null; attempts: number; code: string | null; deaths: number },
    fenced: boolean,
  ): boolean {
    if (fenced && row.epoch !== epoch) {
      this.markDue([row]);
      return false;
    }
    const now = this.#now();
    row.leaseUntil = null;
    row.deaths = end.deaths;
    row.attempts = end.attempts;
    row.code = end.code;
    if (row.revision === revision) row.dueAt = end.dueInMs === null ? null : now + end.dueInMs;
    else row.dueAt = Math.min(row.dueAt ?? now, now);
    return true;
  }

  // ---------------------------------------------------------------- ledger: services/store/ledger.ts

  names(place: PlaceRow): Map<string, LedgerRow> {
    const names = this.ledger.get(place.id) ?? new Map<string, LedgerRow>();
    this.ledger.set(place.id, names);
    return names;
  }

  ledgerOf(place: PlaceRow): LedgerEntry[] {
    return [...this.names(place).values()].map(({ driftsSince, ...entry }) => ({
      ...entry,
      claims: [...entry.claims],
      drifts: this.#recent(driftsSince) ? entry.drifts : 0,
    }));
  }

  #recent(since: number | null): boolean {
    return since !== null && since > this.#now() - DAY_MS;
  }

  /** False, and nothing is claimed, if a name has passed to another binding meanwhile. */
  claim(
    place: PlaceRow,
    names: readonly {
      name: string;
      bindingId: string;
      fingerprint: string | null;
      seen: boolean;
      gone: boolean;
      deleting: boolean;
    }[],
    since: number,
  ): boolean {
    const rows = this.names(place);
    if (names.some(({ name, bindingId }) => (rows.get(name)?.bindingId ?? bindingId) !== bindingId))
      return false;
    for (const { name, bindingId, fingerprint, seen, gone, deleting } of names) {
      const row = rows.get(name) ?? fresh(name, bindingId);
      row.confirmed = false;
      row.deleting = deleting;
      row.written = seen || (row.written && !gone);
      if (deleting || row.claims.length === 0) row.claimedAt = new Date(this.#now());
      else if (!seen) row.claimedAt = new Date(since);
      if (fingerprint !== null && !row.claims.includes(fingerprint))
        row.claims = [...row.claims, fingerprint];
      rows.set(name, row);
    }
    return true;
  }

  recordName(place: PlaceRow, name: string, seen: { fingerprint: string; version: string | null }): void {
    const row = this.names(place).get(name);
    if (row !== undefined)
      Object.assign(row, seen, { confirmed: true, deleting: false, written: true, claims: [] });
  }

  forget(place: PlaceRow, name: string, bindingId?: string): void {
    const row = this.names(place).get(name);
    if (bindingId === undefined || row?.bindingId === bindingId) this.names(place).delete(name);
  }

  countDrift(place: PlaceRow, name: string): void {
    const row = this.names(place).get(name);
    if (row === undefined) return;
    const recent = this.#recent(row.driftsSince);
    row.drifts = recent ? row.drifts + 1 : 1;
    row.driftsSince = recent ? row.driftsSince : this.#now();
  }

  // ---------------------------------------------------------------- bindings, succession

  setState(binding: BindingRow, state: BindingState, reason: Reason | null = null): void {
    binding.state = state;
    binding.reason = reason;
  }

  /** What became of a push: one that is no longer in force keeps its state. */
  setOutcome(binding: BindingRow, state: BindingState, reason: Reason | null = null): void {
    if (binding.state !== "removed" && binding.state !== "retained") this.setState(binding, state, reason);
  }

  recordApplied(binding: BindingRow, generation: number, state: BindingState): void {
    binding.applied = Math.max(binding.applied, generation);
    this.setOutcome(binding, binding.wanted > generation ? "pending" : state);
  }

  /** Whether anything has passed to the heir. */
  takeOver(place: PlaceRow, names: readonly string[], heir: BindingRow): boolean {
    const owners = new Set<BindingRow>();
    for (const name of names) {
      const row = this.names(place).get(name);
      const owner = this.bindings.find(({ id }) => id === row?.bindingId);
      if (row === undefined || owner === undefined || owner === heir) continue;
      const { branch, leaving, state } = owner;
      const over = branch.goneAt !== null || leaving || state === "removed" || state === "retained";
      if (!over && owner.place === place) continue;
      row.bindingId = heir.id;
      owners.add(owner);
    }
    for (const owner of owners) if (this.placesOf(owner).length === 0) this.setState(owner, "removed");
    return owners.size > 0;
  }

  placesOf(binding: BindingRow): PlaceRow[] {
    return this.places.filter((place) =>
      [...this.names(place).values()].some(({ bindingId }) => bindingId === binding.id),
    );
  }
}

function fresh(name: string, bindingId: string): LedgerRow {
  return {
    name,
    bindingId,
    fingerprint: null,
    version: null,
    claimedAt: new Date(0),
    claims: [],
    confirmed: false,
    deleting: false,
    written: false,
    drifts: 0,
    driftsSince: null,
  };
}
