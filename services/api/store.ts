/** The API's ports, on our own database. */

import { verifyAudit } from "../store/audit.ts";
import { inBatches } from "../store/batch.ts";
import { clockWarning } from "../store/clock.ts";
import type { Database, Db } from "../store/db.ts";
import { custodyOf, exportAudit, getPush, listAudit, listPushes } from "../store/history.ts";
import { type Incoming, ingest as write } from "../store/ingest.ts";
import {
  getDestination,
  getLogin,
  getRule,
  listDestinations,
  listLogins,
  listRules,
} from "../store/inventory.ts";
import { expectedMigrations, migrationsApplied } from "../store/migrate.ts";
import type { PageOf, PageQuery } from "../store/pages.ts";
import { beginRequest, endRequest, forgetRequest } from "../store/repeat.ts";
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
import { type Visible, visibleTo } from "../store/visible.ts";
import type { Hint, Ignored } from "../webhooks/result.ts";
import type { ApiDeps } from "./app.ts";
import { createMatching } from "./matches.ts";
import type { Ingest, Probe, Reader } from "./ports.ts";

export interface IngestOptions {
  readonly database: Database;
  /** Names of the sources that a repository (`owner/name`, in any case) concerns. */
  readonly sourcesOf: (repository: string) => readonly string[];
  /** After the commit: somebody should look. */
  readonly kick: () => void;
}

/** Many deliveries share one transaction; each is answered when that is on disk. */
export function createIngest({ database, sourcesOf, kick }: IngestOptions): Ingest {
  // One batch after the other: two at once would each be half as large, and may wait for the same source's row.
  const one = inBatches((batch: readonly Incoming[]) => write(database.db, batch), { atOnce: 1 });
  return async (delivery) => {
    const { wakes, ...taken } = await one(incoming(delivery, sourcesOf));
    if (wakes) kick();
    return taken;
  };
}

function incoming(delivery: Hint | Ignored, sourcesOf: IngestOptions["sourcesOf"]): Incoming {
  const { origin, deliveryId, kind } = delivery;
  const ignored = uselessness(delivery);
  const neon = "projectId" in delivery ? delivery : null;
  const repository = "repository" in delivery && ignored === null ? delivery.repository : null;
  return {
    origin,
    deliveryId,
    kind,
    sources: repository === null ? [] : sourcesOf(repository.fullName),
    project: neon?.projectId ?? null,
    neonBranchId: neon?.branchId ?? null,
    wakes: repository !== null && kind !== "delete",
    subject: subjectOf(delivery),
    ignored,
  };
}

/** Why there is nothing to do for it; null: there is. */
function uselessness(delivery: Hint | Ignored): string | null {
  if ("reason" in delivery) return delivery.reason;
  if (delivery.origin === "neon") return null;
  if (delivery.kind === "ping") return "a ping asks for nothing";
  if (delivery.fork) return "it comes from a fork";
  return delivery.repository === null ? "it names no repository" : null;
}

function subjectOf(delivery: Hint | Ignored): Record<string, string> {
  const subject: Record<string, string> = {};
  const note = (name: string, value: string | null | undefined): void => {
    if (value != null) subject[name] = value;
  };
  if ("projectId" in delivery) {
    note("project", delivery.projectId);
    note("neonId", delivery.branchId);
    note("role", delivery.role);
  } else if ("repository" in delivery) {
    note("repository", delivery.repository?.fullName);
    note("gitBranch", delivery.gitBranch);
    note("action", delivery.action);
    note("sha", delivery.sha);
  }
  return subject;
}

type Nouns = "sources" | "destinations" | "rules" | "branches" | "logins" | "bindings" | "pushes" | "events";

/** What `/v1` reads. */
export function readers({
  db,
}: Database): Pick<ApiDeps, Nouns | "matching" | "custody" | "audit" | "repeats"> {
  return {
    sources: reader(db, listSources, getSource),
    destinations: reader(db, listDestinations, getDestination),
    rules: reader(db, listRules, getRule),
    branches: reader(db, listBranches, getBranch),
    logins: reader(db, listLogins, getLogin),
    bindings: reader(db, listBindings, getBinding),
    pushes: reader(db, listPushes, getPush),
    events: reader(db, listEvents, getEvent),
    matching: createMatching(db),
    custody: async (branchId, limits) => {
      const visible = await visibleTo(db, limits);
      const branch = await getBranch(db, branchId, visible);
      if (branch === null) return null;
      const { id, name, source } = branch;
      const held = await custodyOf(db, branchId, visible);
      return { branch: { id, name, source }, at: new Date().toISOString(), held };
    },
    audit: {
      list: (query) => listAudit(db, query),
      export: (after) => exportAudit(db, after),
      verify: () => verifyAudit(db),
    },
    repeats: {
      begin: (owner, key, request) => beginRequest(db, owner, key, request),
      end: (owner, key, answer) => endRequest(db, owner, key, answer),
      forget: (owner, key) => forgetRequest(db, owner, key),
    },
  };
}

/** Limits become conditions of the query: what is not to be seen is not read. */
function reader<Item, Filter>(
  db: Db,
  list: (db: Db, query: PageQuery<Filter>) => Promise<PageOf<Item> | null>,
  get: (db: Db, id: string, visible: Visible | null) => Promise<Item | null>,
): Reader<Item, Filter> {
  return {
    list: async ({ limits, ...query }) => await list(db, { ...query, visible: await visibleTo(db, limits) }),
    get: async (id, limits) => await get(db, id, await visibleTo(db, limits)),
  };
}

/** What somebody should look into while the process does its work. */
export function warnings({ db }: Database): Probe[] {
  return [{ name: "clock", check: async () => await clockWarning(db) }];
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
