/** AWS's error names to our codes. The SDK's messages are never repeated, only its names and request ids. */
import { retryAfterMs } from "../http.ts";
import { type Code, SyncError, type SyncErrorOptions } from "../sync/errors.ts";

interface Meaning {
  readonly code: Code;
  readonly words: string;
  readonly next: string;
}

const CREDENTIALS: Meaning = {
  code: "unauthenticated",
  words: "does not accept the credential",
  next: "Replace the AWS credential, or look at the clock if signatures are refused.",
};
const FORBIDDEN: Meaning = {
  code: "forbidden",
  words: "does not allow this with the credential given",
  next: "Give the credential the permission of this operation; infra/policies lists all that are needed.",
};
const KMS: Meaning = {
  code: "forbidden",
  words: "could not use the KMS key of the secret",
  next: "Enable the key and allow kms:Decrypt and kms:GenerateDataKey to the credential.",
};
const SLOWER: Meaning = {
  code: "rate_limited",
  words: "asks us to slow down",
  next: "Nothing: it is tried again by itself.",
};
const BUSY: Meaning = {
  code: "unavailable",
  words: "cannot answer now",
  next: "Nothing: it is tried again by itself.",
};
const REFUSED: Meaning = {
  code: "invalid_target",
  words: "refuses a parameter",
  next: "Check the secret's name, the KMS key, and the replica regions.",
};

/**
 * By error name. Modelled ones are in the service's API reference; the others are AWS's common errors, which
 * services send without listing them.
 */
const BY_NAME: Readonly<Record<string, Meaning>> = {
  AccessDenied: FORBIDDEN,
  AccessDeniedException: FORBIDDEN,
  NotAuthorized: FORBIDDEN,
  OptInRequired: FORBIDDEN,
  PublicPolicyException: FORBIDDEN,
  DecryptionFailure: KMS,
  EncryptionFailure: KMS,
  UnrecognizedClientException: CREDENTIALS,
  InvalidClientTokenId: CREDENTIALS,
  InvalidSignatureException: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  IncompleteSignature: CREDENTIALS,
  IncompleteSignatureException: CREDENTIALS,
  MissingAuthenticationToken: CREDENTIALS,
  MissingAuthenticationTokenException: CREDENTIALS,
  RequestExpired: CREDENTIALS,
  ExpiredToken: CREDENTIALS,
  ExpiredTokenException: CREDENTIALS,
  Throttling: SLOWER,
  ThrottlingException: SLOWER,
  ThrottledException: SLOWER,
  TooManyRequestsException: SLOWER,
  RequestLimitExceeded: SLOWER,
  RequestThrottled: SLOWER,
  RequestThrottledException: SLOWER,
  SlowDown: SLOWER,
  InternalServiceError: BUSY,
  InternalServiceErrorException: BUSY,
  InternalFailure: BUSY,
  ServiceUnavailable: BUSY,
  ServiceUnavailableException: BUSY,
  ValidationException: REFUSED,
  ValidationError: REFUSED,
  InvalidParameterException: REFUSED,
  PreconditionNotMetException: REFUSED,
  MalformedPolicyDocumentException: REFUSED,
  // About 100 versions, none removed before it is a day old: no retry helps for hours.
  LimitExceededException: {
    code: "limit_exceeded",
    words: "says that the quota of versions or secrets is used up",
    next: "Wait a day, since versions younger than that are never removed; find out what writes so often.",
  },
  ResourceNotFoundException: {
    code: "target_missing",
    words: "does not know the secret, or it has no value",
    next: "Check the secret's name, account and region.",
  },
  ResourceExistsException: {
    code: "conflict",
    words: "says that the secret or this version of it exists already",
    next: "Nothing: it is tried again from a fresh observation.",
  },
  InvalidRequestException: {
    code: "conflict",
    words: "says that the secret's state does not allow this",
    next: "Nothing: it is tried again from a fresh observation.",
  },
};

/** A SyncError that remembers which of AWS's errors it was, for the few places that must tell them apart. */
export class AwsError extends SyncError {
  readonly awsName: string;

  constructor(code: Code, message: string, awsName: string, options: SyncErrorOptions) {
    super(code, message, options);
    this.awsName = awsName;
  }
}

