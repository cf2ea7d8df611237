/** A document that somebody sends: it may be a stranger's, so what it refers to is looked at before it is resolved. */
import { allowedReference, refuseReference } from "../config.ts";
import type { PlanPart } from "../sync/document-plan.ts";
import type { CredentialRef } from "../sync/ports.ts";
import type { Adapters, Configuration, Webhooks } from "./configuration.ts";
import { sentLibrary } from "./includes.ts";
import type { Kept } from "./kept.ts";
import { credentialsIn, type LoadOptions, loadText } from "./load.ts";

/** The main file and those that it includes; names are relative to its folder. */
export interface SentFile {
  readonly name: string;
  readonly text: string;
}

/** Resolves nothing and reads no file. Throws `ConfigurationError<FileProblem>` with every problem. */
export function loadPosted(
  files: readonly SentFile[],
  adapters: Adapters,
  kept?: Kept,
  rules: Pick<LoadOptions, "withoutVariables"> = {},
): Configuration {
  const [main, ...others] = files;
  return loadText(main?.text ?? "", {
    adapters,
    name: main?.name ?? "branchline.yaml",
    refuse: () => null,
    ...rules,
    ...(kept === undefined ? {} : { kept }),
    library: sentLibrary(Object.fromEntries(others.map(({ name, text }) => [name, text]))),
  });
}

/** What is in force: a block that is as it was may go on naming what it named. */
export interface InForce {
  readonly sources: readonly { readonly name: string; readonly block: unknown }[];
  readonly destinations: readonly { readonly name: string; readonly block: unknown }[];
  readonly webhooks: Webhooks;
}

export interface ReferenceRules {
  /** Patterns of BRANCHLINE_REFS. */
  readonly allowed: readonly string[];
  readonly same: (a: unknown, b: unknown) => boolean;
  /** Why an allowed reference gives no credential, or null. Default: it must resolve here and now. */
  readonly refuse?: (ref: CredentialRef) => string | null;
}

/** One refusal for each block that names what it may not name, or what is not there. Only what is allowed is resolved. */
export function refuseReferences(
  { sources, destinations, webhooks, positions = {} }: Configuration,
  inForce: InForce,
  rules: ReferenceRules,
): PlanPart[] {
  const blocks = [
    ...sources.map((one) => ({ ...one, section: "sources" as const })),
    ...destinations.map((one) => ({ ...one, section: "destinations" as const })),
  ];
  const hooks = { section: "webhooks" as const, name: "webhooks", block: webhooks };
  const stored = { ...inForce, webhooks: [{ name: "webhooks", block: inForce.webhooks }] };
  return [...blocks, hooks].flatMap(({ section, name, block }) => {
    const before = stored[section].find((one) => one.name === name)?.block;
    if (rules.same(before ?? null, block)) return [];
    return credentialsIn(block, []).flatMap(({ ref, path }) => {
      const reason = refuseOne({ ref }, rules);
      return reason === null
        ? []
        : [
            {
              section,
              name,
              at: positions[`${section}.${name}`] ?? null,
              action: "refuse" as const,
              reason: `${path.join(".")}: ${reason}`,
            },
          ];
    });
  });
}

/** What came along with the document, or was sealed before, is nobody else's to name. */
const isOwn = ({ ref }: CredentialRef): boolean => /^(inline|sealed):/.test(ref);

function refuseOne(ref: CredentialRef, { allowed, refuse = refuseReference }: ReferenceRules): string | null {
  if (isOwn(ref)) return null;
  if (!allowedReference(ref.ref, allowed)) {
    return "BRANCHLINE_REFS of the server does not allow this reference, and the block is new or changed";
  }
  return refuse(ref);
}
