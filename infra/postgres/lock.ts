import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { identity, isRunning } from "./process.ts";

/**
 * Runs `work` while no other process does so under the same path. A lock whose holder died is taken
 * over. Advisory: PostgreSQL itself refuses a second server on one data directory.
 */
export async function withLock<T>(
  path: string,
  work: () => Promise<T>,
  options: { timeoutMs: number; signal?: AbortSignal | undefined },
): Promise<T> {
  const deadline = performance.now() + options.timeoutMs;
  const mine = identity(process.pid) ?? String(process.pid);
  while (!take(path, mine)) {
    options.signal?.throwIfAborted();
    if (performance.now() > deadline) {
      throw new Error(`Process ${Number.parseInt(holder(path), 10)} has been holding ${path} for too long.`);
    }
    if (!takeFromTheDead(path)) await pause(50);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function take(path: string, mine: string): boolean {
  try {
    writeFileSync(path, mine, { flag: "wx", mode: 0o644 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Moves the dead holder's lock away. If it turns out that a live one slipped in, puts it back. */
function takeFromTheDead(path: string): boolean {
  if (isHeld(path)) return false;
  const aside = `${path}.${randomBytes(4).toString("hex")}`;
  try {
    renameSync(path, aside);
    if (isHeld(aside)) linkSync(aside, path);
  } catch {
    // another process was faster
  } finally {
    rmSync(aside, { force: true });
  }
  return true;
}

/** An empty file is one whose maker has not yet written its name, or died before it could. */
function isHeld(path: string): boolean {
  const name = holder(path);
  if (name !== "") return isRunning(name);
  const made = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return Date.now() - made < 2_000;
}

function holder(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
