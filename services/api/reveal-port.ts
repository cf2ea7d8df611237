/** What the API asks for where a value is to be shown: what opens a branch, read at this moment. */
import type { Secret } from "../sync/secret.ts";
import type { Caller } from "./ports.ts";

/** Null throughout: not said. */
export interface LoginRequest {
  /** Id or name. */
  readonly source: string;
  /** Name or Neon's id; null means the default branch. */
  readonly branch: string | null;
  readonly role: string | null;
  readonly database: string | null;
}

export interface ConnectionRequest extends LoginRequest {
  readonly pooled: boolean;
  /** Name of a form; null: the URL. */
  readonly form: string | null;
}

export interface Connection {
  readonly value: Secret;
  readonly branch: string;
  readonly role: string;
  readonly database: string;
  readonly warning: Warning;
}

/** Who else accepts a password, where that should be known; null: nobody of whom this caller has to know. */
type Warning = string | null;

/** A commit of a git branch, as GitHub names the two. */
export interface Commit {
  readonly gitBranch: string;
  readonly sha: string;
}

export interface VariablesRequest extends LoginRequest {
  /** Neon must have been looked at since this commit was heard of; null: no matter. */
  readonly commit: Commit | null;
  /** At most one of the two is said; neither: the preset `vercel`. */
  readonly preset: string | null;
  readonly rule: string | null;
}

export interface Variables {
  readonly branch: string;
  readonly variables: readonly { readonly name: string; readonly value: Secret; readonly secret: boolean }[];
  readonly warning: Warning;
}

/**
 * Asks Neon at this very moment and writes the audit log before it resolves. Rejects with an `ApiProblem` that
 * names the parameter: nothing is ever taken for what was not there, least of all the default branch.
 */
export interface Reveal {
  connection(request: ConnectionRequest, caller: Caller): Promise<Connection>;
  variables(request: VariablesRequest, caller: Caller): Promise<Variables>;
}
