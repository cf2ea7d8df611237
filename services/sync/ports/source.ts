/** The contract of a source, and of a proof by login. */
import type { z } from "zod";
import type { AccountLimits } from "../limits.ts";
import type { Secret } from "../secret.ts";
import type { IdentifyCredential, Io, ResolveCredential } from "./io.ts";

export interface SourceEndpoint {
  readonly id: string;
  /** What somebody called it; null or absent: it has only its id. */
  readonly name?: string | null;
  /** As the vendor gives it, direct. Never built from a region. */
  readonly host: string;
  readonly type: "read_write" | "read_only";
  readonly disabled: boolean;
  /** Running right now, so that a login does not wake it. */
  readonly active: boolean;
}

export interface SourceBranch {
  readonly id: string;
  readonly name: string;
  readonly parentId: string | null;
  readonly default: boolean;
  readonly protected: boolean;
  readonly expiresAt: Date | null;
  readonly createdAt: Date;
  /** Free text of the vendor; unknown values are normal. */
  readonly state: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly endpoints: readonly SourceEndpoint[];
}

export interface SourceRole {
  readonly name: string;
  /** False for NOLOGIN and OAuth roles, which have no password to reveal. */
  readonly login: boolean;
}

/** Everything a push may need to know about one branch, read in one go. */
export interface BranchReading {
  readonly branch: SourceBranch;
  readonly roles: readonly SourceRole[];
  readonly databases: readonly { readonly name: string; readonly owner: string }[];
  /** By role name; only of the roles that were asked for and can log in. */
  readonly passwords: ReadonlyMap<string, Secret>;
}

/** What a login is made of, of a branch whose roles and databases are known. */
export type LoginReading = Pick<BranchReading, "branch" | "passwords">;

/** What moved since a cursor: a dirty flag, not the truth. */
export interface Moved {
  /** Opaque; stored, and given back on the next call. */
  readonly cursor: string;
  /** Ids of branches with operations since. Unknown ids are normal. */
  readonly branchIds: ReadonlySet<string>;
  /** True if the vendor could not say what moved since the cursor (too old): look at everything. */
  readonly everything: boolean;
}

export interface SourceAdapter<Block = unknown> {
  readonly kind: string;
  readonly block: z.ZodType<Block>;
  /** The thing that makes two sources different (Neon: host and project id). */
  identity(block: Block): string;
  /** As of a destination. */
  limits?(block: Block, identify: IdentifyCredential): AccountLimits;
  open(block: Block, credential: ResolveCredential, io: Io): Source;
}

export interface Source {
  /** Credential works and belongs to what the configuration names. */
  check(): Promise<void>;
  /**
   * At rest one call. `cursor` null: first look, `everything` is true. `listed`: what `branches()` has just answered, so
   * that nothing of it is asked again.
   */
  moved(cursor: string | null, listed?: readonly SourceBranch[]): Promise<Moved>;
  /** All branches with their endpoints. Throws rather than answer with a part. */
  branches(): Promise<readonly SourceBranch[]>;
  /** Null only on a definite "does not exist" for this branch in a project that answers. */
  branch(id: string): Promise<SourceBranch | null>;
  /**
   * Branch, roles, databases, and the passwords of the named roles. Null as `branch()`. A role that is
   * missing or cannot log in is simply not in `passwords`. Throws `source_unready` if the project
   * stores no passwords.
   */
  read(id: string, roles: readonly string[]): Promise<BranchReading | null>;
  /** The part of `read()` that may have moved since. `roles` are known to log in; one that is missing is left out. */
  reread(id: string, roles: readonly string[]): Promise<LoginReading | null>;
  /** What the vendor itself has connected to it and keeps in step: "vercel". Left out: it has nothing of the kind. */
  integrations?(): Promise<readonly string[]>;
}

/** One login to try: exactly what a consumer would use. */
export interface LoginAttempt {
  readonly host: string;
  readonly port: number;
  readonly role: string;
  readonly database: string;
  readonly password: Secret;
}

export interface Proof {
  readonly role: string;
  readonly database: string;
  readonly ms: number;
}

/**
 * Logs in with TLS and server name, sees role and database, closes. Resolves only when the role and
 * database that answered are those that were meant. Throws `proof_failed` with the diagnosis as
 * message, or `unavailable` while the endpoint starts.
 */
export type Prove = (attempt: LoginAttempt, signal: AbortSignal) => Promise<Proof>;
