/** Plans and takes in documents that somebody sends: the API's ports, on the file's reader and the workers' foresight. */
import { foresee } from "../../workers/foresee.ts";
import { surveyDocument } from "../../workers/import.ts";
import type { Runtime } from "../../workers/runtime.ts";
import { type AppliedDocument, type ApplyDocument, managedByFile } from "../api/apply.ts";
import type { ImportDocument } from "../api/import.ts";
import type { PlanDocument } from "../api/plan.ts";
import type { Caller } from "../api/ports.ts";
import { ApiProblem } from "../api/problems.ts";
import { ConfigurationError, type EnvironmentVariables, refuseReference } from "../config.ts";
import { destinations } from "../destinations/index.ts";
import type { Configuration, FileProblem } from "../file/configuration.ts";
import type { Kept } from "../file/kept.ts";
import { loadPosted, refuseReferences, type SentFile } from "../file/posted.ts";
import { sourceAdapters } from "../sources/index.ts";
import { type AuditDetails, recordAudit } from "../store/audit.ts";
import { configurationRow } from "../store/configuration.ts";
import { configure, digestOf, same } from "../store/configure.ts";
import { liveDestinations } from "../store/destination.ts";
import { countProgress } from "../store/progress.ts";
import { liveSources } from "../store/source.ts";
import type { DocumentImport } from "../sync/document-import.ts";
import type { DocumentPlan, PlanPart } from "../sync/document-plan.ts";
import { declared, identified, type StoredSettings, settingsIn } from "./declared.ts";
import { Sealing } from "./sealed.ts";

export interface DocumentsOptions {
  readonly runtime: Runtime;
  /** What comes along with a document is sealed by it. */
  readonly masterKey: Uint8Array;
  /** Patterns of BRANCHLINE_REFS. */
  readonly allowed: readonly string[];
  /** The server was started with a file of its own: nothing else is taken in. */
  readonly managedByFile: boolean;
  /** Where `env:` references are looked up. Default: the process's own environment. */
  readonly environment?: EnvironmentVariables;
  /** Before something is taken in: reads the credentials that it names in secret stores. */
  readonly prepare: (configuration: Configuration) => Promise<void>;
  /** After something was taken in. */
  readonly onTaken: (settings: StoredSettings) => void;
}

interface Sent {
  readonly files: readonly SentFile[];
  readonly prune: boolean;
}

interface Understood {
  readonly configuration: Configuration;
  readonly plan: DocumentPlan;
  /** References that the document may not name. */
  readonly refused: readonly PlanPart[];
  readonly version: number;
  /** Of the document that was taken in last; null: it had none. */
  readonly revision: number | null;
  /** It says otherwise than before who may use the API. */
  readonly changesAuth: boolean;
}

const ADAPTERS = { sources: sourceAdapters, destinations: [...destinations.values()] };

/** Longer than any plan should take; what cannot be looked at by then is said to be unchecked. */
const PLAN_MS = 120_000;

export function createDocuments(options: DocumentsOptions): {
  plan: PlanDocument;
  survey: ImportDocument;
  document: ApplyDocument;
} {
  return {
    plan: async (sent) => (await understand(options, sent)).plan,
    survey: async (asked) => await survey(options, asked),
    document: {
      apply: async (asked, caller) => await apply(options, asked, caller),
      progress: async () => await countProgress(options.runtime.database.db),
    },
  };
}

/** What is referred to is resolved by nobody: only what is stored already is contacted, with its own credentials. */
async function survey(
  { runtime, masterKey }: DocumentsOptions,
  { files, replaceUnreadable }: Parameters<ImportDocument>[0],
): Promise<DocumentImport> {
  const { db } = runtime.database;
  const stored = { sources: await liveSources(db), destinations: await liveDestinations(db), webhooks: {} };
  const sealing = new Sealing(masterKey, runtime.fingerprint, stored);
  const { configuration } = sealing.settle(read(files, sealing.kept, { withoutVariables: true }));
  const posted = {
    sources: identified(configuration),
    destinations: configuration.destinations,
    rules: configuration.rules,
  };
  return await surveyDocument(runtime, posted, { replaceUnreadable, signal: AbortSignal.timeout(PLAN_MS) });
}

async function understand(options: DocumentsOptions, sent: Sent): Promise<Understood> {
  const { runtime, allowed, environment } = options;
  const { db } = runtime.database;
  const before = await configurationRow(db);
  const inForce = {
    sources: await liveSources(db),
    destinations: await liveDestinations(db),
    webhooks: (before?.settings as StoredSettings | undefined)?.webhooks ?? {},
  };
  const sealing = new Sealing(options.masterKey, runtime.fingerprint, inForce);
  const { configuration, refused: asked } = sealing.settle(read(sent.files, sealing.kept));
  const refused = [
    ...asked,
    ...refuseReferences(configuration, inForce, {
      allowed,
      same,
      refuse: (ref) => refuseReference(ref, environment),
    }),
  ];
  const posted = {
    sources: identified(configuration),
    destinations: configuration.destinations,
    rules: configuration.rules,
  };
  const { plan, version } = await foresee(runtime, posted, {
    prune: sent.prune,
    digest: digestOf([posted, settingsIn(configuration), configuration.revision ?? null]),
    refused,
    warnings: (configuration.warnings ?? []).map(({ rule, code, problem, hint, where }) => ({
      rule,
      branch: null,
      code,
      message: `${where}: ${problem}`,
      hint,
    })),
    signal: AbortSignal.timeout(PLAN_MS),
  });
  return {
    configuration: sealing.seal(configuration),
    plan,
    refused,
    version,
    revision: before?.revision ?? null,
    changesAuth:
      digestOf([(before?.settings as StoredSettings | undefined)?.auth ?? null]) !==
      digestOf([configuration.auth ?? null]),
  };
}

function read(
  files: readonly SentFile[],
  kept: Kept,
  rules?: Parameters<typeof loadPosted>[3],
): Configuration {
  try {
    return loadPosted(files, ADAPTERS, kept, rules);
  } catch (thrown) {
    if (!(thrown instanceof ConfigurationError)) throw thrown;
    const problems = thrown.problems as readonly FileProblem[];
    throw new ApiProblem("invalid_document", "Something in the document is wrong.", {
      members: { problems },
    });
  }
}

type Asked = Parameters<ApplyDocument["apply"]>[0];

async function apply(options: DocumentsOptions, asked: Asked, caller: Caller): Promise<AppliedDocument> {
  if (options.managedByFile) throw managedByFile();
  const { runtime, onTaken } = options;
  const understood = await understand(options, asked);
  refuseToApply(asked, understood, caller);
  const { configuration, plan, version } = understood;
  const settings = settingsIn(configuration);
  await options.prepare(configuration);
  const taken = await configure(runtime.database.db, declared(configuration, runtime), {
    revision: configuration.revision ?? null,
    settings,
    expect: version,
    prune: asked.prune,
    also: async (tx) => {
      await recordAudit(tx, {
        actor: caller.principal.name,
        action: "document.apply",
        object: "configuration",
        requestId: caller.requestId,
        sourceAddress: caller.sourceAddress,
        details: detailsOf(asked, understood),
      });
    },
  });
  if (taken.outcome === "moved") throw moved(null);
  if (taken.outcome === "old") throw old(taken.revision);
  if (taken.outcome === "taken") {
    onTaken(settings);
    runtime.kick();
  }
  return { outcome: taken.outcome === "taken" ? "applied" : "unchanged", plan };
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
