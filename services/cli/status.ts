/** `branchline status`: in one screen what is behind, since when, why, and what to do. */
import { Command } from "commander";
import colors from "yoctocolors";
import { z } from "zod";
import { type BindingItem, bindingItem } from "../api/bindings.ts";
import { readClientEnvironment } from "../config.ts";
import { ago } from "./ages.ts";
import { paint } from "./bindings.ts";
import { type Client, withClient } from "./client.ts";
import { CLIENT_CODES, EXIT, exitHelp } from "./exit.ts";
import { drawRows, screen } from "./table.ts";

const TIERS = ["page", "ticket", "quiet"] as const;
type Tier = (typeof TIERS)[number];

const ruleShape = z.object({
  name: z.string(),
  orphanedAt: z.string().nullable(),
  definition: z.object({ tier: z.enum(TIERS).catch("ticket") }),
});
const installationShape = z.object({
  suspendedAt: z.string().nullable(),
  suspendedWhy: z.string().nullable(),
});
type Installation = z.output<typeof installationShape>;

interface Behind extends BindingItem {
  readonly tier: Tier;
}

interface Status {
  readonly installation: Installation;
  readonly bindings: number;
  readonly inStep: number;
  /** The most urgent first. */
  readonly behind: readonly Behind[];
  /** In step, and with something to say: passwords that production accepts as well. */
  readonly warnings: readonly BindingItem[];
  /** Rules that left the file. */
  readonly orphaned: readonly string[];
}

const AT_REST: ReadonlySet<string> = new Set(["synced", "orphaned", "retained", "removed"]);
/** So many rows are shown; the rest are counted. */
const ROWS = 15;

export function statusCommand(): Command {
  return new Command("status")
    .description("what is behind, since when, why, and what to do: the most urgent first")
    .option("--source <name>", "only of this source")
    .option("--all", "every row, also if it is more than one screen")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Sorted by the tier of the rule (page, ticket, quiet), then by how long it has been so. Ends with ${EXIT.parked} if anything
of the tiers page or ticket stands still until somebody does something.

Example:
  branchline status
${exitHelp([[EXIT.parked, "something is parked, drifted or suspended"], ...CLIENT_CODES])}`,
    )
    .action(async (options: { source?: string; all?: boolean; json?: boolean }) => {
      const status = await withClient(
        readClientEnvironment(),
        async (client) => await look(client, options.source ?? null),
      );
      const text = options.json === true ? JSON.stringify(status) : drawn(status, options.all === true);
      process.stdout.write(`${text}\n`);
      if (standsStill(status)) process.exitCode = EXIT.parked;
    });
}

async function look(client: Client, source: string | null): Promise<Status> {
  const bindings = await client.list("/v1/bindings", { source }, bindingItem);
  const rules = await client.list("/v1/rules", { source }, ruleShape);
  const installation = await client.get("/v1/installation", {}, installationShape);
  return { installation, ...sortedOut(bindings, rules) };
}

/** Pure. */
export function sortedOut(
  bindings: readonly BindingItem[],
  rules: readonly z.output<typeof ruleShape>[],
): Omit<Status, "installation"> {
  const tierOf = new Map(rules.map(({ name, definition }) => [name, definition.tier]));
  const live = bindings.filter(({ state }) => state !== "removed" && state !== "retained");
  const behind = live
    .filter((one) => !AT_REST.has(one.state) || one.wanted > one.applied)
    .map((one): Behind => ({ ...one, tier: tierOf.get(one.rule) ?? "ticket" }))
    .sort(
      (a, b) => TIERS.indexOf(a.tier) - TIERS.indexOf(b.tier) || Date.parse(a.since) - Date.parse(b.since),
    );
  return {
    bindings: live.length,
    inStep: live.length - behind.length,
    behind,
    warnings: live.filter(({ warning }) => warning !== null),
    orphaned: rules.filter(({ orphanedAt }) => orphanedAt !== null).map(({ name }) => name),
  };
}

function standsStill({ installation, behind }: Status): boolean {
  const still = behind.filter(({ state }) => ["parked", "drifted", "suspended"].includes(state));
  return installation.suspendedAt !== null || still.some(({ tier }) => tier !== "quiet");
}

function drawn({ installation, bindings, inStep, behind, warnings, orphaned }: Status, all: boolean): string {
  const lines: string[] = [];
  if (installation.suspendedAt !== null) {
    const why = installation.suspendedWhy ?? "somebody stopped it";
    lines.push(
      colors.red(`Nothing is written anywhere for ${ago(installation.suspendedAt)}: ${why}.`),
      "Say `branchline resume --all` when this state is the one to go on with.",
    );
  }
  lines.push(`${inStep} of ${bindings} bindings are in step.`);
  if (behind.length > 0) {
    const shown = all ? behind : behind.slice(0, ROWS);
    const rows = shown.map((one) => [
      one.tier === "page" ? colors.red(one.tier) : one.tier,
      `${one.rule}/${one.branch.name}`,
      one.destination,
      one.code === null ? paint(one.state) : `${paint(one.state)}\n${one.code}`,
      ago(one.since),
      [one.cause, one.next].filter(Boolean).join("\n") || "Nothing to do: it is under way.",
    ]);
    lines.push(
      drawRows(["tier", "binding", "destination", "state", "for", "why, and what to do"], rows, screen()),
    );
    if (behind.length > shown.length)
      lines.push(`... and ${behind.length - shown.length} more: branchline status --all`);
  }
  lines.push(...said(warnings));
  if (orphaned.length > 0) {
    lines.push(
      `Rules that left the file and are kept in step: ${orphaned.join(", ")}. \`branchline apply --prune\` ends them.`,
    );
  }
  return lines.join("\n");
}

/** What several bindings of a branch have to say is said once. */
function said(warnings: readonly BindingItem[]): string[] {
  const rules = new Map<string, string[]>();
  for (const { rule, branch, warning } of warnings) {
    const words = `${branch.name}: ${warning}`;
    rules.set(words, [...(rules.get(words) ?? []), rule].sort());
  }
  return [...rules].map(([words, names]) => colors.yellow(`${words} (${names.join(", ")})`));
}
