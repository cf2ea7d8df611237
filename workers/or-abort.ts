import { SyncError } from "../services/sync/errors.ts";

/**
 * What `work` comes to, unless `signal` is aborted first: then what becomes of `work` matters to nobody. Throws the reason
 * that `signal` was given, and where it was given none `unavailable`: to be stopped is nobody's fault.
 */
export async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => undefined);
  if (signal.aborted) throw reasonOf(signal);
  return await new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(reasonOf(signal));
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function reasonOf({ reason }: AbortSignal): Error {
  if (reason instanceof Error && !(reason instanceof DOMException)) return reason;
  return new SyncError("unavailable", "it was stopped with the work it belongs to", {
    next: "Nothing: the work is taken up again.",
  });
}
