/** `branchline suspend` and `resume`: of one binding, of a destination, or of everything. */
import { Command } from "commander";
import { z } from "zod";
import { told } from "../api/commands.ts";
import { readClientEnvironment } from "../config.ts";
import { type Client, withClient } from "./client.ts";
import { CLIENT_CODES, CommandError, EXIT, exitHelp } from "./exit.ts";
import { findBinding } from "./find.ts";

type Verb = "suspend" | "resume";

interface Options {
  readonly all?: boolean;
  readonly destination?: string;
  readonly reason?: string;
  readonly json?: boolean;
}

export const suspendCommand = (): Command =>
  command(
    "suspend",
    "write nothing of a binding, at a destination or anywhere, until it is resumed; events go on being recorded",
  ).option("--reason <words>", "with --all: why, for whoever wonders");

export const resumeCommand = (): Command =>
  command(
    "resume",
    "write again; of a binding: forget what others have changed so far; of all: also after a restore",
  );

function command(verb: Verb, description: string): Command {
  return new Command(verb)
    .description(description)
    .argument("[binding]", "its id, or RULE/BRANCH")
    .option("--destination <name>", "all that goes to this destination")
    .option("--all", "everything")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Examples:
  branchline ${verb} billing-prod/main
  branchline ${verb} --destination vault
  branchline ${verb} --all
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async (binding: string | undefined, options: Options) => {
      const what = [binding, options.destination, options.all === true ? "all" : undefined];
      if (what.filter((one) => one !== undefined).length !== 1)
        throw new CommandError(EXIT.data, `say what to ${verb}: a binding, --destination NAME, or --all`);
      const { answer, words } = await withClient(
        readClientEnvironment(),
        async (client) => await tell(client, verb, binding, options),
      );
      process.stdout.write(options.json === true ? `${JSON.stringify(answer)}\n` : `${words}\n`);
    });
}

const since = z.looseObject({ suspendedAt: z.string().nullable() });

async function tell(
  client: Client,
  verb: Verb,
  binding: string | undefined,
  { destination, reason }: Options,
): Promise<{ answer: unknown; words: string }> {
  if (binding !== undefined) {
    const answer = await client.post(`/v1/bindings/${await findBinding(client, binding)}/${verb}`, {}, told);
    const { rule, branch, state } = answer.binding;
    const note = answer.note === null ? "" : `\n${answer.note}`;
    return { answer, words: `${verb}: ${rule} for ${branch.name} is ${state}.${note}` };
  }
  const path =
    destination === undefined ? `/v1/${verb}` : `/v1/destinations/${encodeURIComponent(destination)}/${verb}`;
  const body = verb === "suspend" && destination === undefined && reason !== undefined ? { reason } : {};
  const answer = await client.post(path, body, since);
  const where = destination === undefined ? "anywhere" : `at ${destination}`;
  const words =
    answer.suspendedAt === null
      ? `It is written again ${destination === undefined ? "everywhere" : where}; every place is looked at.`
      : `Nothing is written ${where} since ${answer.suspendedAt}.`;
  return { answer, words };
}
