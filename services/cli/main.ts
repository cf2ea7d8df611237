#!/usr/bin/env node
/** The `branchline` command. One subcommand, one file; this one parses, and turns failures into exit codes. */
import { Command, InvalidArgumentError } from "commander";
import { settleEnvironment } from "../config.ts";
import { VERSION } from "../http.ts";
import { explain } from "./exit.ts";

/** Loaded only if it is the one that was called, or if help lists them all: a small command should start at once. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  validate: async () => (await import("./validate.ts")).validateCommand(),
  plan: async () => (await import("./plan.ts")).planCommand(),
  apply: async () => (await import("./apply.ts")).applyCommand(),
  rekey: async () => (await import("./rekey.ts")).rekeyCommand(),
  status: async () => (await import("./status.ts")).statusCommand(),
  why: async () => (await import("./why.ts")).whyCommand(),
  branches: async () => (await import("./branches.ts")).branchesCommand(),
  bindings: async () => (await import("./bindings.ts")).bindingsCommand(),
  events: async () => (await import("./events.ts")).eventsCommand(),
  presets: async () => (await import("./presets.ts")).presetsCommand(),
  connection: async () => (await import("./connection.ts")).connectionCommand(),
  env: async () => (await import("./env.ts")).envCommand(),
  doctor: async () => (await import("./doctor.ts")).doctorCommand(),
  wait: async () => (await import("./wait.ts")).waitCommand(),
  hold: async () => (await import("./hold.ts")).holdCommand(),
  push: async () => (await import("./tell.ts")).pushCommand(),
  sweep: async () => (await import("./tell.ts")).sweepCommand(),
  adopt: async () => (await import("./tell.ts")).adoptCommand(),
  release: async () => (await import("./tell.ts")).releaseCommand(),
  suspend: async () => (await import("./suspend.ts")).suspendCommand(),
  resume: async () => (await import("./suspend.ts")).resumeCommand(),
  confirm: async () => (await import("./confirm.ts")).confirmCommand(),
  audit: async () => (await import("./audit.ts")).auditCommand(),
  tokens: async () => (await import("./tokens.ts")).tokensCommand(),
  backup: async () => (await import("./backup.ts")).backupCommand(),
  restore: async () => (await import("./backup.ts")).restoreCommand(),
  completion: async () => (await import("./completion.ts")).completionCommand(everything),
};

const program = new Command("branchline")
  .description("Keeps every place that holds a Neon connection string in step with Neon.")
  .version(VERSION)
  .enablePositionalOptions()
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

const [wanted = ""] = process.argv.slice(2);
const only = wanted in COMMANDS ? [wanted] : Object.keys(COMMANDS);
for (const name of only) await add(name);

async function add(name: string): Promise<void> {
  const load = COMMANDS[name];
  if (load !== undefined) program.addCommand(await load());
}

async function everything(): Promise<Command> {
  for (const name of Object.keys(COMMANDS)) if (!only.includes(name)) await add(name);
  return program;
}

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
