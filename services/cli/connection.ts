import { Command } from "commander";
import { z } from "zod";
import { readClientEnvironment } from "../config.ts";
import { type Client, withClient } from "./client.ts";
import { CLIENT_CODES, exitHelp } from "./exit.ts";
import { type Place, parsePlace } from "./place.ts";

interface Options {
  readonly pooled?: boolean;
  readonly role?: string;
  readonly database?: string;
  readonly form?: string;
  readonly json?: boolean;
}

const answer = z.object({
  connectionUri: z.string(),
  branch: z.string(),
  pooled: z.boolean(),
  role: z.string().optional(),
  database: z.string().optional(),
  form: z.string().optional(),
  warning: z.string().optional(),
});
type Answer = z.output<typeof answer>;

export function connectionCommand(): Command {
  return new Command("connection")
    .description("print what connects to a branch, read from Neon now")
    .argument("<source/branch>", "a source and a branch; the source alone means its default branch")
    .option("--pooled", "through the pooler; without it the direct host")
    .option("--role <name>", "the role to log in as; without it the owner of the database")
    .option("--database <name>", "the database; without it the only one")
    .option(
      "--form <name>",
      "how it is written: url, jdbc, npgsql, django, ... (see docs/connection-strings.md)",
    )
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Needs a token with the scope reveal; each use is in the audit log.

Examples:
  branchline connection shop/preview/login --pooled
  branchline connection shop/preview/login --role shop_app --form jdbc
  psql "$(branchline connection shop/preview/login)"
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async (place: string, options: Options) => {
      const found = await withClient(readClientEnvironment(), (client) =>
        askConnection(client, parsePlace(place), options),
      );
      if (found.warning !== undefined) process.stderr.write(`branchline: warning: ${found.warning}\n`);
      process.stdout.write(`${options.json === true ? JSON.stringify(found) : found.connectionUri}\n`);
    });
}

/** Throws `CommandError` as the client does. */
export async function askConnection(
  client: Client,
  { source, branch }: Place,
  { pooled = false, role, database, form }: Options,
): Promise<Answer> {
  const query = {
    branch,
    pooled: String(pooled),
    role: role ?? null,
    database: database ?? null,
    form: form ?? null,
  };
  return await client.get(`/v1/sources/${encodeURIComponent(source)}/connection`, query, answer);
}
