/** The nouns of Branchline as the core sees them. Rows of the database and blocks of the file map onto these. */
import type { Code } from "./errors.ts";
import type { Exposure, Fingerprint } from "./ports.ts";
import type { Secret } from "./secret.ts";

// ---------------------------------------------------------------- rules

/** Which branches of a source a rule means. All given conditions must hold; none given: none match. */
export interface BranchSelector {
  /** Globs over the name: `*` stops at `/`, `**` crosses it. A bare string in the file is a list of one. */
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
  readonly default?: boolean | undefined;
  readonly protected?: boolean | undefined;
  /** Has an `expires_at`. */
  readonly expires?: boolean | undefined;
  /** Name of the parent branch. */
  readonly parent?: string | undefined;
  /** Only branches created at least / at most this many milliseconds ago. */
  readonly olderThanMs?: number | undefined;
  readonly youngerThanMs?: number | undefined;
  /** Every annotation named here must have this value (globs as above). */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** How a connection string is written, beside whom it is for. */
export interface ConnectionOptions {
  readonly sslmode: "require" | "verify-ca" | "verify-full";
  readonly channelBinding: boolean;
  /** Adds `options=endpoint%3D<id>` for clients without SNI. */
  readonly sniWorkaround: boolean;
  readonly connectTimeoutSeconds: number | null;
  readonly applicationName: string | null;
  readonly parameters: Readonly<Record<string, string>>;
}

export const DEFAULT_CONNECTION: ConnectionOptions = {
  sslmode: "require",
  channelBinding: true,
  sniWorkaround: false,
  connectTimeoutSeconds: null,
  applicationName: null,
  parameters: {},
};

export type Policy = "mirror" | "upsert-only" | "create-only";
export type OnBranchDelete = "delete" | "retain";
export type Tier = "page" | "ticket" | "quiet";

/** What the user writes, after `extends`, defaults and validation. Immutable; a new text is a new revision. */
export interface Rule {
  readonly name: string;
  /** Names of the source and the destination in the file. */
  readonly source: string;
  readonly destination: string;
  readonly branches: BranchSelector;
  /** Alias to role name. `role: x` in the file is `{ default: "x" }`. */
  readonly roles: Readonly<Record<string, string>>;
  readonly database: string;
  /** The destination's own terms, templates still in place. */
  readonly target: Readonly<Record<string, unknown>>;
  /** Name at the target to expression: `[role.](pooled|direct)[.form][?option=value]`. Presets are expanded. */
  readonly variables: Readonly<Record<string, string>>;
  readonly policy: Policy;
  readonly onBranchDelete: OnBranchDelete;
  /** Declared by the user; null: derived from the target by the adapter. */
  readonly exposure: Exposure | null;
  /** The user's own words why production logins may go to a target of lesser exposure; null: they may not. */
  readonly productionReason: string | null;
  readonly inheritedPassword: "warn" | "refuse";
  readonly proof: "onChange" | "always" | "never";
  /** What becomes of a value that somebody else changed at the target. */
  readonly onDrift: "repair" | "report";
  readonly tier: Tier;
  /** Names at the target that are not ours yet and that the user hands over. */
  readonly adopt: readonly string[];
  readonly connection: ConnectionOptions;
}

/**
 * Names that a person hands over once, by command. What is there must hold the value that is wanted; only with
 * `replace-unreadable` does a value that nobody can read give way, and then it cannot be restored.
 */
export interface Adoption {
  readonly names: readonly string[];
  readonly expect: "same" | "replace-unreadable";
}

// ---------------------------------------------------------------- logins

/** One login with its secret, in memory for the duration of one push. */
export interface LoginMaterial {
  readonly role: string;
  readonly database: string;
  readonly password: Secret;
  readonly endpoint: { readonly id: string; readonly host: string };
  /** Read-only computes of the branch, for expressions that name one; absent: none is known. */
  readonly replicas?: readonly Replica[];
  readonly port: number;
}

/** A read-only compute. Never taken unless an expression names it. */
export interface Replica {
  readonly id: string;
  readonly name: string | null;
  readonly host: string;
}

/** What a rule asks of a branch: one login per alias. */
export interface LoginWanted {
  readonly alias: string;
  readonly role: string;
  readonly database: string;
}

// ---------------------------------------------------------------- rendered

export interface RenderedVariable {
  /** Normalised for the destination. */
  readonly name: string;
  readonly value: Secret;
  readonly fingerprint: Fingerprint;
}

// ---------------------------------------------------------------- states

export const BINDING_STATES = [
  "pending",
  "pushing",
  "synced",
  "drifted",
  "retrying",
  "parked",
  "suspended",
  "orphaned",
  "retained",
  "removed",
] as const;
export type BindingState = (typeof BINDING_STATES)[number];

/** Why a row is where it is, in words for whoever is on call. */
export interface Reason {
  readonly code: Code;
  readonly cause: string;
  readonly next: string;
}

/** One name that we own at a place. */
export interface LedgerEntry {
  readonly name: string;
  readonly bindingId: string;
  /** Of the value we last wrote; null while only claimed. */
  readonly fingerprint: Fingerprint | null;
  /** The vendor's version after that write. */
  readonly version: string | null;
  /** Since when a write of ours may have made it: its claim, or the last look that did not show it. By Postgres. */
  readonly claimedAt: Date;
  /** Fingerprints of all values claimed since the last record: what of ours may be there. */
  readonly claims: readonly Fingerprint[];
  /** The last claim was to take it away: if it went through, what is there now is somebody else's. */
  readonly deleting: boolean;
  /** False: claimed for a write or a delete, and no answer recorded yet. */
  readonly confirmed: boolean;
  /** At least one write of this name has been recorded: it is ours whatever the last claim became. */
  readonly written: boolean;
  /** How often somebody else changed it within the last 24 hours. */
  readonly drifts: number;
}
