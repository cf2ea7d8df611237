/** Reads one branch at Neon and raises `wanted` of every binding whose inputs moved. */
import {
  type BindingRow,
  bindingsOfBranch,
  ensureBinding,
  raiseWanted,
  setState,
} from "../services/store/binding.ts";
import { type BranchRow, branchById, markRead, successorIsDue } from "../services/store/branch.ts";
import type { Db } from "../services/store/db.ts";
import { lastEventId, settleEvents } from "../services/store/event.ts";
import { formerPlaces } from "../services/store/ledger.ts";
import { type LoginRow, recordLogin } from "../services/store/login.ts";
import { ensurePlace } from "../services/store/place.ts";
import { type RuleWithDestination, rulesOf } from "../services/store/rule.ts";
import { sourceById } from "../services/store/source.ts";
import { takeOver } from "../services/store/succession.ts";
import { markDue } from "../services/store/work.ts";
import { SyncError } from "../services/sync/errors.ts";
import { loginFingerprint, loginsWanted, material, passwordFingerprint } from "../services/sync/material.ts";
import type { LoginMaterial } from "../services/sync/model.ts";
import { nextFor } from "../services/sync/outcome.ts";
import type { BranchReading, Fingerprint } from "../services/sync/ports.ts";
import { type Aim, aim, inputs, logins, means } from "../services/sync/reconcile.ts";
import { leave } from "./leave.ts";
import { type Outcome, runWork, type Work } from "./run.ts";
import { destinationAdapter, openSource, type Runtime } from "./runtime.ts";
import { viewOf } from "./view.ts";

/** How long a branch that is gone waits at a time for a successor that has not been read yet. */
const SUCCESSION_MS = 250;

export async function reconcile(runtime: Runtime, id: string, stopping: AbortSignal): Promise<void> {
  await runWork(runtime, "branch", id, stopping, async (work) => {
    const row = await branchById(runtime.database.db, id);
    if (row === undefined) return { kind: "done", dueInMs: null };
    return row.goneAt === null ? await bring(runtime, row, work) : await bury(runtime, row, work);
  });
}

/** A branch with a tombstone: its names go or stay, as each rule says. */
async function bury(runtime: Runtime, row: BranchRow, work: Work): Promise<Outcome> {
  const { db } = runtime.database;
  const upTo = await lastEventId(db);
  // A branch of the same name takes over what it wants first, so that nothing is taken away in between.
  if (await successorIsDue(db, row)) return { kind: "done", dueInMs: SUCCESSION_MS };
  await work.record(async (tx) => {
    const places = await leave(tx, await bindingsOfBranch(tx, row.id), "branch-gone");
    await markDue(tx, "place", places);
    await settleEvents(tx, { branchId: row.id }, upTo);
  });
  return { kind: "done", dueInMs: null };
}

async function bring(runtime: Runtime, row: BranchRow, work: Work): Promise<Outcome> {
  const { db } = runtime.database;
  const upTo = await lastEventId(db);
  const source = await sourceById(db, row.sourceId);
  if (source === undefined || source.removedAt !== null) return { kind: "done", dueInMs: null };
  const bound = await bindingsOfBranch(db, row.id);
  const view = await viewOf(db, row);
  const rules = (await rulesOf(db, row.sourceId)).map((entry) => ({
    ...entry,
    meant: inForce(entry, bound) && means(entry.rule.definition, view, new Date()),
  }));
  const meant = rules.filter((entry) => entry.meant);
  const wanted = logins(
    rules.map(({ rule, meant }) => ({ rule: rule.definition, meant })),
    view,
  );

  const reading = wanted.length === 0 ? null : await readBranch(runtime, source, row, wanted, work.signal);
  if (reading === "gone") {
    await markDue(db, "source", [row.sourceId]);
    return {
      kind: "failed",
      error: new SyncError("unavailable", `Neon does not show branch "${row.name}" now`),
    };
  }
  await work.record(async (tx) => {
    // What Neon said may be older than a hint that came in meanwhile: then it does not count.
    const current = await branchById(tx, row.id);
    if (current?.revision !== work.lease.revision) return;
    const known =
      reading === null ? new Map<string, LoginRow>() : await recordLogins(runtime, tx, row, reading, wanted);
    for (const entry of meant)
      await want(runtime, tx, row, entry, aimOf(runtime, entry, view), reading, known);
    const unmeant = bound.filter((b) => !meant.some((entry) => entry.rule.id === b.ruleId));
    await markDue(tx, "place", await leave(tx, unmeant, "no-longer-meant"));
    await markRead(tx, row.id);
    await settleEvents(tx, { branchId: row.id }, upTo);
  });
  return { kind: "done", dueInMs: wanted.length === 0 ? null : runtime.settings.rereadEveryMs };
}

