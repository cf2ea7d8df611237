import { Command } from "commander";
import { ConfigurationError } from "../config.ts";
import type { FileProblem, FileWarning } from "../file/configuration.ts";
import { renderProblems } from "../file/problems.ts";
import { DEFAULT_FILE, readDocument } from "./document-file.ts";
import { EXIT, exitHelp } from "./exit.ts";

interface Found {
  readonly valid: boolean;
  readonly problems: readonly FileProblem[];
  readonly warnings: readonly FileWarning[];
}

export function validateCommand(): Command {
  return new Command("validate")
    .description("check a file without asking anybody: everything that is wrong, with its place")
    .option("-f, --file <file>", "the file", DEFAULT_FILE)
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Credentials are not looked up, and no vendor is asked: for that there is \`branchline plan\`.

Examples:
  branchline validate
  branchline validate -f infra/branchline.yaml --json
${exitHelp([[EXIT.data, "something is wrong with the file"]])}`,
    )
    .action(({ file, json = false }: { file: string; json?: boolean }) => {
      const found = lookAt(file);
      process.stdout.write(`${json ? JSON.stringify(found) : inWords(file, found)}\n`);
      if (!found.valid) process.exitCode = EXIT.data;
    });
}

function lookAt(file: string): Found {
  try {
    const { warnings = [] } = readDocument(file).configuration;
    return { valid: true, problems: [], warnings };
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return { valid: false, problems: error.problems as readonly FileProblem[], warnings: [] };
  }
}

function inWords(file: string, { valid, problems, warnings }: Found): string {
  if (!valid) return renderProblems(problems);
  const blocks = warnings.map(({ where, problem, hint }) =>
    [`warning: ${where}`, `  ${problem}`, ...(hint === "" ? [] : [`  -> ${hint}`])].join("\n"),
  );
  const count = warnings.length === 1 ? ", 1 warning" : `, ${warnings.length} warnings`;
  return [...blocks, `${file} is right${warnings.length === 0 ? "" : count}`].join("\n\n");
}
