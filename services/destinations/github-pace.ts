/**
 * GitHub asks for a second between two writes of one account, and bans apps that go on regardless.
 * https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
 */
import { setTimeout as pause } from "node:timers/promises";
import { SyncError } from "../sync/errors.ts";

/** When the next write of an account may start, in `performance.now()` milliseconds. */
const nextTurn = new Map<string, number>();

/** Waits for this account's turn to write. Turns are given out in order, over the whole process. */
export async function takeTurn(account: string, spacingMs: number, signal: AbortSignal): Promise<void> {
  const now = performance.now();
  const at = Math.max(now, nextTurn.get(account) ?? 0);
  nextTurn.set(account, at + spacingMs);
  try {
    if (at > now) await pause(at - now, undefined, { signal });
    signal.throwIfAborted();
  } catch {
    throw new SyncError("unavailable", "the call to github was stopped with the work it belongs to", {
      vendor: "github",
      next: "Nothing: the work is taken up again.",
    });
  }
}
