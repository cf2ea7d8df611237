import { Command, Option } from "commander";
import { z } from "zod";
import { EVENT_OUTCOMES, type EventItem, eventItem } from "../api/events.ts";
import { readClientEnvironment } from "../config.ts";
import { ago } from "./ages.ts";
import { withClient } from "./client.ts";
import { CLIENT_CODES, exitHelp } from "./exit.ts";
import { count } from "./options.ts";
import { drawRows, screen } from "./table.ts";

interface Options {
  readonly source?: string;
  readonly branch?: string;
  readonly origin?: string;
  readonly state?: string;
  readonly limit: number;
  readonly json?: boolean;
}

const page = z.object({ items: z.array(eventItem) });

export function eventsCommand(): Command {
  // What follows the name of a command below is that command's.
  return new Command("events")
    .enablePositionalOptions()
    .description("list the newest events with what became of each, or look again at one")
    .option("--source <name>", "only of this source")
    .option("--branch <name>", "only of this branch")
    .option("--origin <word>", "only from there: github, neon, watch, sweep, manual")
    .addOption(new Option("--state <state>", "only with this outcome").choices([...EVENT_OUTCOMES]))
    .option("--limit <number>", "so many at most", count, 20)
    .option("--json", "print JSON and nothing else")
    .addCommand(redeliverCommand())
    .addHelpText(
      "after",
      `
Examples:
  branchline events --branch preview/login
  branchline events --state ignored --limit 50
  branchline events redeliver 4711
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async ({ json, limit, ...filter }: Options) => {
      const given = Object.entries(filter).filter(([, value]) => value !== undefined);
      const query = { ...Object.fromEntries(given), limit: String(Math.min(limit, 200)) };
      const { items } = await withClient(
        readClientEnvironment(),
        async (client) => await client.get("/v1/events", query, page),
      );
      process.stdout.write(json === true ? `${JSON.stringify({ events: items })}\n` : `${drawn(items)}\n`);
    });
}

function redeliverCommand(): Command {
  return new Command("redeliver")
    .description("look again at what an event points at, as if it had just come")
    .argument("<event>", "its id")
    .option("--json", "print JSON and nothing else")
    .action(async (id: string, { json }: { json?: boolean }) => {
      const path = `/v1/events/${encodeURIComponent(id)}/redeliver`;
      const event = await withClient(
        readClientEnvironment(),
        async (client) => await client.post(path, {}, eventItem),
      );
      process.stdout.write(json === true ? `${JSON.stringify(event)}\n` : `${drawn([event])}\n`);
    });
}

const led = ({ pushes }: EventItem): string =>
  pushes.length === 0 ? "" : `led to ${pushes.length} ${pushes.length === 1 ? "push" : "pushes"}`;

function drawn(items: readonly EventItem[]): string {
  if (items.length === 0) return "There are no such events.";
  const rows = items.map((one) => [
    one.id,
    ago(one.receivedAt),
    one.origin,
    one.kind,
    [one.source, one.branch].filter(Boolean).join("/") || "-",
    one.outcome,
    one.reason ?? led(one),
  ]);
  return drawRows(["id", "ago", "origin", "kind", "about", "outcome", "why"], rows, screen());
}
