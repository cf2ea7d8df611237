/** Results of apply() for the vendors that take names one by one. */
import { SyncError } from "../sync/errors.ts";
import type { Applied } from "../sync/ports.ts";

/** Applied and known to be. */
export function done(name: string, version: string | null): Applied {
  return { name, version, unsettled: false, error: null };
}

/** Not applied, or not known to be: then the name is unsettled. */
export function failed(name: string, error: SyncError): Applied {
  return { name, version: null, unsettled: error.ambiguous, error: about(error, name) };
}

/** Not attempted, because a call before it failed in a way that this one would meet too. */
export function notTried(name: string, because: SyncError): Applied {
  const message = `${name} was not touched, since a call before it failed: ${because.message}`;
  return {
    name,
    version: null,
    unsettled: false,
    error: copy(because, { message, names: [name], ambiguous: false }),
  };
}

/** Whether the next call to the same vendor is bound to fail like this one. */
export function failsAll(error: SyncError | null): boolean {
  const codes = [
    "unavailable",
    "rate_limited",
    "unauthenticated",
    "forbidden",
    "wrong_account",
    "target_missing",
  ];
  return error !== null && codes.includes(error.code);
}

/** Belongs to somebody else, who is named in words. */
export function foreignTo(vendor: string, name: string, owner: string): Applied {
  const error = new SyncError("not_owned", `${name} belongs to ${owner}`, {
    vendor,
    names: [name],
    next: "Choose another name, or remove that one at the vendor.",
  });
  return failed(name, error);
}

/** The same error, naming the one name that it is about. */
function about(error: SyncError, name: string): SyncError {
  return error.names.length === 1 && error.names[0] === name ? error : copy(error, { names: [name] });
}

function copy(
  error: SyncError,
  change: { message?: string; names: readonly string[]; ambiguous?: boolean },
): SyncError {
  const { code, message, next, retryAfterMs, ambiguous, where } = error;
  return new SyncError(code, change.message ?? message, {
    ...where,
    names: change.names,
    ambiguous: change.ambiguous ?? ambiguous,
    ...(next === undefined ? {} : { next }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
