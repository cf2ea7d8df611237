/** What a webhook's body and headers turn into. Nothing in here is believed beyond "look there". */

export const GITHUB_KINDS = ["create", "delete", "push", "pull_request", "ping"] as const;
export type GitHubKind = (typeof GITHUB_KINDS)[number];

export const NEON_KINDS = [
  "branch.created",
  "branch.updated",
  "branch.deleted",
  "role.password_reset",
] as const;
export type NeonKind = (typeof NEON_KINDS)[number];

export interface Repository {
  /** Stays the same when the repository is renamed or transferred. */
  readonly id: number;
  /** `owner/name` at the time of the delivery. */
  readonly fullName: string;
}

export interface GitHubHint {
  readonly origin: "github";
  /** `X-GitHub-Delivery`: a redelivery has the same. */
  readonly deliveryId: string;
  readonly kind: GitHubKind;
  /** Null only for the ping of an organization's webhook. */
  readonly repository: Repository | null;
  /** Short name; for a pull request that of its head. Null only for a ping. */
  readonly gitBranch: string | null;
  /** Of a pull request as sent; of a push `created`, `updated` or `deleted`; else null. */
  readonly action: string | null;
  /** The commit that the git branch points at from then on; null: none, or the event does not say. */
  readonly sha: string | null;
  /** The git branch lives in somebody else's repository, or in one that is gone: give it nothing. */
  readonly fork: boolean;
}

export interface NeonHint {
  readonly origin: "neon";
  /** `webhook-id`: the same on every repeat of one message. */
  readonly deliveryId: string;
  readonly kind: NeonKind;
  readonly projectId: string;
  /** Null: look at the whole project. */
  readonly branchId: string | null;
  readonly role: string | null;
}

/** Somewhere something may have changed. */
export type Hint = GitHubHint | NeonHint;

/** Authentic, and of no use to us: recorded with the reason, so that nobody has to guess. */
export interface Ignored {
  readonly origin: "github" | "neon";
  readonly deliveryId: string;
  /** The event, with its action if it has one: `pull_request.labeled`. */
  readonly kind: string;
  readonly reason: string;
}

export type RefusalCode = "bad_signature" | "stale_timestamp" | "malformed" | "unsupported_media_type";

export type WebhookResult =
  | { readonly result: "hint"; readonly hint: Hint }
  | { readonly result: "ignored"; readonly ignored: Ignored }
  /** Leaves no row behind. `detail` is in our words and quotes nothing. */
  | { readonly result: "refused"; readonly code: RefusalCode; readonly detail: string };

/** A webhook as it came in: headers, and the body before anything touched it. */
export interface Delivery {
  readonly headers: Pick<Headers, "get">;
  readonly body: Uint8Array;
}

export function refused(code: RefusalCode, detail: string): WebhookResult {
  return { result: "refused", code, detail };
}
