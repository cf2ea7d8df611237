/** Reads one branch at Neon and raises `wanted` of every binding whose inputs moved. */
import type { BranchLoaded } from "../services/store/beginning.ts";
import { type BindingRow, bindingsOfBranch, ensureBindings } from "../services/store/binding.ts";
import { type BranchRow, markRead, successorOf } from "../services/store/branch.ts";
import { answered, type Db } from "../services/store/db.ts";
import { settleEvents } from "../services/store/event.ts";
import { type LoginRow, recordLogins } from "../services/store/login.ts";
import type { RuleWithDestination } from "../services/store/rule.ts";
import { markDue } from "../services/store/work.ts";
import { SyncError } from "../services/sync/errors.ts";
import { loginFingerprint, passwordFingerprint } from "../services/sync/material.ts";
import type { LoginWanted } from "../services/sync/model.ts";
import type { BranchReading } from "../services/sync/ports.ts";
import { agesMatter, logins, means } from "../services/sync/reconcile.ts";
import { takeAhead } from "./ahead.ts";
import { leave } from "./leave.ts";
import { orAbort } from "./or-abort.ts";
import { type Outcome, runWork, type Work } from "./run.ts";
import { openSource, type Runtime } from "./runtime.ts";
import { viewOf } from "./view.ts";
import { attempt, loginKey, want } from "./want.ts";

/** How long a branch that is gone waits at a time for a successor that may yet take over. */
const SUCCESSION_MS = { due: 250, unready: 5_000 };

export async function reconcile(runtime: Runtime, id: string, stopping: AbortSignal): Promise<boolean> {
  return await runWork(runtime, "branch", id, stopping, async (work, loaded) => {
    const { branch, source, upTo } = loaded;
    if (branch.goneAt !== null) return await bury(runtime, branch, upTo, work);
    return source.removedAt === null ? await bring(runtime, loaded, work) : { kind: "done", dueInMs: null };
  });
}

/** A branch with a tombstone: its names go or stay, as each rule says. */
async function bury(runtime: Runtime, row: BranchRow, upTo: number, work: Work): Promise<Outcome> {
  const { db } = runtime.database;
  // A branch of the same name takes over what it wants first, so that nothing is taken away in between.
  const successor = await successorOf(db, row);
  if (successor !== null) return { kind: "done", dueInMs: SUCCESSION_MS[successor] };
  return await work.finish({ kind: "done", dueInMs: null }, async (tx) => {
    const places = await leave(tx, await bindingsOfBranch(tx, row.id), "branch-gone", row.noticed);
    await markDue(tx, "place", places);
    await settleEvents(tx, { branchId: row.id }, upTo);
  });
}

async function bring(runtime: Runtime, known: BranchLoaded, work: Work): Promise<Outcome> {
  const { db } = runtime.database;
  const { branch: row, bound } = known;
  const view = viewOf(known);
  const rules = known.rules.map((entry) => ({
    ...entry,
    meant: inForce(entry, bound) && means(entry.rule.definition, view, new Date()),
  }));
  const meant = rules.filter((entry) => entry.meant);
  const wanted = logins(
    rules.map(({ rule, meant }) => ({ rule: rule.definition, meant })),
    view,
  );

  const roles = [...new Set(wanted.map((login) => login.role))];
  const { reading, upTo } = await readBranch(runtime, known, roles, work);
  if (reading === "gone") {
    await markDue(db, "source", [row.sourceId]);
    return {
      kind: "failed",
      error: new SyncError("unavailable", `Neon does not show branch "${row.name}" now`),
    };
  }
  const again = wanted.length > 0 || rules.some(({ rule }) => agesMatter(rule.definition));
  const dueInMs = again ? runtime.settings.rereadEveryMs : null;
  const { noticed } = row;
  let raised = false;
  const write = async (tx: Db): Promise<void> => {
    const rulesMeant = meant.map(({ rule }) => rule);
    const [recorded, bindings] = await answered([
      recordAll(runtime, tx, row, reading, wanted),
      ensureBindings(tx, row.id, rulesMeant, bound),
      markRead(tx, row),
      settleEvents(tx, { branchId: row.id }, upTo),
    ]);
    raised = await want(runtime, tx, { view, bindings, entries: meant, reading, known: recorded, noticed });
    const unmeant = bound.filter((b) => !rulesMeant.some(({ id }) => id === b.ruleId));
    await markDue(tx, "place", await leave(tx, unmeant, "no-longer-meant", noticed));
  };
  // A hint that came in meanwhile keeps the branch due. It may say more than this reading knew, which counts all the
  // same: hints that come faster than Neon answers would else keep the branch from ever being brought.
  const outcome = await work.finish({ kind: "done", dueInMs }, write);
  if (raised) runtime.kick("push");
  return outcome;
}

/** A rule that left the file takes on nothing new, and keeps in step what it has. */
const inForce = ({ rule }: RuleWithDestination, bound: readonly BindingRow[]): boolean =>
  rule.orphanedAt === null || bound.some((b) => b.ruleId === rule.id && b.state !== "removed");

/** Null: no rule asks for a login. */
async function readBranch(
  runtime: Runtime,
  { branch, source, upTo }: BranchLoaded,
  roles: readonly string[],
  { lease, signal }: Work,
): Promise<{ readonly reading: BranchReading | "gone" | null; readonly upTo: number }> {
  if (roles.length === 0) return { reading: null, upTo };
  const ahead = takeAhead(runtime, branch, roles, lease);
  const reading = ahead?.reading ?? openSource(runtime, source, signal).read(branch.neonId, roles);
  return { reading: (await orAbort(reading, signal)) ?? "gone", upTo: Math.min(upTo, ahead?.upTo ?? upTo) };
}

/** Generations rise here and nowhere else. A login that cannot be made is not there; its rules will say why. */
async function recordAll(
  runtime: Runtime,
  tx: Db,
  row: BranchRow,
  reading: BranchReading | null,
  wanted: readonly LoginWanted[],
): Promise<Map<string, LoginRow>> {
  if (reading === null) return new Map();
  const seen = wanted.flatMap(({ alias, role, database }) => {
    const made = attempt(reading, { alias, role, database });
    if (made instanceof SyncError) return [];
    const fingerprint = loginFingerprint(runtime.fingerprint, made);
    return [
      { role, database, fingerprint, passwordFingerprint: passwordFingerprint(runtime.fingerprint, made) },
    ];
  });
  const rows = await recordLogins(tx, row.id, seen);
  return new Map(rows.map((login) => [loginKey(login), login]));
}
