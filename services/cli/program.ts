/**
 * What the `branchline` command does: parses, runs one subcommand (each in a file of its own), and turns failures into
 * words and exit codes.
 */
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { VERSION } from "../http.ts";
import { EXIT, explain } from "./exit.ts";

/** Loaded only if it is the one that was called, or if help lists them all: a small command should start at once. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  validate: async () => (await import("./validate.ts")).validateCommand(),
  plan: async () => (await import("./plan.ts")).planCommand(),
  apply: async () => (await import("./apply.ts")).applyCommand(),
  import: async () => (await import("./import.ts")).importCommand(),
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
  unmanage: async () => (await import("./unmanage.ts")).unmanageCommand(),
  confirm: async () => (await import("./confirm.ts")).confirmCommand(),
  audit: async () => (await import("./audit.ts")).auditCommand(),
  tokens: async () => (await import("./tokens.ts")).tokensCommand(),
  backup: async () => (await import("./backup.ts")).backupCommand(),
  restore: async () => (await import("./backup.ts")).restoreCommand(),
  completion: async () => (await import("./completion.ts")).completionCommand(programOf),
};

/** Runs one command line, without the name of the program, to its end. Answers the exit code; never throws. */
export async function run(argv: readonly string[]): Promise<number> {
  const [wanted = ""] = argv;
  process.exitCode = EXIT.ok;
  try {
    await (await programOf(wanted)).parseAsync([...argv], { from: "user" });
    return Number(process.exitCode);
  } catch (error) {
    // Commander has said what it had to say.
    if (error instanceof CommanderError) return error.exitCode;
    const { text, code } = explain(error);
    process.stderr.write(`branchline: ${text}\n`);
    return code;
  }
}

/** The program with the wanted command alone, or with all of them if there is none of that name. */
export async function programOf(wanted = ""): Promise<Command> {
  const program = withServers(new Command("branchline"))
    .description("Keeps every place that holds a Neon connection string in step with Neon.")
    .version(VERSION)
    .enablePositionalOptions()
    .showHelpAfterError();
  const names = wanted in COMMANDS ? [wanted] : Object.keys(COMMANDS);
  for (const name of names) {
    const load = COMMANDS[name];
    if (load !== undefined) program.addCommand(await load());
  }
  return throwing(program);
}

/** Commander would end the process by itself. */
function throwing(command: Command): Command {
  for (const below of command.commands) throwing(below);
  return command.exitOverride();
}

/** Those that run a Branchline instead of talking to one. */
function withServers(program: Command): Command {
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
  return program;
}

function port(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 65_535) {
    throw new InvalidArgumentError("A port is a number from 0 to 65535.");
  }
  return number;
}
