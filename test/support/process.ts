/** Branchline as real processes: started, listened to, ended. None of them outlives the test that started it. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./until.ts";

/** The checkout; its dist/ is built before the first test. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** What it has said so far, standard output and standard error together. */
  said(): string;
  /** Waits for this to be said. Throws, with what was said instead, if the process ends first. */
  says(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** Sends a signal and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<Ended>;
}

export interface RunOptions {
  readonly cwd: string;
  /** Added to PATH and HOME, which is all that it gets of our own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Where dist/ is; default: the checkout. */
  readonly root?: string;
  /** What stands before `node` on the command line. */
  readonly through?: readonly string[];
}

/** `branchline ...args`, as built. */
export function branchline(args: readonly string[], options: RunOptions): Running {
  const { root = ROOT, through = [], ...rest } = options;
  const [command = "", ...before] = [...through, process.execPath];
  return run(command, [...before, join(root, "dist/services/cli/main.js"), ...args], rest);
}

export function run(
  command: string,
  args: readonly string[],
  { cwd, env = {} }: Pick<RunOptions, "cwd" | "env">,
): Running {
  const { PATH = "", HOME = "" } = process.env;
  const child = spawn(command, args, {
    cwd,
    env: { PATH, HOME, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  alive.add(child);
  const told = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    told.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    told.stderr += text;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      alive.delete(child);
      resolve({ code, signal, ...told });
    });
  });
  const said = () => told.stdout + told.stderr;
  return {
    pid: child.pid ?? 0,
    ended,
    said,
    says: async (pattern, timeoutMs = 30_000) =>
      await until(
        () => {
          const found = pattern.exec(said());
          if (found === null && child.exitCode !== null && !alive.has(child)) throw new Error(said());
          return found;
        },
        { timeoutMs, what: `${pattern} from ${command} ${args.join(" ")}, which said:\n${said()}` },
      ),
    end: async (signal = "SIGTERM") => {
      child.kill(signal);
      return await ended;
    },
  };
}

const alive = new Set<ChildProcess>();

/** For `afterEach`: whatever a failed test left. */
export function endAll(): void {
  for (const child of alive) child.kill("SIGKILL");
}
process.once("exit", endAll);

/** A folder for one test, which its processes work in; `TMPDIR` in it, so that nothing escapes. */
export interface Place {
  readonly cwd: string;
  readonly env: { readonly TMPDIR: string };
  remove(): void;
}

export function openPlace(): Place {
  const home = mkdtempSync(join(tmpdir(), "branchline-test-"));
  const cwd = join(home, "work");
  const TMPDIR = join(home, "tmp");
  for (const folder of [cwd, TMPDIR]) mkdirSync(folder);
  return { cwd, env: { TMPDIR }, remove: () => rmSync(home, { recursive: true, force: true }) };
}
