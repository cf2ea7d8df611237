#!/usr/bin/env node
/** The `branchline` command. One subcommand, one file; this one parses, and turns failures into exit codes. */
import { Command, InvalidArgumentError } from "commander";
import { settleEnvironment } from "../config.ts";
import { VERSION } from "../http.ts";
import { branchesCommand } from "./branches.ts";
import { connectionCommand } from "./connection.ts";
import { doctorCommand } from "./doctor.ts";
import { envCommand } from "./env.ts";
import { explain } from "./exit.ts";
import { presetsCommand } from "./presets.ts";
import { adoptCommand, pushCommand, releaseCommand, resumeCommand, suspendCommand } from "./tell.ts";

// What a whole server is made of is loaded when one is wanted: a small command should start at once.
const program = new Command("branchline")
  .description("Keeps every place that holds a Neon connection string in step with Neon.")
  .version(VERSION)
  .showHelpAfterError();

program
  .command("serve")
  .description("run the API and the workers, or one of the two")
  .option("--api", "only the API")
  .option("--worker", "only the workers")
  .action(async (options: { api?: boolean; worker?: boolean }) =>
    (await import("./serve.ts")).serve(options),
  );

program
  .command("migrate")
  .description("bring the database to this release's version, and exit")
  .action(async () => (await import("./migrate.ts")).migrateCommand());

program
  .command("demo")
  .description("play the main job against local stand-ins: no accounts, no Docker, no Redis")
  .option("--once", "end after the story")
  .option("--json", "print one JSON object and nothing else")
  .option("--port <number>", "port of the API; 0: any free one", port, 0)
  .action(async (options: { once?: boolean; json?: boolean; port: number }) =>
    (await import("./demo.ts")).demo(options),
  );

program
  .addCommand(branchesCommand())
  .addCommand(presetsCommand())
  .addCommand(connectionCommand())
  .addCommand(envCommand())
  .addCommand(doctorCommand())
  .addCommand(pushCommand())
  .addCommand(adoptCommand())
  .addCommand(releaseCommand())
  .addCommand(suspendCommand())
  .addCommand(resumeCommand());

function port(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 65_535) {
    throw new InvalidArgumentError("A port is a number from 0 to 65535.");
  }
  return number;
}

settleEnvironment();
try {
  await program.parseAsync();
} catch (error) {
  const { text, code } = explain(error);
  process.stderr.write(`branchline: ${text}\n`);
  process.exitCode = code;
}
