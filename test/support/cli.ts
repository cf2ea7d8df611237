/** Runs the built `branchline` command as a person or a script does, in a process beside the test's own. */
import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Answer, Order } from "./cli-host.ts";

const dist = (path: string): string => fileURLToPath(new URL(`../../dist/${path}`, import.meta.url));

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** Both together, to look for what must not be there. */
  readonly all: string;
}

export interface RunOptions {
  /** The whole environment beside what a process needs to start. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly cwd?: string;
  /** In a process of its own: for commands that go past Node's streams to the descriptors. */
  readonly own?: boolean;
}

let host: ChildProcess | undefined;
/** One command at a time: they share the host's environment. */
let turn: Promise<unknown> = Promise.resolve();

/** In a process that is kept for the next command. */
export async function runCli(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  if (options.own === true) return await spawnCli(args, options);
  const { env = {}, stdin = "", cwd = process.cwd() } = options;
  const mine = turn.then(async () => await ask({ args, env, cwd, stdin }));
  turn = mine.catch(() => undefined);
  return await mine;
}

async function ask(order: Order): Promise<Ran> {
  host ??= fork(dist("test/support/cli-host.js"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const child = host;
  const gone = new AbortController();
  const answered = once(child, "message", { signal: gone.signal }) as Promise<[Answer]>;
  const ended = once(child, "exit", { signal: gone.signal }).then(() => {
    host = undefined;
    throw new Error(`the host of commands ended during ${order.args.join(" ")}`);
  });
  child.send(order);
  try {
    const [{ code, out, err }] = await Promise.race([answered, ended]);
    return { code, out, err, all: out + err };
  } finally {
    gone.abort();
    answered.catch(() => undefined);
    ended.catch(() => undefined);
  }
}

async function spawnCli(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { env = {}, stdin = "", cwd } = options;
  const surroundings = { PATH: process.env["PATH"] ?? "", ...env };
  return await new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [dist("services/cli/main.js"), ...args],
      { env: surroundings, timeout: 60_000, ...(cwd === undefined ? {} : { cwd }) },
      (error, out, err) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
        resolve({ code, out, err, all: out + err });
      },
    );
    child.stdin?.end(stdin);
  });
}
