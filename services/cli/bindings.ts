import { Command, Option } from "commander";
import colors from "yoctocolors";
import { type BindingItem, bindingItem } from "../api/bindings.ts";
import { readClientEnvironment } from "../config.ts";
import { BINDING_STATES } from "../sync/model.ts";
import { ago } from "./ages.ts";
import { withClient } from "./client.ts";
import { CLIENT_CODES, exitHelp } from "./exit.ts";
import { drawRows, screen } from "./table.ts";

interface Options {
  readonly source?: string;
  readonly rule?: string;
  readonly destination?: string;
  readonly branch?: string;
  readonly state?: string;
  readonly json?: boolean;
}

export function bindingsCommand(): Command {
  return new Command("bindings")
    .description("list the bindings: what each branch has at each destination")
    .option("--source <name>", "only of this source")
    .option("--rule <name>", "only of this rule")
    .option("--destination <name>", "only at this destination")
    .option("--branch <name>", "only of this branch")
    .addOption(new Option("--state <state>", "only in this state").choices([...BINDING_STATES]))
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Examples:
  branchline bindings --branch preview/login
  branchline bindings --state parked --json
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async ({ json, ...filter }: Options) => {
      const query = Object.fromEntries(Object.entries(filter).map(([name, value]) => [name, value ?? null]));
      const found = await withClient(
        readClientEnvironment(),
        async (client) => await client.list("/v1/bindings", query, bindingItem),
      );
      process.stdout.write(json === true ? `${JSON.stringify({ bindings: found })}\n` : `${drawn(found)}\n`);
    });
}

function drawn(found: readonly BindingItem[]): string {
  if (found.length === 0) return "There are no such bindings.";
  const rows = found.map((one) => [
    one.branch.name,
    one.rule,
    one.destination,
    paint(one.state),
    one.wanted === one.applied ? String(one.applied) : `${one.applied} of ${one.wanted}`,
    ago(one.since),
    one.names.join("\n") || "-",
  ]);
  return drawRows(["branch", "rule", "destination", "state", "applied", "for", "names"], rows, screen());
}

const GOOD = ["synced", "retained", "removed"];
const BAD = ["parked", "drifted"];

/** A state in its colour. */
export function paint(state: string): string {
  if (GOOD.includes(state)) return colors.green(state);
  return BAD.includes(state) ? colors.red(state) : colors.yellow(state);
}
