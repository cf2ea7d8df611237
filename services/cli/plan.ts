import { Command } from "commander";
import { readClientEnvironment } from "../config.ts";
import { documentPlan } from "../sync/document-plan.ts";
import { withClient } from "./client.ts";
import { DEFAULT_FILE, orFail, readDocument } from "./document-file.ts";
import { drawPlan, markdownPlan } from "./draw-plan.ts";
import { EXIT, exitHelp } from "./exit.ts";

interface Options {
  readonly file: string;
  readonly prune?: boolean;
  readonly json?: boolean;
  readonly markdown?: boolean;
}

/** The server looks at vendors meanwhile. */
export const PLAN_TIMEOUT_MS = 180_000;

export function planCommand(): Command {
  return new Command("plan")
    .description("what applying a file would create, change, delete, adopt or refuse; never a value")
    .option("-f, --file <file>", "the file", DEFAULT_FILE)
    .option("--prune", "also let go of rules that left")
    .option("--json", "print JSON and nothing else, as documented in docs/plan.md")
    .option("--markdown", "print Markdown for the comment of a pull request")
    .addHelpText(
      "after",
      `
The server makes the plan. It looks up no credential that its BRANCHLINE_REFS does not allow, and contacts no
address that is new or changed: a stranger's pull request can be planned safely.

Examples:
  branchline plan
  branchline plan -f infra/branchline.yaml --markdown
${exitHelp([[EXIT.changes, "there is something to do"]])}`,
    )
    .action(async (options: Options) => {
      const plan = await orFail(async () => {
        const { files } = readDocument(options.file);
        const body = { files, prune: options.prune === true };
        return await withClient(
          readClientEnvironment(),
          async (client) => await client.post("/v1/plan", body, documentPlan, PLAN_TIMEOUT_MS),
        );
      });
      const text = options.json
        ? JSON.stringify(plan)
        : options.markdown
          ? markdownPlan(plan)
          : drawPlan(plan);
      process.stdout.write(`${text}\n`);
      if (plan.changes) process.exitCode = EXIT.changes;
    });
}
