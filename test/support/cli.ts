/** Runs the built `branchline` command as a process, as a person or a script does. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../dist/services/cli/main.js", import.meta.url));

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
}

export async function runCli(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { env = {}, stdin = "", cwd } = options;
  const surroundings = { PATH: process.env["PATH"] ?? "", ...env };
  return await new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [MAIN, ...args],
      { env: surroundings, timeout: 60_000, ...(cwd === undefined ? {} : { cwd }) },
      (error, out, err) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
        resolve({ code, out, err, all: out + err });
      },
    );
    child.stdin?.end(stdin);
  });
}
