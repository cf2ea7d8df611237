import { writeSync } from "node:fs";
import { Command, Option } from "commander";
import { z } from "zod";
import { readClientEnvironment } from "../config.ts";
import { type Client, withClient } from "./client.ts";
import { appendGithubEnv, dotenvText, maskCommands, type Variable, writeEnvFile } from "./env-file.ts";
import { CLIENT_CODES, CommandError, EXIT, exitHelp } from "./exit.ts";
import { type Place, parsePlace } from "./place.ts";

interface Options {
  readonly preset?: string;
  readonly rule?: string;
  readonly role?: string;
  readonly database?: string;
  readonly output?: string;
  readonly force?: boolean;
  readonly githubEnv?: boolean;
  readonly mask: "all" | "secrets";
  readonly json?: boolean;
}

const answer = z.object({
  branch: z.string(),
  variables: z.array(z.object({ name: z.string(), value: z.string(), secret: z.boolean() })),
});
type Answer = z.output<typeof answer>;

const STDOUT = 1;

export function envCommand(): Command {
  return new Command("env")
    .description("print or write the variables of a branch, read from Neon now")
    .argument("<source/branch>", "a source and a branch; the source alone means its default branch")
    .option("--preset <name>", "the variables of a preset (see `branchline presets`); default: vercel")
    .addOption(
      new Option("--rule <name>", "the variables of a rule").conflicts(["preset", "role", "database"]),
    )
    .option("--role <name>", "the role to log in as; without it the owner of the database")
    .option("--database <name>", "the database; without it the only one")
    .addOption(
      new Option(
        "-o, --output <file>",
        "write a .env file that only you can read, whole or not at all",
      ).conflicts("githubEnv"),
    )
    .option("--force", "replace a file that branchline did not write")
    .option(
      "--github-env",
      "for a step of GitHub Actions: mask every value, then add all to the job's environment",
    )
    .addOption(
      new Option("--mask <which>", "with --github-env: mask all values, or only those that hold a password")
        .choices(["all", "secrets"])
        .default("all"),
    )
    .option("--json", "print JSON and nothing else; without values if they went elsewhere")
    .addHelpText(
      "after",
      `
Needs a token with the scope reveal; each use is in the audit log.

Examples:
  branchline env shop/preview/login -o .env
  branchline env shop/preview/login --preset prisma
  branchline env shop/preview/login --rule web-preview --json
  branchline env "shop/preview/$BRANCH" --preset github-actions-migrations --github-env
${exitHelp([...CLIENT_CODES, [EXIT.cannotWrite, "the file cannot be written, or is not branchline's"]])}`,
    )
    .action(async (place: string, options: Options) => await env(parsePlace(place), options));
}

async function env(place: Place, options: Options): Promise<void> {
  const environment = readClientEnvironment();
  const { githubEnvPath } = environment;
  if (options.githubEnv === true && githubEnvPath === null) {
    throw new CommandError(
      EXIT.config,
      "GITHUB_ENV is not set\n  --github-env is for a step of GitHub Actions.",
    );
  }
  const found = await withClient(environment, (client) => ask(client, place, options));
  if (options.githubEnv === true && githubEnvPath !== null) {
    mask(found.variables, options.mask);
    appendGithubEnv(githubEnvPath, found.variables);
    return said(found, "GITHUB_ENV", options);
  }
  if (options.output !== undefined) {
    writeEnvFile(options.output, found.variables, options.force === true);
    return said(found, options.output, options);
  }
  const { branch, variables } = found;
  const values = Object.fromEntries(variables.map(({ name, value }) => [name, value]));
  process.stdout.write(
    options.json === true ? `${JSON.stringify({ branch, variables: values })}\n` : dotenvText(variables),
  );
}

async function ask(client: Client, { source, branch }: Place, options: Options): Promise<Answer> {
  const { preset = null, rule = null, role = null, database = null } = options;
  const query = { branch, preset, rule, role, database };
  return await client.get(`/v1/sources/${encodeURIComponent(source)}/env`, query, answer);
}

/** On its way before the first value is anywhere: a stream might still hold it back. */
function mask(variables: readonly Variable[], which: Options["mask"]): void {
  for (const line of maskCommands(variables, which)) writeSync(STDOUT, `${line}\n`);
}

function said({ branch, variables }: Answer, file: string, { json }: Options): void {
  const names = variables.map(({ name }) => name);
  const line = `${names.length} variables of ${branch} are in ${file}: ${names.join(", ")}`;
  process.stdout.write(`${json === true ? JSON.stringify({ branch, file, names }) : line}\n`);
}
