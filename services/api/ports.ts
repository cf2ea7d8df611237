/** What the API needs from the rest. `workers/main.ts` passes the store's implementations. */
import type { HttpBindings } from "@hono/node-server";
import type { Adoption } from "../sync/model.ts";
import type { Secret } from "../sync/secret.ts";
import type { Hint, Ignored } from "../webhooks/result.ts";
import type { BindingItem } from "./bindings.ts";

// ---------------------------------------------------------------- webhooks

export interface Ingested {
  /** Of the event that was recorded, or of the earlier one that this delivery repeats. */
  readonly id: string;
  readonly outcome: "accepted" | "duplicate" | "ignored";
  /** Why it was ignored, in words. */
  readonly reason: string | null;
}

/**
 * Records a verified delivery and makes due what it points at. Resolves only after the commit: the
 * sender is told 202 then and may forget it. A project or repository nobody configured is recorded
 * and `ignored`. Rejects if it could not be recorded, and the sender is told 5xx.
 */
export type Ingest = (delivery: Hint | Ignored) => Promise<Ingested>;

export interface WebhookSecrets {
  /** All that are valid now, asked again for every delivery. None: every delivery is refused. */
  github(): readonly Secret[];
  neon(): readonly Secret[];
}

// ---------------------------------------------------------------- lists

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Where the next page begins, in the reader's own terms; null: this was the last. */
  readonly next: string | null;
}

/** One noun as the API shows it. Filters left out do not filter; what matches nothing gives an empty page. */
export interface Reader<Item, Filter> {
  /**
   * At most `limit` items after `after` (a former `next`, or null for the first page). The order is
   * total and stays, so that paging neither repeats nor skips what was there all the while.
   * Null if `after` is none of ours.
   */
  list(query: { limit: number; after: string | null; filter: Filter }): Promise<Page<Item> | null>;
  get(id: string): Promise<Item | null>;
}

// ---------------------------------------------------------------- callers

export const SCOPES = ["read", "write", "admin", "reveal"] as const;
export type Scope = (typeof SCOPES)[number];

export interface Principal {
  /** For the audit log: "admin token", later a token's name. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** With the scope reveal: also what opens a default or protected branch. */
  readonly revealDefault: boolean;
}

/** Who a bearer token belongs to, or null. Takes equally long whether the token is nearly right or not at all. */
export type Authenticate = (token: Secret) => Promise<Principal | null>;

// ---------------------------------------------------------------- what opens a branch

/** Who asks, for the decision and for the audit log. */
export interface Caller {
  readonly principal: Principal;
  readonly requestId: string;
  /** As the socket has it; null without one. */
  readonly sourceAddress: string | null;
}

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
}

export interface VariablesRequest extends LoginRequest {
  /** At most one of the two is said; neither: the preset `vercel`. */
  readonly preset: string | null;
  readonly rule: string | null;
}

export interface Variables {
  readonly branch: string;
  readonly variables: readonly { readonly name: string; readonly value: Secret; readonly secret: boolean }[];
}

/**
 * Asks Neon at this very moment and writes the audit log before it resolves. Rejects with an `ApiProblem` that
 * names the parameter: nothing is ever taken for what was not there, least of all the default branch.
 */
export interface Reveal {
  connection(request: ConnectionRequest, caller: Caller): Promise<Connection>;
  variables(request: VariablesRequest, caller: Caller): Promise<Variables>;
}

/** The branches of a rule's source, each with why the rule means it or not; null: there is no such rule. */
export type Matching = (rule: string) => Promise<Matched | null>;

export interface Matched {
  readonly rule: string;
  readonly source: string;
  readonly matches: number;
  readonly of: number;
  readonly branches: readonly {
    readonly id: string;
    readonly name: string;
    readonly matches: boolean;
    readonly why: string;
  }[];
  /** Names that the patterns miss by little. */
  readonly nearMisses: readonly string[];
}

// ---------------------------------------------------------------- commands

/** What a person tells a binding to do. */
export type Order =
  | { readonly command: "push" | "release" | "suspend" | "resume" }
  | {
      readonly command: "adopt";
      /** Null: all that its rule writes. */
      readonly names: readonly string[] | null;
      readonly expect: Adoption["expect"];
    };

export interface Told {
  readonly binding: BindingItem;
  readonly names: readonly string[];
  readonly note: string | null;
}

/**
 * Does it and writes the audit log, together or not at all; null: there is no such binding. Rejects with an
 * `ApiProblem` if the binding's state does not allow it.
 */
export type Tell = (bindingId: string, order: Order, caller: Caller) => Promise<Told | null>;

// ---------------------------------------------------------------- health

/** One thing that must be so before this process can do its work. */
export interface Probe {
  /** "database", "migrations". */
  readonly name: string;
  /** Null if all is well, else what is missing, in words. A rejection or no answer in 2 seconds counts as missing. */
  check(): Promise<string | null>;
}

// ---------------------------------------------------------------- Hono

export interface ApiEnv {
  /** Node's own request and answer; empty where the app is called without a socket, as in tests. */
  Bindings: Partial<HttpBindings>;
  Variables: { requestId: string; principal: Principal };
}
