/** `branchline unmanage`: the file that managed the installation is gone, and the API may say again what is to be. */
import { Command } from "commander";
import { unmanaged } from "../api/managed.ts";
import { readClientEnvironment } from "../config.ts";
import { withClient } from "./client.ts";
import { CLIENT_CODES, exitHelp } from "./exit.ts";

export function unmanageCommand(): Command {
  return new Command("unmanage")
    .description("say that no file (BRANCHLINE_CONFIG) manages this installation any more")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Start every process without BRANCHLINE_CONFIG first. Nothing else changes: what the file said stays in force until
another document is applied.

Example:
  branchline unmanage
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async ({ json }: { json?: boolean }) => {
      const was = await withClient(
        readClientEnvironment(),
        async (client) => await client.post("/v1/unmanage", {}, unmanaged),
      );
      const words =
        was.file === null
          ? "No file managed this installation."
          : `${was.file} managed this installation since ${was.since}, and does so no more.`;
      process.stdout.write(`${json === true ? JSON.stringify(was) : words}\n`);
    });
}
