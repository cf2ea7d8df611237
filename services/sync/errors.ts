import { isAway } from "./away.ts";

/** Why something could not be done. Stable: stored in rows, shown in the API, named in the docs. */
export const CODES = [
  "unavailable",
  "conflict",
  "internal",
  "rate_limited",
  "unauthenticated",
  "forbidden",
  "wrong_account",
  "source_unready",
  "target_missing",
  "invalid_target",
  "invalid_secret",
  "partial",
  "limit_exceeded",
  "not_owned",
  "unsafe",
  "policy",
  "proof_failed",
] as const;

export type Code = (typeof CODES)[number];

/** Where an error happened, in the vendor's terms. Never a value, a token or a body. */
export interface Where {
  /** "neon", "vercel", "github", "aws", "vault", or ours: "postgres", "proof". */
  readonly vendor?: string;
  /** The call, for example "POST /v10/projects/{id}/env" or "PutSecretValue". */
  readonly operation?: string;
  readonly status?: number;
  /** The vendor's own id of the request, which its support asks for. */
  readonly requestId?: string;
}

export interface SyncErrorOptions extends Where {
  /** What a person should do next, in one sentence. */
  readonly next?: string;
  /** How long the vendor asked us to wait. */
  readonly retryAfterMs?: number;
  /** True when the request may have taken effect although no answer says so. */
  readonly ambiguous?: boolean;
  /** The names at the target that are meant, when not all are. */
  readonly names?: readonly string[];
}

/**
 * The only error that crosses a module's border. `message` is made of our own words: it says what
 * was refused and never repeats what a vendor's body, a URL's query or a library's error held.
 */
export class SyncError extends Error {
  readonly code: Code;
  readonly next: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly ambiguous: boolean;
  readonly names: readonly string[];
  readonly where: Where;

  constructor(code: Code, message: string, options: SyncErrorOptions = {}) {
    super(message);
    this.name = "SyncError";
    this.code = code;
    this.next = options.next;
    this.retryAfterMs = options.retryAfterMs;
    this.ambiguous = options.ambiguous ?? false;
    this.names = options.names ?? [];
    const { vendor, operation, status, requestId } = options;
    this.where = {
      ...(vendor === undefined ? {} : { vendor }),
      ...(operation === undefined ? {} : { operation }),
      ...(status === undefined ? {} : { status }),
      ...(requestId === undefined ? {} : { requestId }),
    };
  }
}

/**
 * Turns anything thrown into a SyncError. A database that is away for a moment is `unavailable`; what else is not ours
 * becomes `internal` with the name of its class and nothing else of it, since errors of HTTP clients carry headers and bodies.
 */
export function asSyncError(thrown: unknown): SyncError {
  if (thrown instanceof SyncError) return thrown;
  if (isAway(thrown))
    return new SyncError("unavailable", "our own database did not answer", { vendor: "postgres" });
  const kind = thrown instanceof Error ? thrown.name : typeof thrown;
  return new SyncError("internal", `unexpected ${kind}`, {
    next: "Report this as a bug with the log lines around it; the work is tried again.",
  });
}
