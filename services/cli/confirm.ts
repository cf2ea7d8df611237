/** `branchline confirm`: lets go of deletes that wait because too many branches vanished at once. */
import { Command } from "commander";
import { confirmDeletes } from "../api/sources.ts";
import { readClientEnvironment } from "../config.ts";
import { withClient } from "./client.ts";
import { CLIENT_CODES, exitHelp } from "./exit.ts";

export function confirmCommand(): Command {
  return new Command("confirm")
    .description(
      "believe that the branches of a source that are missing now are gone, so that their names may go",
    )
    .argument("<source>", "its name or id")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Deletes are held while more branches vanish at once than is believed. Only what is missing now is confirmed.

Example:
  branchline confirm shop
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async (source: string, { json }: { json?: boolean }) => {
      const path = `/v1/sources/${encodeURIComponent(source)}/confirm`;
      const answer = await withClient(
        readClientEnvironment(),
        async (client) => await client.post(path, {}, confirmDeletes.answer),
      );
      const names = answer.confirmed.map(({ name }) => name);
      const words =
        names.length === 0
          ? "No branch is missing: there is nothing to confirm."
          : `Confirmed: ${names.join(", ")}.`;
      process.stdout.write(json === true ? `${JSON.stringify(answer)}\n` : `${words}\n`);
    });
}
