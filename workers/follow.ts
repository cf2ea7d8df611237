/**
 * Aborts `controller` as soon as `signal` does, until the answer is called. `AbortSignal.any` would be remembered by a signal
 * that lives as long as the process, once for each piece of work.
 */
export function follow(controller: AbortController, signal: AbortSignal): () => void {
  const abort = (): void => controller.abort(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}
