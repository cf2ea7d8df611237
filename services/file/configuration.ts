/** What branchline.yaml says, checked as a whole and ready to be applied. */
import type { Problem } from "../config.ts";
import type { Rule } from "../sync/model.ts";
import type { CredentialRef, DestinationAdapter, SourceAdapter } from "../sync/ports.ts";
import type { Auth } from "./auth.ts";

export interface Configuration {
  /** Rises with every edit, by the author's own count: what is older than what was taken in is refused. */
  readonly revision?: number;
  readonly sources: readonly NamedBlock[];
  readonly destinations: readonly NamedBlock[];
  readonly rules: readonly Rule[];
  readonly webhooks: Webhooks;
  /** Who else may use the API; undefined: nobody but holders of our own tokens. */
  readonly auth?: Auth;
  /** How often a source is asked what moved; undefined: the built-in default. */
  readonly watch?: { readonly intervalMs: number };
  /** Within what span every place is looked at once; undefined: the built-in default. */
  readonly sweep?: { readonly everyMs: number };
  /** What is allowed and yet probably a mistake. */
  readonly warnings?: readonly FileWarning[];
  /** Where each source, destination and rule begins, and webhooks: `rules.web` to `branchline.yaml:41:5`. */
  readonly positions?: Readonly<Record<string, string>>;
}

export interface NamedBlock {
  readonly name: string;
  /** The adapter's. */
  readonly kind: string;
  /** As the adapter's `block` schema gives it: defaults filled in, credentials as references. Plain JSON. */
  readonly block: unknown;
}

export interface Webhooks {
  readonly github?: {
    /** Any of them may have signed: two while one replaces the other. */
    readonly secrets: readonly CredentialRef[];
    /** `owner/name` to the names of the sources that its events concern. */
    readonly repositories: Readonly<Record<string, readonly string[]>>;
  };
  readonly neon?: { readonly secrets: readonly CredentialRef[] };
}

/** The vendors that a file may name. */
export interface Adapters {
  readonly sources: readonly SourceAdapter[];
  readonly destinations: readonly DestinationAdapter[];
}

/** One thing that is wrong with the file. `where` reads `branchline.yaml:12:5 rules.web.tier`. */
export interface FileProblem extends Problem {
  /** `rules.web-preview.variables.DATABASE_URL`; empty for the file as a whole. */
  readonly path: string;
  /** The same as a JSON pointer (RFC 6901). */
  readonly pointer: string;
  /** From 1. Of the text that is wrong, which may stand in the rule that is extended. */
  readonly line: number;
  readonly column: number;
}

/** As a problem; the rule and a word for programs beside it. */
export interface FileWarning extends FileProblem {
  readonly rule: string;
  /** `migrations_over_pooler`, `preset_caution`. */
  readonly code: string;
}

export type Path = readonly (string | number)[];
