/** The API's ports, on our own database. */
import { inBatches } from "../store/batch.ts";
import type { Database } from "../store/db.ts";
import { type Incoming, ingest as write } from "../store/ingest.ts";
import { expectedMigrations, migrationsApplied } from "../store/migrate.ts";
import {
  getBinding,
  getBranch,
  getEvent,
  getSource,
  listBindings,
  listBranches,
  listEvents,
  listSources,
} from "../store/views.ts";
import type { Hint, Ignored } from "../webhooks/result.ts";
import type { ApiDeps } from "./app.ts";
import { createMatching } from "./matches.ts";
import type { Ingest, Probe } from "./ports.ts";

export interface IngestOptions {
  readonly database: Database;
  /** Names of the sources that a repository (`owner/name`, in any case) concerns. */
  readonly sourcesOf: (repository: string) => readonly string[];
  /** After the commit: somebody should look. */
  readonly kick: () => void;
}

/** Many deliveries share one transaction; each is answered when that is on disk. */
export function createIngest({ database, sourcesOf, kick }: IngestOptions): Ingest {
  const one = inBatches((batch: readonly Incoming[]) => write(database.db, batch));
  return async (delivery) => {
    const taken = await one(incoming(delivery, sourcesOf));
    if (taken.outcome === "accepted") kick();
    return taken;
  };
}

function incoming(delivery: Hint | Ignored, sourcesOf: IngestOptions["sourcesOf"]): Incoming {
  const { origin, deliveryId, kind } = delivery;
  const nothing = { sources: [], project: null, neonBranchId: null, wakes: false, subject: {} };
  if ("reason" in delivery) return { origin, deliveryId, kind, ...nothing, ignored: delivery.reason };
  if (delivery.origin === "neon") {
    const { projectId, branchId, role } = delivery;
    const subject = {
      project: projectId,
      ...(branchId === null ? {} : { neonId: branchId }),
      ...(role === null ? {} : { role }),
    };
    return {
      ...nothing,
      origin,
      deliveryId,
      kind,
      project: projectId,
      neonBranchId: branchId,
      subject,
      ignored: null,
    };
  }
  const { repository, gitBranch, action, fork } = delivery;
  const subject = {
    ...(repository === null ? {} : { repository: repository.fullName }),
    ...(gitBranch === null ? {} : { gitBranch }),
    ...(action === null ? {} : { action }),
  };
  const common = { ...nothing, origin, deliveryId, kind, subject };
  if (kind === "ping") return { ...common, ignored: "a ping asks for nothing" };
  if (fork) return { ...common, ignored: "it comes from a fork" };
  if (repository === null) return { ...common, ignored: "it names no repository" };
  return { ...common, sources: sourcesOf(repository.fullName), wakes: kind !== "delete", ignored: null };
}

/** What `/v1` reads. */
export function readers({
  db,
}: Database): Pick<ApiDeps, "sources" | "branches" | "bindings" | "events" | "matching"> {
  return {
    sources: { list: (query) => listSources(db, query), get: (id) => getSource(db, id) },
    matching: createMatching(db),
    branches: { list: (query) => listBranches(db, query), get: (id) => getBranch(db, id) },
    bindings: { list: (query) => listBindings(db, query), get: (id) => getBinding(db, id) },
    events: { list: (query) => listEvents(db, query), get: (id) => getEvent(db, id) },
  };
}

/** What must be so before this process is of use. */
export function probes({ db }: Database): Probe[] {
  return [
    {
      name: "migrations",
      check: async () => {
        const applied = await migrationsApplied(db);
        const expected = expectedMigrations();
        return applied >= expected
          ? null
          : `${expected - applied} of ${expected} are missing: run branchline migrate`;
      },
    },
  ];
}
