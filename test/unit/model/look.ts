/** What workers/{watch,reconcile,leave,want,sweep}.ts do around the core, on the model's rows. */

import { drifted } from "../../../services/sync/drift.ts";
import { SyncError } from "../../../services/sync/errors.ts";
import { loginFingerprint, loginsWanted, material } from "../../../services/sync/material.ts";
import type { BranchReading, SourceBranch } from "../../../services/sync/ports.ts";
import { inputs, means } from "../../../services/sync/reconcile.ts";
import { holdsDeletes, match } from "../../../services/sync/watch.ts";
import type { Process } from "./clock.ts";
import { ROLE } from "./neon.ts";
import { namesOf, RULES } from "./rules.ts";
import { fingerprinter, type Job, type Outcome, REREAD_MS, type Sim, SWEEP_MS, WATCH_MS } from "./sim.ts";
import type { BindingRow, BranchRow, LoginRow, PlaceRow } from "./state.ts";

const SUSPECT_MS = 500;
const SUCCESSION_MS = { due: 250, unready: 5_000 };
const LIST_EVERY = 10;

// ---------------------------------------------------------------- watch

export async function watch(job: Job): Promise<Outcome> {
  const { state, neon, clock, switches } = job.sim;
  const { source: row } = state;
  await job.process.pause(1);
  const source = neon.source(job.process);
  const again = switches.noPoll ? null : WATCH_MS;
  const known = state.branches.filter((branch) => branch.goneAt === null);
  const suspects = known.some((branch) => branch.missed > 0);
  const hinted = job.lease.revision !== row.watchedRevision;
  const stale = row.listedAt === null || clock.now - row.listedAt > WATCH_MS * LIST_EVERY;
  if (!suspects && !hinted && !stale) {
    const moved = await source.moved(row.cursor);
    if (!moved.everything && moved.branchIds.size === 0) {
      await job.record(() => {
        row.cursor = moved.cursor;
      });
      return { dueInMs: again };
    }
  }
  const listed = await source.branches();
  const moved = await source.moved(row.cursor);
  const unlisted = [...moved.branchIds].some(
    (id) => !listed.some((one) => one.id === id) && !known.some((one) => one.neonId === id),
  );
  const { unmatched, matched } = match(known, listed);
  const held = holdsDeletes(known.length, unmatched.length, row.heldSince !== null);
  const gone: BranchRow[] = [];
  for (const branch of held ? [] : unmatched) {
    if (switches.trustLists) gone.push(branch);
    else if (branch.missed > 0 && (await source.branch(branch.neonId)) === null) gone.push(branch);
  }
  await job.record(() => {
    for (const seen of listed) takeIn(job.sim, seen, matched.get(seen.id), moved.branchIds.has(seen.id));
    for (const branch of unmatched) branch.missed += 1;
    for (const branch of gone) bury(job.sim, branch);
    row.heldSince = held ? (row.heldSince ?? clock.now) : null;
    row.cursor = moved.cursor;
    row.listedAt = unlisted ? null : clock.now;
    if (!unlisted) row.watchedRevision = job.lease.revision;
  });
  const unsure = unlisted || (unmatched.length > gone.length && !held);
  return { dueInMs: unsure ? SUSPECT_MS : again };
}

function takeIn(
  { state, clock }: Sim,
  seen: SourceBranch,
  known: BranchRow | undefined,
  dirty: boolean,
): void {
  if (known !== undefined) {
    if (dirty) state.markDue([known]);
    known.missed = 0;
    return;
  }
  state.branches.push({
    ...state.work("branch"),
    kind: "branch",
    neonId: seen.id,
    endpointId: seen.endpoints[0]?.id ?? null,
    name: seen.name,
    production: seen.default,
    missed: 0,
    goneAt: null,
    readAt: null,
    password: null,
    createdAt: clock.now,
  });
}

function bury({ state, clock }: Sim, row: BranchRow): void {
  row.goneAt = clock.now;
  state.markDue(
    state.branches.filter((one) => one === row || (one.name === row.name && one.goneAt === null)),
  );
}

// ---------------------------------------------------------------- reconcile

export async function reconcile(job: Job, row: BranchRow): Promise<Outcome> {
  await job.process.pause(1);
  return row.goneAt === null ? await bring(job, row) : await leaveAll(job, row);
}

async function leaveAll(job: Job, row: BranchRow): Promise<Outcome> {
  const { state, clock } = job.sim;
  const heirs = state.branches.filter((one) => one.name === row.name && one.goneAt === null);
  const isDue = (one: BranchRow) => one.dueAt !== null && one.dueAt <= clock.now;
  if (heirs.some((one) => isDue(one) && one.attempts === 0)) return { dueInMs: SUCCESSION_MS.due };
  const unready = (one: BranchRow) =>
    isDue(one) ||
    one.attempts > 0 ||
    one.readAt === null ||
    state.bindings.some(
      (n) => n.branch === one && n.state === "parked" && n.reason?.code === "source_unready",
    );
  if (heirs.some(unready)) return { dueInMs: SUCCESSION_MS.unready };
  await job.record(() => {
    for (const binding of state.bindings) if (binding.branch === row) leave(job.sim, binding);
  });
  return { dueInMs: null };
}

