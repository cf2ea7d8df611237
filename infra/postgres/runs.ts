import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { identity, isPostmasterOf, isRunning } from "./process.ts";
import { signalServer } from "./server.ts";

/** A folder of this run alone: `run-<who made it>-<random>`. */
export interface Run {
  readonly home: string;
  remove(): void;
}

/** Makes one below `folder`, and removes those that killed runs left there, with servers still running in them. */
export async function openRun(folder: string): Promise<Run> {
  mkdirSync(folder, { recursive: true });
  await sweep(folder);
  const home = mkdtempSync(join(folder, `run-${identity(process.pid)}-`));
  openHome(home);
  return { home, remove: () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }) };
}

/** The account of the server has to pass through, but see nothing besides its cluster. */
export function openHome(home: string): void {
  mkdirSync(home, { recursive: true, mode: 0o700 });
  if (process.getuid?.() === 0) chmodSync(home, 0o711);
}

/** Lines of postmaster.pid: pid, folder, start, port, socket folder, address, key, status. */
export function pidFile(data: string): { pid: number; port: number; status: string } | null {
  try {
    const lines = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
    const pid = Number(lines[0]);
    return pid > 0 ? { pid, port: Number(lines[3]), status: (lines[7] ?? "").trim() } : null;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}

/** Stops a server that is not our child: politely, then at once. */
export async function endServer(pid: number, alive: () => boolean): Promise<void> {
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    signalServer(pid, signal);
    for (let tries = 0; tries < 100 && alive(); tries++) await pause(50);
    if (!alive()) return;
  }
}

async function sweep(folder: string): Promise<void> {
  for (const name of readdirSync(folder)) {
    const owner = /^run-(.+)-[^-]+$/.exec(name)?.[1];
    if (owner === undefined || isRunning(owner)) continue;
    const home = join(folder, name);
    try {
      await endServersIn(home);
      rmSync(home, { recursive: true, force: true });
    } catch {
      // another account's, or being removed by its watchdog at this moment
    }
  }
}

/** A run has a cluster in each of its folders. */
async function endServersIn(home: string): Promise<void> {
  for (const name of readdirSync(home)) {
    const data = join(home, name);
    const pid = pidFile(data)?.pid;
    const alive = () => pid !== undefined && isPostmasterOf(pid, data);
    if (pid !== undefined && alive()) await endServer(pid, alive);
  }
}
