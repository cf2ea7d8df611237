import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { readClientEnvironment } from "../config.ts";
import { documentImport } from "../sync/document-import.ts";
import { withClient } from "./client.ts";
import { DEFAULT_FILE, orFail, readDocument } from "./document-file.ts";
import { drawReport, writeRules } from "./draw-import.ts";
import { CommandError, EXIT, exitHelp } from "./exit.ts";
import { PLAN_TIMEOUT_MS } from "./plan.ts";

interface Options {
  readonly file: string;
  readonly report?: boolean;
  readonly replaceUnreadable?: boolean;
  readonly json?: boolean;
  readonly out?: string;
}

export function importCommand(): Command {
  return new Command("import")
    .description("what exists at the destinations already, and rules that take it over; never a value")
    .option("-f, --file <file>", "sources, destinations, and rules that say where to look", DEFAULT_FILE)
    .option("--report", "print the table of names alone")
    .option("--replace-unreadable", "hand over also what nobody can read back; it cannot be restored")
    .option("--json", "print JSON and nothing else, as documented in docs/import.md")
    .option("-o, --out <file>", "write the rules to a new file")
    .addHelpText(
      "after",
      `
Compares what is at each rule's targets with what Branchline would write there. The rules in the file may leave
\`variables\` out: then the usual names are looked for. Nothing is written at any vendor, and nothing is stored.
The server contacts only sources and destinations that it knows already: apply the file without rules first.

Examples:
  branchline import --report
  branchline import -o imported.yaml
  branchline import --replace-unreadable
${exitHelp([[EXIT.cannotWrite, "the file exists already, or cannot be written"]])}`,
    )
    .action(async (options: Options) => {
      const { files, found } = await orFail(async () => {
        const { files } = readDocument(options.file, { withoutVariables: true });
        const body = { files, replaceUnreadable: options.replaceUnreadable === true };
        const found = await withClient(
          readClientEnvironment(),
          async (client) => await client.post("/v1/import", body, documentImport, PLAN_TIMEOUT_MS),
        );
        return { files, found };
      });
      const rules = (): string => writeRules(files, found);
      if (options.out !== undefined) writeNew(options.out, rules());
      if (options.json) process.stdout.write(`${JSON.stringify(found)}\n`);
      else if (options.report || options.out !== undefined) process.stdout.write(`${drawReport(found)}\n`);
      else process.stdout.write(rules());
    });
}

/** Never over a file that is there: it may be the one that the rules came from. */
function writeNew(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: "wx" });
  } catch (thrown) {
    const exists = (thrown as NodeJS.ErrnoException).code === "EEXIST";
    const why = exists ? "exists already and is left as it is; name another" : "cannot be written";
    throw new CommandError(EXIT.cannotWrite, `${path} ${why}`);
  }
}