function leave({ state }: Sim, binding: BindingRow): void {
  if (binding.state === "removed" || binding.state === "retained" || binding.leaving) return;
  const places = state.placesOf(binding);
  if (places.length === 0) {
    state.setState(binding, "removed");
    return;
  }
  binding.leaving = true;
  binding.wanted += 1;
  binding.inputs = null;
  state.setState(binding, "pending");
  state.markDue(places);
}

async function bring(job: Job, row: BranchRow): Promise<Outcome> {
  const { state, neon, switches, clock } = job.sim;
  const view = {
    id: row.neonId,
    name: row.name,
    default: row.production,
    protected: row.production,
    expiresAt: null,
    createdAt: new Date(0),
    parentName: null,
    annotations: {},
  };
  const meant = RULES.filter((rule) => means(rule, view, new Date(clock.now)));
  const reading = await neon.source(job.process).read(row.neonId, ["*"]);
  if (reading === null) {
    await job.process.pause(1);
    state.markDue([state.source]);
    return { error: new SyncError("unavailable", "Neon does not show it") };
  }
  await job.record(() => {
    for (const rule of meant) want(job.sim, row, rule, reading);
    row.password = passwordOf(job.sim, reading);
    row.readAt = clock.now;
  });
  return { dueInMs: switches.noPoll ? null : REREAD_MS };
}

function want(sim: Sim, row: BranchRow, rule: (typeof RULES)[number], reading: BranchReading): void {
  const { state } = sim;
  const binding = bindingOf(state, rule.name, row);
  const logins = loginsWanted(rule).map((wanted) => {
    const seen = loginFingerprint(fingerprinter(sim), material(reading, wanted));
    return { alias: wanted.alias, login: recordLogin(state, row.id, seen, passwordOf(sim, reading)) };
  });
  const known = logins.map(({ alias, login }) => ({ alias, id: login.id, generation: login.generation }));
  const text = inputs(1, row.name, known);
  const back = binding.leaving || binding.state === "removed" || binding.state === "retained";
  const waits = binding.state === "parked" && binding.reason?.code === "policy";
  const moves = binding.inputs !== text || back || waits;
  const place = placeOf(state, row.name);
  const inherits = state.takeOver(place, namesOf(rule), binding);
  if (!moves && !inherits) return;
  binding.place = place;
  binding.inputs = text;
  binding.logins = Object.fromEntries(logins.map(({ alias, login }) => [alias, login.id]));
  binding.leaving = false;
  binding.wanted += 1;
  state.setState(binding, "pending");
  state.markDue([place]);
}

function bindingOf(state: Sim["state"], rule: string, branch: BranchRow): BindingRow {
  const known = state.bindings.find((one) => one.rule === rule && one.branch === branch);
  if (known !== undefined) return known;
  const made: BindingRow = {
    id: state.id("binding"),
    rule,
    branch,
    place: null,
    wanted: 0,
    applied: 0,
    inputs: null,
    logins: {},
    leaving: false,
    state: "pending",
    reason: null,
  };
  state.bindings.push(made);
  return made;
}

function passwordOf(sim: Sim, { passwords }: BranchReading): string | null {
  const password = passwords.get(ROLE);
  return password === undefined ? null : fingerprinter(sim)("password", password);
}

function recordLogin(state: Sim["state"], branchId: string, seen: string, password: string | null): LoginRow {
  const known = state.logins.find((login) => login.branchId === branchId);
  if (known === undefined) {
    const made = {
      id: state.id("login"),
      branchId,
      generation: 1,
      fingerprint: seen,
      password,
      proven: null,
    };
    state.logins.push(made);
    return made;
  }
  if (known.fingerprint !== seen) known.generation += 1;
  known.fingerprint = seen;
  known.password = password;
  return known;
}

function placeOf(state: Sim["state"], key: string): PlaceRow {
  const known = state.places.find((place) => place.key === key);
  if (known !== undefined) return known;
  const work = state.work("place", null);
  const made: PlaceRow = { ...work, kind: "place", key, settleAt: null, shared: false, sweepAt: SWEEP_MS };
  state.places.push(made);
  return made;
}

// ---------------------------------------------------------------- sweep

/** Compares all places with their ledgers; those that differ are due. Never fails for good: there is a next one. */
export async function sweep({ state, vendor, clock, kick }: Sim, process: Process): Promise<void> {
  const places = state.places.filter((place) => place.sweepAt <= clock.now);
  for (const place of places) place.sweepAt = clock.now + SWEEP_MS;
  await process.pause(1);
  const tag = { process: process.name, observedAt: 0, foreign: new Set<string>() };
  const targets = places.map(({ key }) => key);
  const seen = await vendor.open(process, tag, () => false).observe(targets, { contents: false });
  const due = places.filter((place, index) => {
    const observation = seen[index];
    const ledger = state.ledgerOf(place).filter(({ bindingId }) => {
      const owner = state.bindings.find(({ id }) => id === bindingId);
      return owner?.state !== "removed" && owner?.state !== "retained";
    });
    if (observation === undefined) return false;
    return drifted({ installation: "here", traits: vendor.traits, observation, ledger }).length > 0;
  });
  await process.pause(1);
  state.markDue(due);
  kick();
}
