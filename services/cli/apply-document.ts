/** Takes in a document that somebody sent: what speaks against it is said before anything is touched, and is audited. */
import { sql } from "drizzle-orm";
import type { Runtime } from "../../workers/runtime.ts";
import { type AppliedDocument, type ApplyDocument, managedByFile } from "../api/apply.ts";
import type { Caller } from "../api/ports.ts";
import { ApiProblem, type ProblemCode } from "../api/problems.ts";
import type { Configuration } from "../file/configuration.ts";
import { type AuditDetails, recordAudit } from "../store/audit.ts";
import { configure, type Taken } from "../store/configure.ts";
import type { Db } from "../store/db.ts";
import { managedRow } from "../store/managed.ts";
import type { DocumentPlan, PlanPart } from "../sync/document-plan.ts";
import { declared, type StoredSettings, settingsIn } from "./declared.ts";

export interface Understood {
  /** Ready to be stored: what came along with it is sealed. */
  readonly configuration: Configuration;
  readonly plan: DocumentPlan;
  /** References that the document may not name. */
  readonly refused: readonly PlanPart[];
  /** Of the state that it was compared with. */
  readonly version: number;
  /** The installation's sealed key at that time: what came along is sealed with the same master key. */
  readonly sealedKey: string;
  /** Of the document that was taken in last; null: it had none. */
  readonly revision: number | null;
  /** It says otherwise than before who may use the API. */
  readonly changesAuth: boolean;
}

export interface ApplyOptions {
  readonly runtime: Runtime;
  /** Before something is taken in: reads the credentials that it names in secret stores. */
  readonly prepare: (configuration: Configuration) => Promise<void>;
  /** After something was taken in. */
  readonly onTaken: (settings: StoredSettings) => void;
  readonly understand: (sent: Asked) => Promise<Understood>;
}

export type Asked = Parameters<ApplyDocument["apply"]>[0];

/** Refusals that say something about who wanted what; a document that cannot be read is none. */
const AUDITED: readonly ProblemCode[] = [
  "managed_by_file",
  "plan_moved",
  "unconfirmed",
  "old_revision",
  "refused_references",
  "forbidden",
];

/** Rejects with an `ApiProblem`; if that refuses the document, the audit log says so by then. */
export async function applyDocument(
  options: ApplyOptions,
  asked: Asked,
  caller: Caller,
): Promise<AppliedDocument> {
  const known: { understood?: Understood } = {};
  try {
    return await take(options, asked, caller, known);
  } catch (thrown) {
    if (thrown instanceof ApiProblem && AUDITED.includes(thrown.code)) {
      const details = {
        ...refusalOf(asked, known.understood),
        code: thrown.code,
        reason: thrown.message,
      };
      await recordAudit(options.runtime.database.db, entryOf(caller, "document.refuse", details));
    }
    throw thrown;
  }
}

async function take(
  options: ApplyOptions,
  asked: Asked,
  caller: Caller,
  known: { understood?: Understood },
): Promise<AppliedDocument> {
  const { runtime, onTaken } = options;
  const { db } = runtime.database;
  const managing = await managedRow(db);
  if (managing !== undefined) throw managedByFile(managing.file);
  const understood = await options.understand(asked);
  known.understood = understood;
  refuseToApply(asked, understood, caller);
  const { configuration, plan, version } = understood;
  const settings = settingsIn(configuration);
  await options.prepare(configuration);
  const taken = await configure(db, declared(configuration, runtime), {
    revision: configuration.revision ?? null,
    settings,
    expect: version,
    prune: asked.prune,
    unlessManaged: true,
    also: async (tx) => {
      await requireKey(tx, understood);
      await recordAudit(tx, entryOf(caller, "document.apply", detailsOf(asked, understood)));
    },
  });
  refuseTaken(taken);
  if (taken.outcome === "taken") {
    onTaken(settings);
    runtime.kick();
  }
  return { outcome: taken.outcome === "taken" ? "applied" : "unchanged", plan };
}

/** Nothing may be stored that was sealed with a master key which has just been replaced. */
async function requireKey(tx: Db, { sealedKey }: Understood): Promise<void> {
  const { rows } = await tx.execute(
    sql`select 1 from branchline.installation where sealed_key = ${sealedKey} for share`,
  );
  if (rows.length > 0) return;
  throw new ApiProblem("unavailable", "The master key is being replaced. Try again in a moment.", {
    headers: { "retry-after": "1" },
  });
}

function refuseTaken(taken: Taken): void {
  if (taken.outcome === "moved") throw moved(null);
  if (taken.outcome === "old") throw old(taken.revision);
  if (taken.outcome === "managed") throw managedByFile(taken.file);
}

/** Everything that speaks against it, before anything is touched. */
function refuseToApply(
  { plan: expected, confirm }: Asked,
  { configuration, plan, refused, revision, changesAuth }: Understood,
  caller: Caller,
): void {
  const { scopes } = caller.principal;
  if (plan.parts.length > 0 && !scopes.has("admin")) {
    throw new ApiProblem("forbidden", "Changing sources and destinations needs the scope admin.");
  }
  // Else whoever may write could let himself in as admin.
  if (changesAuth && !scopes.has("admin")) {
    throw new ApiProblem("forbidden", "Changing who may use the API needs the scope admin.");
  }
  if (refused.length > 0) {
    const references = refused.map(({ section, name, reason }) => `${section}.${name}: ${reason}`);
    throw new ApiProblem("refused_references", references.join("; "), { members: { references } });
  }
  if (revision !== null && (configuration.revision ?? -1) < revision) throw old(revision);
  if (expected !== undefined && expected !== plan.id) throw moved(plan.id);
  if (plan.unsafe.length > 0 && confirm !== plan.id) {
    throw new ApiProblem("unconfirmed", `${plan.unsafe.join("; ")}. Confirm it with the plan's id.`, {
      members: { unsafe: plan.unsafe, plan: plan.id },
    });
  }
}

const moved = (id: string | null): ApiProblem =>
  new ApiProblem("plan_moved", "What would be done now is not what the plan said. Make a new plan.", {
    members: { plan: id },
  });

const old = (stored: number): ApiProblem =>
  new ApiProblem("old_revision", `Revision ${stored} was applied before, and this one is older.`, {
    members: { stored },
  });

// ---------------------------------------------------------------- audit

const entryOf = (caller: Caller, action: string, details: AuditDetails) => ({
  actor: caller.principal.name,
  action,
  object: "configuration",
  requestId: caller.requestId,
  sourceAddress: caller.sourceAddress,
  details,
});

function refusalOf({ plan, confirm, prune }: Asked, understood: Understood | undefined): AuditDetails {
  return {
    expected: plan ?? null,
    confirm: confirm ?? null,
    prune,
    plan: understood?.plan.id ?? null,
    revision: understood?.configuration.revision ?? null,
  };
}

function detailsOf({ prune, confirm }: Asked, { configuration, plan }: Understood): AuditDetails {
  const rules = plan.rules.filter(({ action }) => action !== "none" && action !== "orphaned");
  return {
    plan: plan.id,
    revision: configuration.revision ?? null,
    prune,
    confirmed: confirm !== undefined,
    rules: rules.map(({ name, action }) => `${action} ${name}`).join(", "),
    parts: plan.parts.map(({ section, name, action }) => `${action} ${section}.${name}`).join(", "),
    ...plan.summary,
  };
}
