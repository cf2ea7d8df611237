/** `branchline audit`: who did what, whether the record is whole, and the record itself. */
import { Command } from "commander";
import { z } from "zod";
import { type AuditItem, auditItem } from "../api/audits.ts";
import { readClientEnvironment } from "../config.ts";
import { ago } from "./ages.ts";
import { type Client, withClient } from "./client.ts";
import { CLIENT_CODES, CommandError, EXIT, exitHelp } from "./exit.ts";
import { count } from "./options.ts";
import { drawRows, screen } from "./table.ts";

interface Options {
  readonly actor?: string;
  readonly action?: string;
  readonly object?: string;
  readonly limit: number;
  readonly json?: boolean;
}

/** One answer is bounded; a log of years is not. */
const ROWS_AT_ONCE = "2000";

const page = z.object({ items: z.array(auditItem) });
const verified = z.object({
  ok: z.boolean(),
  rows: z.int().nullable(),
  head: z.object({ seq: z.int(), hash: z.string() }).nullable(),
  problem: z.object({ seq: z.int(), problem: z.string() }).nullable(),
});

export function auditCommand(): Command {
  // What follows the name of a command below is that command's.
  return new Command("audit")
    .enablePositionalOptions()
    .description("who did what, the newest first")
    .option("--actor <name>", "only by this token")
    .option("--action <word>", "only this: connection.reveal, binding.adopt")
    .option("--object <path>", "only this, and what is below it")
    .option("--limit <number>", "so many at most", count, 20)
    .option("--json", "print JSON and nothing else")
    .addCommand(verifyCommand())
    .addCommand(exportCommand())
    .addHelpText(
      "after",
      `
Examples:
  branchline audit --object source/shop
  branchline audit verify
  branchline audit export > audit.jsonl
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async ({ json, limit, ...filter }: Options) => {
      const given = Object.entries(filter).filter(([, value]) => value !== undefined);
      const query = { ...Object.fromEntries(given), limit: String(Math.min(limit, 200)) };
      const { items } = await withClient(
        readClientEnvironment(),
        async (client) => await client.get("/v1/audit", query, page),
      );
      process.stdout.write(json === true ? `${JSON.stringify({ audit: items })}\n` : `${drawn(items)}\n`);
    });
}

function drawn(items: readonly AuditItem[]): string {
  if (items.length === 0) return "Nothing of the kind was done.";
  const rows = items.map((one) => [
    String(one.seq),
    ago(one.at),
    one.actor,
    one.action,
    one.object,
    Object.entries(one.details)
      .map(([name, value]) => `${name}: ${value}`)
      .join("\n"),
  ]);
  return drawRows(["no.", "ago", "actor", "action", "object", "details"], rows, screen());
}

function verifyCommand(): Command {
  return new Command("verify")
    .description("walk the whole chain of hashes; note the head elsewhere, to notice rows cut off at the end")
    .option("--head <seq:hash>", "a head that was noted earlier and must still be part of it")
    .option("--json", "print JSON and nothing else")
    .addHelpText("after", exitHelp([[EXIT.data, "the chain is broken"], ...CLIENT_CODES]))
    .action(async ({ head, json }: { head?: string; json?: boolean }) => {
      const found = await withClient(readClientEnvironment(), async (client) => {
        const answer = await client.get("/v1/audit/verify", {}, verified);
        return { ...answer, noted: head === undefined ? null : await stillThere(client, head) };
      });
      if (json === true) process.stdout.write(`${JSON.stringify(found)}\n`);
      if (!found.ok)
        throw new CommandError(EXIT.data, `row ${found.problem?.seq}: ${found.problem?.problem}`);
      if (found.noted === false)
        throw new CommandError(EXIT.data, `the noted row ${head} is not part of it any more`);
      if (json === true) return;
      const at = found.head === null ? "" : ` Head: ${found.head.seq}:${found.head.hash}`;
      process.stdout.write(`${found.rows} rows, each following the one before.${at}\n`);
    });
}

/** Whether the row that was noted is there as it was. */
async function stillThere(client: Client, head: string): Promise<boolean> {
  const [, seq, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(head) ?? [];
  if (seq === undefined)
    throw new CommandError(EXIT.data, "--head is NUMBER:HASH, as `audit verify` prints it");
  const lines = await client.text("/v1/audit/export", { after: String(Number(seq) - 1), limit: "1" });
  const [first = "{}"] = lines.split("\n");
  const row = z.object({ seq: z.int(), hash: z.string() }).safeParse(JSON.parse(first || "{}"));
  return row.success && String(row.data.seq) === seq && row.data.hash === hash;
}

function exportCommand(): Command {
  return new Command("export")
    .description("print the whole log in order, one JSON object a line")
    .option("--after <number>", "only rows with a higher number", "0")
    .action(async ({ after }: { after: string }) => {
      await withClient(readClientEnvironment(), async (client) => {
        for (let seq = after; ; ) {
          const lines = await client.text("/v1/audit/export", { after: seq, limit: ROWS_AT_ONCE });
          if (lines === "") break;
          process.stdout.write(lines);
          seq = String(auditItem.parse(JSON.parse(lines.trimEnd().split("\n").at(-1) ?? "")).seq);
        }
      });
    });
}
