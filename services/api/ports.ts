/** What the API needs from the rest. `workers/main.ts` passes the store's implementations. */
import type { HttpBindings } from "@hono/node-server";
import type { Verified } from "../store/audit.ts";
import type { Adoption } from "../sync/model.ts";
import type { Secret } from "../sync/secret.ts";
import type { Hint, Ignored } from "../webhooks/result.ts";
import type { AuditFilter, AuditItem } from "./audits.ts";
import type { BindingItem } from "./bindings.ts";
import type { BranchItem } from "./branches.ts";
import type { CustodyRow } from "./custody.ts";
import type { DestinationItem } from "./destinations.ts";
import type { EventItem } from "./events.ts";
import type { InstallationItem } from "./installation.ts";
import type { SourceItem } from "./sources.ts";
import type { NewToken, TokenChange, TokenFilter, TokenItem } from "./tokens.ts";
import type { Stand } from "./wait.ts";

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

export interface ListQuery<Filter> {
  readonly limit: number;
  readonly after: string | null;
  readonly filter: Filter;
  /** Of the caller; what lies outside is not counted either. */
  readonly limits: Limits | null;
}

/** One noun as the API shows it. Filters left out do not filter; what matches nothing gives an empty page. */
export interface Reader<Item, Filter> {
  /**
   * At most `limit` items after `after` (a former `next`, or null for the first page). The order is
   * total and stays, so that paging neither repeats nor skips what was there all the while.
   * Null if `after` is none of ours.
   */
  list(query: ListQuery<Filter>): Promise<Page<Item> | null>;
  /** Null also for what lies outside the limits: whoever may not see it is not told that it is there. */
  get(id: string, limits: Limits | null): Promise<Item | null>;
}

// ---------------------------------------------------------------- callers

export const SCOPES = ["read", "write", "admin", "reveal"] as const;
export type Scope = (typeof SCOPES)[number];

/** What a token is confined to. Null: by nothing in this respect; an empty list would be nothing at all. */
export interface Limits {
  /** Names of sources. */
  readonly sources: readonly string[] | null;
  /** Globs over names of branches, as in a rule. */
  readonly branches: readonly string[] | null;
  /** Names of destinations. */
  readonly destinations: readonly string[] | null;
}

export interface Principal {
  /** Stays the same for as long as the token lives: what requests and repeats are counted by. */
  readonly id: string;
  /** For the audit log: "admin token", or a token's name. */
  readonly name: string;
  /** Null: everything that is there. */
  readonly limits: Limits | null;
  readonly scopes: ReadonlySet<Scope>;
  /** With the scope reveal: also what opens a default or protected branch. */
  readonly revealDefault: boolean;
  /** The commit that the token was given for, where its provider says so; null: any. */
  readonly commit?: string | null;
}

/** Who a bearer token belongs to, or null. Takes equally long whether the token is nearly right or not at all. */
export type Authenticate = (token: Secret) => Promise<Principal | null>;

// ---------------------------------------------------------------- repeated requests

/** What is known of a request with this key. */
export type Before =
  /** It is the first; whoever asked does it now. */
  | { readonly kind: "new" }
  /** The key came with another request. */
  | { readonly kind: "other" }
  | { readonly kind: "under-way" }
  | { readonly kind: "not-kept" }
  | { readonly kind: "done"; readonly status: number; readonly body: string };

/** Remembers requests by owner and key for a day. */
export interface Repeats {
  begin(owner: string, key: string, request: string): Promise<Before>;
  /** Null: the answer is not to be kept. */
  end(owner: string, key: string, answer: { status: number; body: string } | null): Promise<void>;
  /** It came to nothing: the key is free again. */
  forget(owner: string, key: string): Promise<void>;
}

