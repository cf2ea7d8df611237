/** Vault's statuses to our codes. Vault's texts are read to tell cases apart, and never repeated. */
import { retryAfterMs } from "../http.ts";
import { type Code, SyncError } from "../sync/errors.ts";
import type { VaultAnswer } from "./vault-transport.ts";

/** Told apart by text alone: both are 400 "bad request". */
export const isCasMismatch = (answer: VaultAnswer): boolean =>
  answer.status === 400 && answer.says("did not match the current version");

/** The error of an answer that is no success. `write`: the call changes something if it is carried out. */
export function vaultError(answer: VaultAnswer, operation: string, write: boolean): SyncError {
  const { code, words, next, retryMs } = meaning(answer);
  const wait =
    code === "rate_limited" || code === "unavailable"
      ? (retryAfterMs(answer.response) ?? retryMs)
      : undefined;
  return new SyncError(code, `Vault ${words} (HTTP ${answer.status})`, {
    vendor: "vault",
    operation,
    status: answer.status,
    // A gateway's or a node's failure may hide a write that went through; a sealed Vault did nothing.
    ambiguous: write && answer.status >= 500 && ![501, 503].includes(answer.status),
    ...(next === undefined ? {} : { next }),
    ...(answer.response.requestId === undefined ? {} : { requestId: answer.response.requestId }),
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  });
}

interface Meaning {
  readonly code: Code;
  readonly words: string;
  readonly next?: string;
  readonly retryMs?: number;
}

function meaning(answer: VaultAnswer): Meaning {
  const { status } = answer;
  if (status === 400) return badRequest(answer);
  if (status >= 300 && status < 400) {
    return {
      code: "unavailable",
      words: "sent us to another node, where the token is not taken",
      next: "Let standby nodes forward requests, or configure the address of the active node.",
    };
  }
  return BY_STATUS[status] ?? (status >= 500 || status < 200 ? BROKEN : UNKNOWN);
}

function badRequest(answer: VaultAnswer): Meaning {
  if (isCasMismatch(answer)) {
    return { code: "conflict", words: "holds another version than the one that was read" };
  }
  if (answer.says("pgrading")) {
    return { code: "unavailable", words: "is upgrading this mount to version 2", retryMs: 5_000 };
  }
  return UNKNOWN;
}

const UNKNOWN: Meaning = {
  code: "internal",
  words: "refused the call in a way that is not known here",
  next: "Check that the configured mount is a KV mount; report this as a bug if it is.",
};
const BROKEN: Meaning = { code: "unavailable", words: "cannot answer now" };

/** https://developer.hashicorp.com/vault/api-docs#http-status-codes, and those of sys/health. */
const BY_STATUS: Readonly<Record<number, Meaning>> = {
  401: {
    code: "unauthenticated",
    words: "does not accept the credential",
    next: "Replace the credential.",
  },
  403: {
    code: "forbidden",
    words: "does not allow this with the credential given",
    next: "Give the policy the missing capability; infra/policies lists all that are needed.",
  },
  404: {
    code: "target_missing",
    words: "has no such mount or namespace",
    next: "Check the mount and the namespace of the destination.",
  },
  405: {
    code: "invalid_target",
    words: "does not know this operation at the mount",
    next: "Check that the mount is a KV mount of the configured version.",
  },
  412: { code: "unavailable", words: "has not yet seen its own latest state", retryMs: 200 },
  413: {
    code: "invalid_secret",
    words: "finds the secret too large",
    next: "Put fewer variables into one secret.",
  },
  429: { code: "rate_limited", words: "asks us to slow down", next: "Nothing: it is tried again by itself." },
  431: {
    code: "unauthenticated",
    words: "finds the token too long",
    next: "Use a role with fewer policies, or a service token instead of a batch token.",
  },
  472: {
    code: "unavailable",
    words: "is a disaster recovery secondary here",
    next: "Configure the primary.",
  },
  473: { code: "unavailable", words: "is a standby here", next: "Configure the address of the cluster." },
  501: {
    code: "unavailable",
    words: "is not initialised",
    next: "Initialise it, or correct the address.",
    retryMs: 60_000,
  },
  503: {
    code: "unavailable",
    words: "is sealed, in maintenance or overloaded",
    next: "Unseal it if it is sealed; it is tried again by itself.",
    retryMs: 30_000,
  },
};
