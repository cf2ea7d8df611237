import { Command } from "commander";
import colors from "yoctocolors";
import { PRESETS, type Preset } from "../sync/presets.ts";
import { didYouMean } from "../sync/suggest.ts";
import { CommandError, EXIT, exitHelp } from "./exit.ts";
import { drawRows, screen } from "./table.ts";

export function presetsCommand(): Command {
  return new Command("presets")
    .description("list the presets: sets of variables, each with the reason of its choice")
    .argument("[name]", "only this one")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Examples:
  branchline presets
  branchline presets prisma
  branchline presets vercel-all --json
${exitHelp([[EXIT.missing, "there is no such preset"]])}`,
    )
    .action((name: string | undefined, { json = false }: { json?: boolean }) => {
      const presets = chosen(name);
      const text = json ? JSON.stringify({ presets }) : presets.map(draw).join("\n\n");
      process.stdout.write(`${text}\n`);
    });
}

function chosen(name: string | undefined): readonly Preset[] {
  if (name === undefined) return [...PRESETS.values()];
  const found = PRESETS.get(name);
  if (found !== undefined) return [found];
  const hint = didYouMean(name, PRESETS.keys()) || `Known: ${[...PRESETS.keys()].join(", ")}.`;
  throw new CommandError(EXIT.missing, `there is no preset of this name\n  ${hint}`);
}

function draw({ name, about, caution, entries }: Preset): string {
  const { colors: coloured } = screen();
  const title = `${coloured ? colors.bold(name) : name}  ${about}`;
  const rows = entries.map((entry) => [entry.name, entry.expression, entry.reason]);
  const table = drawRows(["variable", "expression", "because"], rows, screen());
  return [title, ...(caution === null ? [] : [`Note: ${caution}`]), table].join("\n");
}
