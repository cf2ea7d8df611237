import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";

/**
 * A text that names this one process and no later one with the same pid: `<pid>-<when it started>`.
 * Null if it does not run; a dead process that nobody has reaped yet (a zombie) does not run.
 */
export function identity(pid: number): string | null {
  const started = startOf(pid);
  return started === null ? null : `${pid}-${started}`;
}

/** Whether the process that `identity()` named is still running. */
export function isRunning(name: string): boolean {
  const pid = Number.parseInt(name, 10);
  return pid > 0 && identity(pid) === name;
}

/**
 * Whether `pid` is a Postgres server working on the data directory, as opposed to an unrelated
 * process that was given the pid of a dead server. In doubt the answer is yes.
 */
export function isPostmasterOf(pid: number, data: string): boolean {
  if (identity(pid) === null) return false;
  if (process.platform === "win32") return true;
  if (process.platform !== "linux") return ps(pid, "comm=")?.includes("postgres") ?? false;
  try {
    const [its, ours] = [statSync(`/proc/${pid}/cwd`), statSync(data)];
    return its.ino === ours.ino && its.dev === ours.dev;
  } catch {
    return commandOf(pid) === "postgres"; // its folder is not ours to see
  }
}

function startOf(pid: number): string | null {
  if (process.platform === "linux" && existsSync("/proc/self/stat")) return startOnLinux(pid);
  if (process.platform !== "darwin") return answersSignals(pid) ? "alive" : null;
  const [state, ...since] = ps(pid, "stat=,lstart=")?.trim().split(/\s+/) ?? [];
  return state === undefined || state.startsWith("Z") ? null : since.join("").replaceAll(/\W/g, "");
}

/** Ticks since boot, and which boot: a container restarted with its volume reuses small pids. */
function startOnLinux(pid: number): string | null {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // "pid (name) state ppid ...": the name may hold spaces and brackets, so count from the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, ticks] = [fields[0], fields[19]];
  if (state === "Z" || state === "X" || ticks === undefined) return null;
  return `${(read("/proc/sys/kernel/random/boot_id") ?? "").slice(0, 8)}.${ticks}`;
}

function commandOf(pid: number): string | undefined {
  return read(`/proc/${pid}/comm`)?.trim();
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function ps(pid: number, columns: string): string | null {
  try {
    return execFileSync("ps", ["-o", columns, "-p", String(pid)], { encoding: "utf8", stdio: "pipe" });
  } catch {
    return null; // ps exits with 1 when there is no such process
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
