/** Plans and takes in documents that somebody sends: the API's ports, on the file's reader and the workers' foresight. */
import { foresee } from "../../workers/foresee.ts";
import { surveyDocument } from "../../workers/import.ts";
import type { Runtime } from "../../workers/runtime.ts";
import type { ApplyDocument } from "../api/apply.ts";
import type { ImportDocument } from "../api/import.ts";
import type { PlanDocument } from "../api/plan.ts";
import { ApiProblem } from "../api/problems.ts";
import { ConfigurationError, type EnvironmentVariables, refuseReference } from "../config.ts";
import { destinations } from "../destinations/index.ts";
import type { Configuration, FileProblem } from "../file/configuration.ts";
import type { Kept } from "../file/kept.ts";
import { loadPosted, refuseReferences, type SentFile } from "../file/posted.ts";
import { sourceAdapters } from "../sources/index.ts";
import { configurationRow } from "../store/configuration.ts";
import { digestOf, same } from "../store/configure.ts";
import { liveDestinations } from "../store/destination.ts";
import { installationRow } from "../store/installation.ts";
import { countProgress } from "../store/progress.ts";
import { liveSources } from "../store/source.ts";
import type { DocumentImport } from "../sync/document-import.ts";
import type { Keyring } from "../sync/keyring.ts";
import { applyDocument, type Understood } from "./apply-document.ts";
import { identified, type StoredSettings, settingsIn } from "./declared.ts";
import { Sealing } from "./sealed.ts";

export interface DocumentsOptions {
  readonly runtime: Runtime;
  /** What comes along with a document is sealed by it. */
  readonly masterKey: Keyring;
  /** Patterns of BRANCHLINE_REFS. */
  readonly allowed: readonly string[];
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
      apply: async (asked, caller) =>
        await applyDocument(
          { ...options, understand: async (sent) => await understand(options, sent) },
          asked,
          caller,
        ),
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
  const { sealedKey } = await installationRow(db);
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
  const { positions = {} } = configuration;
  // Where something stands says nothing about what is to be: a comment more is still the same document.
  const placed = { ...posted, positions };
  const { plan } = await foresee(runtime, placed, {
    prune: sent.prune,
    digest: digestOf([posted, settingsIn(configuration), configuration.revision ?? null]),
    refused,
    warnings: (configuration.warnings ?? []).map(({ rule, code, problem, hint, where }) => ({
      rule,
      at: where.split(" ")[0] ?? null,
      branch: null,
      code,
      message: `${where}: ${problem}`,
      hint,
    })),
    signal: AbortSignal.timeout(PLAN_MS),
  });
  return {
    configuration: sealing.seal(configuration, sealedKey),
    plan,
    refused,
    // What was kept of the state was read first: whoever changed it since has moved it on.
    version: before?.version ?? 0,
    sealedKey,
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
