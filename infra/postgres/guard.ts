import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Account } from "./account.ts";

/** What to spawn so that a program runs as the account and, on Linux, ends when we do. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly options: SpawnOptions;
}

/**
 * Its own process group, so that Ctrl-C in a terminal reaches us alone and we stop the server when
 * we are done with it; a bare environment, since ours holds keys and perhaps PG* settings.
 */
export function guarded(
  file: string,
  args: readonly string[],
  cwd: string,
  account: Account | null,
): Command {
  const options: SpawnOptions = {
    cwd,
    env: bareEnvironment(),
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  };
  const windowsHide = true;
  if (!hasParentDeathSignal()) return { file, args, options: { ...options, ...account, windowsHide } };
  const who = account === null ? [] : [`--reuid=${account.uid}`, `--regid=${account.gid}`, "--clear-groups"];
  return { file: "setpriv", args: [...who, "--pdeathsig", "INT", file, ...args], options };
}

export interface Watchdog {
  /** The server has ended in order, or is somebody else's now: let it be. */
  dismiss(): Promise<void>;
}

/**
 * A shell that holds a pipe to us and, when that closes because we are gone (`kill -9` included),
 * stops the server and removes `leftover`. Makes up for systems without a parent death signal, and
 * for a server that does not obey it. There is none on Windows: the next start finds the server.
 */
export function watch(pid: number, data: string, leftover: string | null): Watchdog {
  if (process.platform === "win32") return { dismiss: async () => undefined };
  const args = [
    "-c",
    WATCHDOG,
    "branchline-watchdog",
    String(pid),
    join(data, "postmaster.pid"),
    leftover ?? "",
  ];
  const shell = spawn("/bin/sh", args, {
    cwd: "/",
    env: bareEnvironment(),
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const gone = Promise.race([once(shell, "exit"), once(shell, "error")]);
  shell.stdin.on("error", () => undefined); // it went first
  shell.unref();
  (shell.stdin as Socket).unref();
  return {
    async dismiss() {
      shell.ref();
      shell.stdin.end("dismissed\n");
      await gone;
    },
  };
}

/**
 * $1 pid, $2 its pid file, $3 folder to remove. A line means that we dismissed it; the end of input,
 * that we died. A pid file that names another process means that the pid is not the server's.
 */
const WATCHDOG = `
named() { [ -e "$2" ] && read -r first <"$2" && [ "$first" = "$1" ]; }
read -r line && exit 0
if named "$@" || [ ! -e "$2" ]; then kill -INT "$1"; fi
tries=0
while named "$@" && kill -0 "$1" && [ $tries -lt 350 ]; do
  [ $tries -eq 300 ] && kill -QUIT "$1"
  tries=$((tries + 1))
  sleep 0.1
done
[ -z "$3" ] || rm -rf "$3"
`;

/** util-linux's setpriv has it, busybox's has not. */
function hasParentDeathSignal(): boolean {
  if (process.platform !== "linux") return false;
  return spawnSync("setpriv", ["--help"], { encoding: "utf8" }).stdout?.includes("--pdeathsig") ?? false;
}

function bareEnvironment(): Record<string, string> {
  const names = ["PATH", "SystemRoot", "TEMP", "TMP", "TMPDIR"];
  const kept = names
    .map((name) => [name, process.env[name] ?? ""] as const)
    .filter(([, value]) => value !== "");
  return { ...Object.fromEntries(kept), LC_ALL: "C" };
}
