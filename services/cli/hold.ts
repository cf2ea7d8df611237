/** `branchline hold`: writes nothing of one branch for a while. */
import { Command } from "commander";
import { branchItem } from "../api/branches.ts";
import { readClientEnvironment } from "../config.ts";
import { withClient } from "./client.ts";
import { CLIENT_CODES, CommandError, EXIT, exitHelp } from "./exit.ts";
import { findBranch } from "./find.ts";
import { duration } from "./options.ts";

interface Options {
  readonly for?: number;
  readonly reason?: string;
  readonly release?: boolean;
  readonly json?: boolean;
}

export function holdCommand(): Command {
  return new Command("hold")
    .description("write nothing of one branch for a while, or end that early")
    .argument("<source/branch>", "which branch")
    .option("--for <duration>", "how long: 30m, 2h, at most 7d", duration)
    .option("--reason <words>", "why, for whoever wonders")
    .option("--release", "end the hold now")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Examples:
  branchline hold shop/main --for 30m --reason "migration under way"
  branchline hold shop/main --release
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async (text: string, options: Options) => {
      const body = bodyOf(options);
      const held = await withClient(readClientEnvironment(), async (client) => {
        const { id } = await findBranch(client, text);
        const path = `/v1/branches/${id}/hold`;
        return body === null
          ? await client.delete(path, branchItem)
          : await client.post(path, body, branchItem);
      });
      const words =
        held.heldUntil === null
          ? `${held.name} is not held: it is written as its rules say.`
          : `Nothing of ${held.name} is written until ${held.heldUntil}: ${held.heldReason ?? ""}`;
      process.stdout.write(options.json === true ? `${JSON.stringify(held)}\n` : `${words}\n`);
    });
}

function bodyOf({ for: ms, reason, release }: Options): { forSeconds: number; reason: string } | null {
  if (release === true) {
    if (ms === undefined && reason === undefined) return null;
    throw new CommandError(EXIT.data, "--release goes without --for and --reason");
  }
  if (ms === undefined || reason === undefined) {
    throw new CommandError(
      EXIT.data,
      "a hold needs --for and --reason, for example --for 30m --reason migration",
    );
  }
  return { forSeconds: Math.ceil(ms / 1_000), reason };
}
