#!/usr/bin/env node
/** The `branchline` command. One subcommand, one file; this one parses, and turns failures into exit codes. */
import { Command, InvalidArgumentError } from "commander";
import { ConfigurationError, settleEnvironment } from "../config.ts";
import { renderProblems } from "../file/problems.ts";
import { VERSION } from "../http.ts";
import { SyncError } from "../sync/errors.ts";
import { demo } from "./demo.ts";
import { migrateCommand } from "./migrate.ts";
import { serve } from "./serve.ts";

/** sysexits.h: something is wrong with the configuration. */
const EX_CONFIG = 78;

const program = new Command("branchline")
  .description("Keeps every place that holds a Neon connection string in step with Neon.")
  .version(VERSION)
  .showHelpAfterError();

program
  .command("serve")
  .description("run the API and the workers, or one of the two")
  .option("--api", "only the API")
  .option("--worker", "only the workers")
  .action(async (options: { api?: boolean; worker?: boolean }) => await serve(options));

program
  .command("migrate")
  .description("bring the database to this release's version, and exit")
  .action(async () => await migrateCommand());

program
  .command("demo")
  .description("play the main job against local stand-ins: no accounts, no Docker, no Redis")
  .option("--once", "end after the story")
  .option("--json", "print one JSON object and nothing else")
  .option("--port <number>", "port of the API; 0: any free one", port, 0)
  .action(async (options: { once?: boolean; json?: boolean; port: number }) => await demo(options));

function port(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 65_535) {
    throw new InvalidArgumentError("A port is a number from 0 to 65535.");
  }
  return number;
}

/** Words for a person, never a stack: an error that nobody foresaw shows its message's first line. */
function explain(error: unknown): { text: string; code: number } {
  if (error instanceof ConfigurationError) return { text: renderProblems(error.problems), code: EX_CONFIG };
  if (error instanceof SyncError) {
    return { text: `${error.message}${error.next === undefined ? "" : `\n  ${error.next}`}`, code: 1 };
  }
  const message = error instanceof Error ? (error.message.split("\n")[0] ?? "") : "something failed";
  return { text: message, code: 1 };
}

settleEnvironment();
try {
  await program.parseAsync();
} catch (error) {
  const { text, code } = explain(error);
  process.stderr.write(`branchline: ${text}\n`);
  process.exitCode = code;
}
