/** Writing variables where programs and jobs find them, so that nobody else does. */
import { randomBytes, randomUUID } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseUrl } from "../sources/url.ts";
import { dotenvLine } from "../sync/forms.ts";
import { CommandError, EXIT } from "./exit.ts";

export interface Variable {
  readonly name: string;
  readonly value: string;
  /** Holds a password. */
  readonly secret: boolean;
}

/** How a file begins that may be replaced. */
const MARK = "# Written by branchline env";

/** The text of a .env file. Throws `SyncError` naming the variable that readers would understand differently. */
export function dotenvText(variables: readonly Variable[]): string {
  return variables.map(({ name, value }) => `${dotenvLine(checkName(name), value)}\n`).join("");
}

/**
 * Whole or not at all, readable by this user alone. A file that somebody else wrote is not replaced, unless
 * `force` says so.
 */
export function writeEnvFile(path: string, variables: readonly Variable[], force: boolean): void {
  const text = `${MARK}; changes are lost.\n${dotenvText(variables)}`;
  if (!force && existsSync(path) && !readFileSync(path, "utf8").startsWith(MARK)) {
    throw new CommandError(
      EXIT.cannotWrite,
      `${path} is there and was not written by branchline\n  Say --force to replace it.`,
    );
  }
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}`);
  try {
    writeFileSync(draft, text, { mode: 0o600, flag: "wx" });
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw new CommandError(EXIT.cannotWrite, `${path} cannot be written (${codeOf(error)})`);
  }
}

/**
 * The commands that make GitHub's runner show `***`, one per line of a value, since its log goes by lines. A
 * password is masked by itself as well, as it is and as it stands in a URL.
 * https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
 */
export function maskCommands(variables: readonly Variable[], which: "all" | "secrets"): string[] {
  const values = variables.filter(({ secret }) => secret || which === "all").map(({ value }) => value);
  const passwords = values.flatMap((value) => parseUrl(value)?.passwords ?? []);
  const lines = [...values, ...passwords].flatMap((value) => value.split(/\r\n|\r|\n/));
  const worth = lines.map((line) => line.trim()).filter((line) => line !== "");
  return [...new Set(worth)].map((line) => `::add-mask::${line.replaceAll("%", "%25")}`);
}

/** What goes to the end of GITHUB_ENV. The delimiter is random, so that no value can end itself and begin another. */
export function githubEnvText(variables: readonly Variable[]): string {
  return variables
    .map(({ name, value }) => {
      const delimiter = `ghadelimiter_${randomUUID()}`;
      return `${checkName(name)}<<${delimiter}\n${value}\n${delimiter}\n`;
    })
    .join("");
}

export function appendGithubEnv(path: string, variables: readonly Variable[]): void {
  try {
    appendFileSync(path, githubEnvText(variables));
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(EXIT.cannotWrite, `GITHUB_ENV cannot be written (${codeOf(error)})`);
  }
}

/** Names come from a server and from rules: only what every reader takes for a name. */
function checkName(name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return name;
  throw new CommandError(
    EXIT.data,
    "a variable has a name that no environment can hold\n  Rename it in the rule.",
  );
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "no code";
}
