/** How commands end: one number per kind of failure, for scripts. Numbers above 63 are those of sysexits.h. */
import { ConfigurationError, namesDatabase } from "../config.ts";
import { renderProblems } from "../file/problems.ts";
import { isAway } from "../sync/away.ts";
import { SyncError } from "../sync/errors.ts";

export const EXIT = {
  ok: 0,
  /** Anything without a number of its own. */
  failed: 1,
  /** `plan`: there is something to do. */
  changes: 2,
  /** `apply`: it is done, and something is parked. */
  parked: 3,
  /** What was said cannot be understood: a parameter, a connection string. */
  data: 65,
  /** What was named is not there: a source, a branch, a role, a rule. */
  missing: 66,
  /** No Branchline or no database answers there, or it cannot do it now. */
  unavailable: 69,
  /** A file cannot be written. */
  cannotWrite: 73,
  /** The token is missing, wrong, or may not do this. */
  denied: 77,
  /** Something is wrong with the configuration. */
  config: 78,
} as const;

/** Ends a command with words for a person and a number for a script. */
export class CommandError extends Error {
  readonly exitCode: number;

  /** `message` is shown as it is: our own words, never a value. */
  constructor(exitCode: number, message: string) {
    super(message);
    this.name = "CommandError";
    this.exitCode = exitCode;
  }
}

/** Words for a person, never a stack: an error that nobody foresaw shows its message's first line. */
export function explain(error: unknown): { text: string; code: number } {
  if (error instanceof CommandError) return { text: error.message, code: error.exitCode };
  if (error instanceof ConfigurationError) return { text: renderProblems(error.problems), code: EXIT.config };
  if (error instanceof SyncError) {
    return {
      text: `${error.message}${error.next === undefined ? "" : `\n  ${error.next}`}`,
      code: EXIT.failed,
    };
  }
  // Commands that ask a Branchline have their own words for one that does not answer: this is our own database.
  const away = awayBy(error);
  if (away !== null) {
    const which = namesDatabase() ? "database of DATABASE_URL" : "embedded database";
    return { text: `the ${which} does not answer (${away})\n  ${CHECK_DATABASE}`, code: EXIT.unavailable };
  }
  return { text: firstLine(error) ?? "something failed", code: EXIT.failed };
}

const CHECK_DATABASE =
  "Check its host and port, that it runs and has room for one more connection, and that this machine reaches it.";
/** The resolver's own: nobody knows the name, or nobody can be asked. */
const NO_ADDRESS = /^(ENOTFOUND|EAI_)/;

/** The code, or else the driver's words, by which a database cannot be asked just now; null: it is something else. */
function awayBy(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const inside = awayBy(error.cause);
  if (inside !== null) return inside;
  const code = "code" in error && typeof error.code === "string" ? error.code : null;
  if (!isAway(error) && !NO_ADDRESS.test(code ?? "")) return null;
  return code ?? firstLine(error);
}

/** Node's error of a host with several addresses says nothing itself. */
function firstLine(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const [line = ""] = error.message.split("\n");
  if (line !== "") return line;
  return error instanceof AggregateError ? firstLine(error.errors[0]) : null;
}

/** The part of every command's help that a script's author needs. */
export function exitHelp(codes: readonly (readonly [code: number, meaning: string])[]): string {
  const rows = [[EXIT.ok, "done"] as const, ...codes, [EXIT.failed, "anything else"] as const];
  return `\nExit codes:\n${rows.map(([code, meaning]) => `  ${String(code).padStart(2)}  ${meaning}`).join("\n")}\n`;
}

/** Codes of every command that talks to a server. */
export const CLIENT_CODES = [
  [EXIT.data, "something in the command is not understood"],
  [EXIT.missing, "what was named is not there"],
  [EXIT.unavailable, "no Branchline answers, or it cannot do this now"],
  [EXIT.denied, "the token is missing, wrong, or may not do this"],
  [EXIT.config, "a setting in the environment is wrong"],
] as const;