/** A rule that left the file takes on nothing new, and keeps in step what it has. */
const inForce = ({ rule }: RuleWithDestination, bound: readonly BindingRow[]): boolean =>
  rule.orphanedAt === null || bound.some((b) => b.ruleId === rule.id && b.state !== "removed");

async function readBranch(
  runtime: Runtime,
  source: Parameters<typeof openSource>[1],
  row: BranchRow,
  wanted: readonly { role: string }[],
  signal: AbortSignal,
): Promise<BranchReading | "gone"> {
  const roles = [...new Set(wanted.map((login) => login.role))];
  return (await openSource(runtime, source, signal).read(row.neonId, roles)) ?? "gone";
}

const loginKey = (login: { role: string; database: string }): string => `${login.role}\n${login.database}`;

/** Generations rise here and nowhere else. A login that cannot be made is not there; its rules will say why. */
async function recordLogins(
  runtime: Runtime,
  tx: Db,
  row: BranchRow,
  reading: BranchReading,
  wanted: readonly { alias: string; role: string; database: string }[],
): Promise<Map<string, LoginRow>> {
  const known = new Map<string, LoginRow>();
  for (const login of wanted) {
    const made = attempt(reading, login);
    if (made instanceof SyncError) continue;
    const fingerprint: Fingerprint = loginFingerprint(runtime.fingerprint, made);
    const key = { branchId: row.id, role: login.role, database: login.database };
    const seen = { fingerprint, passwordFingerprint: passwordFingerprint(runtime.fingerprint, made) };
    known.set(loginKey(login), await recordLogin(tx, key, seen));
  }
  return known;
}

function attempt(reading: BranchReading, login: Parameters<typeof material>[1]): LoginMaterial | SyncError {
  try {
    return material(reading, login);
  } catch (thrown) {
    if (thrown instanceof SyncError) return thrown;
    throw thrown;
  }
}

function aimOf(
  runtime: Runtime,
  { rule, destination }: RuleWithDestination,
  view: Parameters<typeof aim>[1],
) {
  const adapter = destinationAdapter(runtime, destination.kind);
  return aim(rule.definition, view, { adapter, block: destination.block });
}

async function want(
  runtime: Runtime,
  tx: Db,
  row: BranchRow,
  { rule, destination }: RuleWithDestination,
  aimed: Aim | SyncError,
  reading: BranchReading | null,
  known: ReadonlyMap<string, LoginRow>,
): Promise<void> {
  const binding = await ensureBinding(tx, rule.id, row.id);
  const needed = loginsWanted(rule.definition).map((login) => ({
    ...login,
    row: known.get(loginKey(login)),
  }));
  const lacking = needed.find((login) => login.row === undefined);
  const problem = aimed instanceof SyncError ? aimed : lacking && reading && attempt(reading, lacking);
  if (problem instanceof SyncError) {
    const reason = { code: problem.code, cause: problem.message, next: nextFor(problem) };
    await setState(tx, [binding.id], "parked", reason);
    return;
  }
  if (aimed instanceof SyncError) return;
  const found = needed.flatMap(({ alias, row: login }) => (login === undefined ? [] : [{ alias, ...login }]));
  const text = inputs(rule.revision, aimed.key, found);
  const back = binding.leaving || binding.state === "removed" || binding.state === "retained";
  const waits =
    binding.state === "parked" && (binding.code === "source_unready" || binding.code === "policy");
  if (binding.inputs === text && !back && !waits) return;

  const placeId = await ensurePlace(tx, {
    destinationId: destination.id,
    key: aimed.key,
    container: aimed.container,
    target: aimed.target,
    sweepEveryMs: runtime.settings.sweepEveryMs,
  });
  const adapter = destinationAdapter(runtime, destination.kind);
  const names = Object.keys(rule.definition.variables).map((name) => adapter.traits.normaliseName(name));
  await takeOver(tx, placeId, names, binding.id);
  await raiseWanted(tx, binding.id, {
    placeId,
    inputs: text,
    logins: Object.fromEntries(found.map((login) => [login.alias, login.id])),
    leaving: false,
  });
  await markDue(tx, "place", [placeId, ...(await formerPlaces(tx, binding.id, placeId))]);
}