/** Whether AWS answered with one of these errors. */
export const isAws = (error: unknown, ...names: readonly string[]): error is AwsError =>
  error instanceof AwsError && names.includes(error.awsName);

const EXPIRED = new Set(["ExpiredToken", "ExpiredTokenException", "RequestExpired"]);

/** The name AWS gave the error, or undefined if AWS did not answer at all. */
function awsErrorName(thrown: unknown): string | undefined {
  return thrown instanceof Error && "$metadata" in thrown && !(thrown instanceof SyncError)
    ? thrown.name
    : undefined;
}

export const isExpired = (thrown: unknown): boolean => EXPIRED.has(awsErrorName(thrown) ?? "");

/** Anything that a call through the SDK threw, as ours. `write`: the call may have changed something. */
export function awsError(thrown: unknown, operation: string, write: boolean): SyncError {
  if (thrown instanceof SyncError) return thrown.ambiguous && !write ? harmless(thrown) : thrown;
  const name = awsErrorName(thrown);
  if (name === undefined) return notFromAws(thrown, operation);
  const { status, requestId, wait } = answerOf(thrown);
  return errorNamed(name, { operation, write, status, requestId, wait });
}

/** All calls are POST, so whether one that was not answered may have changed something is known here alone. */
function harmless(error: SyncError): SyncError {
  const { code, message, next, retryAfterMs: wait, names, where } = error;
  return new SyncError(code, message, {
    ...where,
    names,
    ...(next === undefined ? {} : { next }),
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  });
}

export interface AwsAnswer {
  readonly operation: string;
  readonly write: boolean;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  readonly wait: number | undefined;
}

/** The error that AWS named, whether the SDK or STS's XML told us. */
export function errorNamed(name: string, answer: AwsAnswer): AwsError {
  const { operation, status, requestId, wait } = answer;
  const { code, words, next } = BY_NAME[name] ?? byStatus(status);
  return new AwsError(code, `AWS ${words} (${safeName(name)})`, name, {
    vendor: "aws",
    operation,
    next,
    ambiguous: answer.write && code === "unavailable",
    ...(status === undefined ? {} : { status }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  });
}

function byStatus(status: number | undefined): Meaning {
  // A success that the SDK could not read comes from whatever stands in between.
  if (status === undefined || status < 400 || status >= 500) return BUSY;
  if (status === 401) return CREDENTIALS;
  if (status === 403) return FORBIDDEN;
  if (status === 429) return SLOWER;
  return {
    code: "internal",
    words: "refused the call in a way that is not known here",
    next: "Report this as a bug with the request id.",
  };
}

/** Names come from the answer: shown only if they look like one. */
const safeName = (name: string): string => (/^[A-Za-z]{1,60}$/.test(name) ? name : "unnamed error");

function answerOf(thrown: unknown): Pick<AwsAnswer, "status" | "requestId" | "wait"> {
  const metadata = field(thrown, "$metadata");
  const status = field(metadata, "httpStatusCode");
  const requestId = field(metadata, "requestId");
  const retryAfter = field(field(field(thrown, "$response"), "headers"), "retry-after");
  return {
    status: typeof status === "number" ? status : undefined,
    requestId: typeof requestId === "string" && /^[\w-]{1,100}$/.test(requestId) ? requestId : undefined,
    wait:
      typeof retryAfter === "string"
        ? retryAfterMs({
            status: 429,
            headers: { "retry-after": retryAfter },
            body: "",
            requestId: undefined,
            date: undefined,
          })
        : undefined,
  };
}

/** The SDK found no credential, or broke: its messages may hold paths and profiles, so only the kind is told. */
function notFromAws(thrown: unknown, operation: string): SyncError {
  const name = thrown instanceof Error ? thrown.name : typeof thrown;
  if (/Credentials|TokenProvider/.test(name)) {
    return new SyncError("unauthenticated", "no AWS credential was found", {
      vendor: "aws",
      operation,
      next: "Give the destination an accessKey, or the process a credential of AWS's standard chain.",
    });
  }
  return new SyncError("internal", `the AWS client failed with an unexpected ${safeName(name)}`, {
    vendor: "aws",
    operation,
    next: "Report this as a bug with the log lines around it; the work is tried again.",
  });
}

function field(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}
