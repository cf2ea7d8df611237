/** What a person does to sources, branches, destinations and the whole; audited in the transaction that does it. */
import type { AuditDetails } from "../store/audit.ts";
import { recordAudit } from "../store/audit.ts";
import { branchById, endHold, startHold } from "../store/branch.ts";
import { type Db, withoutDeadlock } from "../store/db.ts";
import { setDestinationSuspended } from "../store/destination.ts";
import { eventById, reopenEvent } from "../store/event.ts";
import { databaseIdentity, installationRow, resumeAll, suspendAll } from "../store/installation.ts";
import { getDestination } from "../store/inventory.ts";
import { managedRow } from "../store/managed.ts";
import { confirmMissing } from "../store/source.ts";
import { getBranch, getEvent, getSource } from "../store/views.ts";
import { visibleTo } from "../store/visible.ts";
import { branchVersion } from "./branches.ts";
import { destinationVersion } from "./destinations.ts";
import { eventVersion } from "./events.ts";
import { installationVersion } from "./installation.ts";
import type { Caller, Confirm, Hold, Redeliver, Suspend } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import { sourceVersion } from "./sources.ts";
import { requireUnmoved } from "./version.ts";

export interface ActOptions {
  readonly db: Db;
  /** Names of the sources that a repository (`owner/name`, in any case) concerns. */
  readonly sourcesOf: (repository: string) => readonly string[];
  /** After the commit: somebody should look. */
  readonly kick: () => void;
}

export interface Acts {
  readonly confirm: Confirm;
  readonly redeliver: Redeliver;
  readonly suspend: Suspend;
  readonly hold: Hold;
}

export function createActs({ db, sourcesOf, kick }: ActOptions): Acts {
  const inOne = async <T>(work: (tx: Db) => Promise<T>): Promise<T> => {
    const done = await withoutDeadlock(async () => await db.transaction(work));
    kick();
    return done;
  };

  return {
    confirm: async (idOrName, branchIds, caller) => {
      const visible = await visibleTo(db, caller.principal.limits);
      const source = await getSource(db, idOrName, visible);
      if (source === null) return null;
      const confirmed = await inOne(async (tx) => {
        const read = async () => await getSource(tx, source.id, visible);
        await requireUnmoved(tx, caller, ["source", source.id], read, sourceVersion);
        const missing = await confirmMissing(tx, source.id, branchIds);
        if (missing === null) {
          throw new ApiProblem(
            "conflict",
            "No deletes are held there, or none of these branches is missing.",
          );
        }
        const names = missing.map(({ name }) => name).join(", ");
        const before = `held since ${source.heldSince}`;
        await note(tx, caller, "source.confirm", `source/${source.name}`, { before, branches: names });
        return missing;
      });
      return { source: (await getSource(db, source.id)) ?? source, confirmed };
    },

    redeliver: async (eventId, caller) => {
      const visible = await visibleTo(db, caller.principal.limits);
      if ((await getEvent(db, eventId, visible)) === null) return null;
      await inOne(async (tx) => {
        const read = async () => await getEvent(tx, eventId, visible);
        await requireUnmoved(tx, caller, ["event", eventId], read, eventVersion);
        const row = await eventById(tx, Number(eventId));
        if (row === undefined) throw new ApiProblem("not_found", "There is no event with this id.");
        const sources = sourcesOf(row.subject["repository"] ?? "");
        if (!(await reopenEvent(tx, row, sources))) {
          throw new ApiProblem("conflict", "It points at no source that is configured.");
        }
        const before = row.reason === null ? row.outcome : `${row.outcome}: ${row.reason}`;
        await note(tx, caller, "event.redeliver", `event/${eventId}`, { before, after: "pending" });
      });
      return await getEvent(db, eventId, visible);
    },

    hold: async (branchId, hold, caller) => {
      const visible = await visibleTo(db, caller.principal.limits);
      const branch = await getBranch(db, branchId, visible);
      if (branch === null) return null;
      await inOne(async (tx) => {
        const read = async () => await getBranch(tx, branchId, visible);
        await requireUnmoved(tx, caller, ["branch", branchId], read, branchVersion);
        const row = await branchById(tx, branchId);
        if (hold !== null && row?.goneAt !== null) throw new ApiProblem("conflict", "The branch is gone.");
        if (hold === null) await endHold(tx, branchId);
        else await startHold(tx, branchId, hold);
        const object = `source/${branch.source}/branch/${branch.name}`;
        const before = branch.heldUntil;
        const details = hold === null ? { before, after: null } : { before, ...hold };
        await note(tx, caller, hold === null ? "branch.unhold" : "branch.hold", object, details);
      });
      return await getBranch(db, branchId, visible);
    },

    suspend: {
      destination: async (idOrName, suspended, caller) => {
        const visible = await visibleTo(db, caller.principal.limits);
        const found = await getDestination(db, idOrName, visible);
        if (found === null) return null;
        await inOne(async (tx) => {
          const read = async () => await getDestination(tx, found.id, visible);
          await requireUnmoved(tx, caller, ["destination", found.id], read, destinationVersion);
          await setDestinationSuspended(tx, found.id, suspended);
          const action = suspended ? "destination.suspend" : "destination.resume";
          const before = found.suspendedAt === null ? "writing" : "suspended";
          const after = suspended ? "suspended" : "writing";
          await note(tx, caller, action, `destination/${found.name}`, { before, after });
        });
        return await getDestination(db, found.id, visible);
      },
      installation: async () => await shown(db),
      all: async (reason, caller) => {
        const [before, identity] = await Promise.all([installationRow(db), databaseIdentity(db)]);
        await inOne(async (tx) => {
          const read = async () => await shown(tx);
          await requireUnmoved(tx, caller, ["installation", before.id], read, installationVersion);
          if (reason === null) await resumeAll(tx, identity);
          else await suspendAll(tx, reason);
          await note(tx, caller, `installation.${reason === null ? "resume" : "suspend"}`, "installation", {
            before: before.suspendedAt === null ? "writing" : "suspended",
            after: reason === null ? "writing" : "suspended",
            reason,
          });
        });
        return await shown(db);
      },
    },
  };
}

async function shown(db: Db) {
  const [{ id, suspendedAt, suspendedWhy }, managed] = await Promise.all([
    installationRow(db),
    managedRow(db),
  ]);
  return {
    id,
    suspendedAt: suspendedAt?.toISOString() ?? null,
    suspendedWhy,
    managedBy: managed === undefined ? null : { file: managed.file, since: managed.since.toISOString() },
  };
}

async function note(
  tx: Db,
  { principal, requestId, sourceAddress }: Caller,
  action: string,
  object: string,
  details: AuditDetails,
): Promise<void> {
  await recordAudit(tx, { actor: principal.name, action, object, requestId, sourceAddress, details });
}
