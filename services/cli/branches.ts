import { Command } from "commander";
import colors from "yoctocolors";
import { z } from "zod";
import { branchItem } from "../api/branches.ts";
import { readClientEnvironment } from "../config.ts";
import { type Client, withClient } from "./client.ts";
import { CLIENT_CODES, CommandError, EXIT, exitHelp } from "./exit.ts";
import { drawRows, screen } from "./table.ts";

interface Options {
  readonly rule?: string;
  readonly source?: string;
  readonly json?: boolean;
}

const matched = z.object({
  rule: z.string(),
  source: z.string(),
  matches: z.int(),
  of: z.int(),
  branches: z.array(z.object({ id: z.string(), name: z.string(), matches: z.boolean(), why: z.string() })),
  nearMisses: z.array(z.string()),
});
type Matched = z.output<typeof matched>;

export function branchesCommand(): Command {
  return new Command("branches")
    .description("list the branches, or those that a rule means and why")
    .option(
      "--rule <name>",
      "which branches the rule means, which it does not, and which it misses by little",
    )
    .option("--source <name>", "only branches of this source")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Examples:
  branchline branches
  branchline branches --source shop --json
  branchline branches --rule web-preview
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async (options: Options) => {
      const text = await withClient(readClientEnvironment(), async (client) =>
        options.rule === undefined ? await all(client, options) : await ofRule(client, options.rule, options),
      );
      process.stdout.write(`${text}\n`);
    });
}

async function all(client: Client, { source, json }: Options): Promise<string> {
  const items = await client.list("/v1/branches", { source: source ?? null }, branchItem);
  const live = items.filter((item) => item.state !== "gone").sort((a, b) => (a.name < b.name ? -1 : 1));
  if (json === true) return JSON.stringify({ branches: live });
  if (live.length === 0) return "There are no branches yet.";
  const rows = live.map((item) => [
    item.name,
    item.source,
    [item.default ? "default" : "", item.protected ? "protected" : "", item.state].filter(Boolean).join(", "),
    Object.entries(item.bindings)
      .map(([state, count]) => `${count} ${state}`)
      .join(", ") || "-",
  ]);
  return drawRows(["branch", "source", "state", "bindings"], rows, screen());
}

async function ofRule(client: Client, rule: string, { source, json }: Options): Promise<string> {
  const found = await client.get(`/v1/rules/${encodeURIComponent(rule)}/branches`, {}, matched);
  if (source !== undefined && source !== found.source) {
    throw new CommandError(EXIT.data, `the rule "${rule}" is about the source "${found.source}"`);
  }
  return json === true ? JSON.stringify(found) : describe(found);
}

/** `web-preview matches 41 of 57 branches of shop.` */
function describe({ rule, source, matches, of, branches, nearMisses }: Matched): string {
  const rows = branches.map((branch) => [
    branch.matches ? colors.green(branch.name) : colors.dim(branch.name),
    branch.matches ? "yes" : "no",
    branch.why,
  ]);
  const lines = [`${rule} matches ${matches} of ${of} branches of ${source}.`];
  if (rows.length > 0) lines.push(drawRows(["branch", "meant", "because it"], rows, screen()));
  if (nearMisses.length > 0) {
    lines.push(`Missed by little: ${nearMisses.join(", ")}`);
    lines.push("A * stops at /, ** crosses it; upper and lower case differ.");
  }
  return lines.join("\n");
}
