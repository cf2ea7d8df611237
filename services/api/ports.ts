/** What the API needs from the rest. `workers/main.ts` passes the store's implementations. */
import type { HttpBindings } from "@hono/node-server";
import type { Secret } from "../sync/secret.ts";
import type { Hint, Ignored } from "../webhooks/result.ts";

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
}

/** Who a bearer token belongs to, or null. Takes equally long whether the token is nearly right or not at all. */
export type Authenticate = (token: Secret) => Promise<Principal | null>;

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
