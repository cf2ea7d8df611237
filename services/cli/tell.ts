/** Commands that tell one binding what to do: push, sweep, adopt, release. */
import { Command, Option } from "commander";
import type { z } from "zod";
import { told } from "../api/commands.ts";
import { readClientEnvironment } from "../config.ts";
import { withClient } from "./client.ts";
import { CLIENT_CODES, exitHelp } from "./exit.ts";
import { findBinding } from "./find.ts";

const BINDING = "<binding>";
const MEANS = "its id, or RULE/BRANCH";

interface Plain {
  readonly json?: boolean;
}

const plain = (name: string, description: string, example: string): Command =>
  new Command(name)
    .description(description)
    .argument(BINDING, MEANS)
    .option("--json", "print JSON and nothing else")
    .addHelpText("after", `\nExample:\n  ${example}\n${exitHelp(CLIENT_CODES)}`)
    .action(async (binding: string, options: Plain) => await tell(binding, name, {}, options));

export const pushCommand = (): Command =>
  plain(
    "push",
    "bring a binding to what is wanted now, also where drift is only reported or workers died of it",
    "branchline push web-preview/preview/login",
  );

export const releaseCommand = (): Command =>
  plain(
    "release",
    "give a binding's names back: they stay at the vendor, and branchline writes them no more",
    "branchline release billing-prod/main",
  );

export const sweepCommand = (): Command =>
  plain(
    "sweep",
    "compare what the vendor holds of a binding with what was written, now",
    "branchline sweep billing-prod/main",
  );

interface AdoptOptions extends Plain {
  readonly expect?: "same";
  readonly replaceUnreadable?: boolean;
  readonly name?: readonly string[];
}

export function adoptCommand(): Command {
  return new Command("adopt")
    .description("take over names that exist at the vendor and that branchline did not make")
    .argument(BINDING, MEANS)
    .addOption(
      new Option("--expect <what>", "same: only names that hold the wanted value already (the default)")
        .choices(["same"])
        .conflicts("replaceUnreadable"),
    )
    .option(
      "--replace-unreadable",
      "also replace values that nobody can read; what they were cannot be restored",
    )
    .option("--name <name...>", "only these names; default: all that the rule writes")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
A value that can be read and is another one is never replaced this way: say "adopt" in the rule for that.

Examples:
  branchline adopt web-preview/preview/login
  branchline adopt ci-production/main --replace-unreadable --name DATABASE_URL
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async (binding: string, options: AdoptOptions) => {
      const { replaceUnreadable, name: names } = options;
      const expect = replaceUnreadable === true ? "replace-unreadable" : "same";
      await tell(binding, "adopt", { expect, ...(names === undefined ? {} : { names }) }, options);
    });
}

async function tell(binding: string, command: string, body: unknown, { json }: Plain): Promise<void> {
  const done = await withClient(readClientEnvironment(), async (client) => {
    const id = await findBinding(client, binding);
    return await client.post(`/v1/bindings/${id}/${command}`, body, told);
  });
  process.stdout.write(json === true ? `${JSON.stringify(done)}\n` : sentence(command, done));
}

function sentence(command: string, { binding, names, note }: z.output<typeof told>): string {
  const lines = [
    `${command}: ${binding.rule} for ${binding.branch.name} is ${binding.state}.`,
    names.length === 0 ? "It owns no names." : `Names: ${names.join(", ")}`,
    ...(note === null ? [] : [note]),
  ];
  return `${lines.join("\n")}\n`;
}
