/** What an adapter may do to the outside, and where its credentials come from. */
import type { Secret } from "../secret.ts";

/** Keyed hash of a value: comparable, not reversible, useless without the installation's key. */
export type Fingerprint = string;

export interface OutgoingRequest {
  /** For errors, logs, limits and metrics: "vercel", "github", "aws", "vault", "neon". */
  readonly vendor: string;
  /** The call as documented, without ids: "GET /v10/projects/{id}/env". */
  readonly operation: string;
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Deadline of the whole exchange, body included. Default 10 seconds. */
  readonly timeoutMs?: number;
}

export interface OutgoingResponse {
  readonly status: number;
  /** Lower-case names; repeated headers are joined with ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The vendor's request id, from whichever header it uses; undefined if it sent none. */
  readonly requestId: string | undefined;
  /** The answer's `Date` header, for vendors whose versions are timestamps. */
  readonly date: Date | undefined;
}

/** What an adapter may do to the outside, besides its vendor's own library on top of `fetch`. */
export interface Io {
  /**
   * One request, one answer. Any status resolves. Redirects are not followed (a 3xx is an answer).
   * Rejects with `unavailable` (`ambiguous` unless it surely never left) on time-out, reset, refused
   * connection; `internal` on an over-long body; with `policy` if the address is one the destination may not reach.
   */
  fetch(request: OutgoingRequest): Promise<OutgoingResponse>;
  fingerprint(value: Secret): Fingerprint;
  /** Aborts when the lease of the work at hand is lost or the process stops. */
  readonly signal: AbortSignal;
}

/** `env:NAME` or `file:PATH`: where the server finds a credential. Never the credential. */
export interface CredentialRef {
  readonly ref: string;
}

/** Throws `unauthenticated` naming the reference (never a value) if nothing is there. */
export type ResolveCredential = (ref: CredentialRef) => Secret;

/** Tells credentials apart without knowing them: a keyed hash, so equal credentials give equal text. */
export type IdentifyCredential = (ref: CredentialRef) => Fingerprint;
