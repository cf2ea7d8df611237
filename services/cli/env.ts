import { writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Command, Option } from "commander";
import { z } from "zod";
import { readClientEnvironment } from "../config.ts";
import { type Client, withClient } from "./client.ts";
import { appendGithubEnv, dotenvText, maskCommands, type Variable, writeEnvFile } from "./env-file.ts";
import { CLIENT_CODES, CommandError, EXIT, exitHelp } from "./exit.ts";
import { duration } from "./options.ts";
import { type Place, parsePlace } from "./place.ts";

interface Options {
  readonly preset?: string;
  readonly rule?: string;
  readonly role?: string;
  readonly database?: string;
  readonly output?: string;
  readonly force?: boolean;
  readonly githubEnv?: boolean;
  readonly gitBranch?: string;
  readonly sha?: string;
  readonly wait?: number;
  readonly mask: "all" | "secrets";
  readonly json?: boolean;
}

const answer = z.object({
  branch: z.string(),
  variables: z.array(z.object({ name: z.string(), value: z.string(), secret: z.boolean() })),
  warning: z.string().optional(),
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
    .option(
      "--git-branch <name>",
      "the preview of a git branch: the branch preview/NAME, as Neon's integrations call it",
    )
    .option(
      "--sha <commit>",
      "with --git-branch: only when Neon has been looked at since Branchline heard of this commit",
    )
    .option("--wait <duration>", "try until it is there: a preview is made while the job runs", duration)
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
Needs a token with the scope reveal; each use is in the audit log. In GitHub Actions none has to be stored: with
permissions id-token: write the job proves who it is, if the server's branchline.yaml trusts it (auth.oidc).

--sha keeps a job from racing with what its own push set off: nothing is given before a look at Neon that began after
Branchline had heard of the commit has ended. GitHub's webhook tells of it, or else this command does, so a delivery that
is lost holds up nobody. It says nothing about destinations: \`branchline wait\` does. The commit is a whole one. Where the
job's own token names a commit, any other one is refused: in GitHub Actions say "$GITHUB_SHA".

Examples:
  branchline env shop/preview/login -o .env
  branchline env shop/preview/login --preset prisma
  branchline env shop/preview/login --rule web-preview --json
  branchline env "shop/preview/$BRANCH" --preset github-actions-migrations --github-env
  branchline env shop --git-branch "$GITHUB_HEAD_REF" --sha "$GITHUB_SHA" --wait 5m --github-env
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
  const wanted = placeFor(place, options);
  checkCommit(options);
  const found = await withClient(environment, (client) => untilThere(client, wanted, options));
  if (found.warning !== undefined) process.stderr.write(`branchline: warning: ${found.warning}\n`);
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

/**
 * Neon's integrations call the preview of a git branch `preview/NAME`. Nothing else is taken for it: while a preview
 * is being made, a branch that happens to have the git branch's name could be production.
 */
function placeFor(place: Place, { gitBranch }: Options): Place {
  if (gitBranch === undefined) return place;
  if (place.branch !== null || gitBranch === "") {
    const problem =
      gitBranch === ""
        ? "--git-branch is empty"
        : "a branch and --git-branch are two answers to one question";
    throw new CommandError(EXIT.data, `${problem}\n  Write: branchline env SOURCE --git-branch NAME`);
  }
  return { source: place.source, branch: `preview/${gitBranch}` };
}

function checkCommit({ sha, gitBranch }: Options): void {
  if (sha === undefined) return;
  if (gitBranch === undefined)
    throw new CommandError(
      EXIT.data,
      "--sha needs --git-branch\n  A commit is looked for on its git branch.",
    );
  if (!/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(sha))
    throw new CommandError(
      EXIT.data,
      '--sha is not a whole commit\n  In GitHub Actions: --sha "$GITHUB_SHA"',
    );
}

const PAUSE_MS = 2_000;

/** A branch that is not there yet, or not ready, may be so in a moment. */
async function untilThere(client: Client, place: Place, options: Options): Promise<Answer> {
  const deadline = performance.now() + (options.wait ?? 0);
  for (;;) {
    try {
      return await ask(client, place, options);
    } catch (error) {
      const left = deadline - performance.now();
      if (!(error instanceof CommandError) || !LATER.has(error.exitCode)) throw error;
      if (left <= 0) throw options.sha === undefined || options.wait !== undefined ? error : impatient(error);
      await pause(Math.min(PAUSE_MS, left));
    }
  }
}

/** A look takes a moment, so asking once seldom does. */
const impatient = ({ exitCode, message }: CommandError): CommandError =>
  new CommandError(exitCode, `${message}\n  With --wait 1m it is waited for.`);

const LATER: ReadonlySet<number> = new Set([EXIT.missing, EXIT.unavailable]);

async function ask(client: Client, { source, branch }: Place, options: Options): Promise<Answer> {
  const { preset = null, rule = null, role = null, database = null, sha = null } = options;
  const gitBranch = sha === null ? null : (options.gitBranch ?? null);
  const query = { branch, preset, rule, role, database, gitBranch, sha };
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