/** Who asks, for the decision and for the audit log. */
export interface Caller {
  readonly principal: Principal;
  readonly requestId: string;
  /** As the socket has it; null without one. */
  readonly sourceAddress: string | null;
  /** The version of what is acted upon, from `If-Match`; null or left out: whichever it is. */
  readonly ifMatch?: string | null;
}

// ---------------------------------------------------------------- what rules mean

/** The branches of a rule's source, each with why the rule means it or not; null: there is no such rule. */
export type Matching = (rule: string, limits: Limits | null) => Promise<Matched | null>;

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
  | { readonly command: "push" | "sweep" | "release" | "suspend" | "resume" }
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

/**
 * Lets go the deletes that a source holds: of these branches, or of all that are missing (null). Null: no such
 * source. Rejects with `conflict` if nothing is held.
 */
export type Confirm = (
  sourceIdOrName: string,
  branchIds: readonly string[] | null,
  caller: Caller,
) => Promise<{
  readonly source: SourceItem;
  readonly confirmed: readonly { readonly id: string; readonly name: string }[];
} | null>;

/** Makes due again what an event points at; null: no such event. */
export type Redeliver = (eventId: string, caller: Caller) => Promise<EventItem | null>;

/** Stops and starts the writing, with the audit log written in the same transaction. */
export interface Suspend {
  destination(idOrName: string, suspended: boolean, caller: Caller): Promise<DestinationItem | null>;
  installation(): Promise<InstallationItem>;
  /** Null: writes go on again. */
  all(reason: string | null, caller: Caller): Promise<InstallationItem>;
}

/** Pauses the writes of a branch from now on; null ends the pause. Resolves with null: no such branch. */
export type Hold = (
  branchId: string,
  hold: { readonly forSeconds: number; readonly reason: string } | null,
  caller: Caller,
) => Promise<BranchItem | null>;

// ---------------------------------------------------------------- how things stand

export interface Standing {
  /** Of the destinations that are named, or of all. Null: no such branch. */
  of(branchId: string, destinations: readonly string[] | null, limits: Limits | null): Promise<Stand | null>;
  /** Resolves after so long, sooner if something may have changed. */
  pause(ms: number): Promise<void>;
}

/** Where the credentials of a branch live; null: no such branch. */
export type CustodyOf = (
  branchId: string,
  limits: Limits | null,
) => Promise<{
  readonly branch: { readonly id: string; readonly name: string; readonly source: string };
  readonly at: string;
  readonly held: readonly CustodyRow[];
} | null>;

export interface AuditTrail extends Pick<Reader<AuditItem, AuditFilter>, "list"> {
  /** All rows after this number, in order, a page at a time. */
  export(after: number): AsyncIterator<readonly AuditItem[]>;
  verify(): Promise<Verified>;
}

/** A binding as it is after its state changed; `id` says where a stream may go on. */
export interface Change {
  readonly id: string;
  readonly binding: BindingItem;
}

export interface Changes {
  /**
   * Tells of every change from now on, or since a former `id`, within the limits, until the answer is called.
   * `began`: what changes after this is told. `ended`: nothing more comes, since the process stops.
   */
  follow(follower: {
    readonly since: string | null;
    readonly limits: Limits | null;
    began(): void;
    take(change: Change): void;
    ended(): void;
  }): () => void;
}

// ---------------------------------------------------------------- tokens

export interface Tokens extends Reader<TokenItem, TokenFilter> {
  /** `secret` is the token itself; it is nowhere else. */
  create(fresh: NewToken, caller: Caller): Promise<{ readonly token: TokenItem; readonly secret: Secret }>;
  /** Both: null: no such token. Rejects with `precondition_failed` if the caller means another revision. */
  change(id: string, change: TokenChange, caller: Caller): Promise<TokenItem | null>;
  revoke(id: string, caller: Caller): Promise<TokenItem | null>;
}

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
  Variables: {
    requestId: string;
    principal: Principal;
    /** The same token asked about once more; null: it is good for nothing any more. */
    again: () => Promise<Principal | null>;
  };
}
