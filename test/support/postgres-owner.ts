import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import type { StartOptions } from "../../infra/postgres/index.ts";

/** Another Node process that has started PostgreSQL and now waits. */
export interface Owner {
  readonly process: ChildProcess;
  readonly url: string;
  readonly pid: number;
  readonly dataDir: string;
  readonly adopted: boolean;
}

const SCRIPT = `
process.umask(Number(process.argv[2]));
const { startPostgres } = await import(process.argv[1]);
try {
  const { url, pid, dataDir, adopted } = await startPostgres(JSON.parse(process.argv[3]));
  process.stdout.write(JSON.stringify({ url, pid, dataDir, adopted }) + "\\n");
} catch (error) {
  process.stdout.write(JSON.stringify({ error: error.message }) + "\\n");
}
process.stdin.resume().once("end", () => process.exit(0));
`;

/** Starts it from dist/, which the global set-up has built. Ends when the test's process does. */
export async function startOwner(
  options: Pick<StartOptions, "dataDir" | "mode" | "fsync">,
  surroundings: { umask?: number; env?: Record<string, string> } = {},
): Promise<Owner> {
  const module = new URL("../../dist/infra/postgres/index.js", import.meta.url).href;
  const args = [module, String(surroundings.umask ?? 0o022), JSON.stringify(options)];
  const child = spawn(process.execPath, ["--input-type=module", "-e", SCRIPT, ...args], {
    env: { ...process.env, ...surroundings.env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const said = JSON.parse(line) as Omit<Owner, "process"> & { error?: string };
    if (said.error !== undefined) {
      child.kill("SIGKILL");
      throw new Error(said.error);
    }
    return { ...said, process: child };
  }
  throw new Error("the process ended without a word");
}

/** Pids of the processes that work in a folder or below it, or name it on their command line (Linux). */
export function processesOf(folder: string): number[] {
  const isOfFolder = (pid: string) => {
    try {
      const folderOf = readlinkSync(`/proc/${pid}/cwd`);
      return folderOf.startsWith(folder) || readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(folder);
    } catch {
      return false; // it has just ended
    }
  };
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => Number(pid) !== process.pid && isOfFolder(pid)).map(Number);
}
