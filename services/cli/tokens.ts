/** Tokens of the admin API: `tokens create`, `tokens list`, `tokens revoke`. */
import { Command, Option } from "commander";
import { z } from "zod";
import { SCOPES, type Scope } from "../api/ports.ts";
import { type TokenItem, tokenItem } from "../api/tokens.ts";
import { readClientEnvironment } from "../config.ts";
import { type Client, withClient } from "./client.ts";
import { CLIENT_CODES, CommandError, EXIT, exitHelp } from "./exit.ts";
import { duration } from "./options.ts";
import { drawRows, screen } from "./table.ts";

interface Plain {
  readonly json?: boolean;
}

interface CreateOptions extends Plain {
  readonly scope: readonly Scope[];
  readonly source?: readonly string[];
  readonly branch?: readonly string[];
  readonly destination?: readonly string[];
  readonly revealDefault?: boolean;
  readonly expires?: number;
}

const made = tokenItem.extend({ token: z.string() });

export function tokensCommand(): Command {
  return new Command("tokens")
    .description("make, list and revoke tokens of the admin API")
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand());
}

function createCommand(): Command {
  return new Command("create")
    .description("make a token; it is shown this once and never again")
    .argument("<name>", "who or what uses it, as it stands in the audit log")
    .addOption(
      new Option("--scope <scope...>", "what it is good for").choices([...SCOPES]).makeOptionMandatory(),
    )
    .option("--source <name...>", "only these sources; default: all")
    .option("--branch <glob...>", "only branches that one of these means; default: all")
    .option("--destination <name...>", "only these destinations; default: all")
    .option("--reveal-default", "with --scope reveal: also what opens default and protected branches")
    .option("--expires <duration>", "when it ends by itself: 12h, 90d; default: when it is revoked", duration)
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
What lies outside a token's limits is not there for it. The token alone goes to standard output.

Examples:
  branchline tokens create dashboard --scope read
  branchline tokens create ci --scope read reveal --source shop --branch "preview/**" --expires 90d
${exitHelp(CLIENT_CODES)}`,
    )
    .action(async (name: string, options: CreateOptions) => {
      const { token, ...item } = await withClient(
        readClientEnvironment(),
        async (client) => await client.post("/v1/tokens", bodyOf(name, options), made),
      );
      if (options.json === true) return print(JSON.stringify({ ...item, token }));
      process.stderr.write(
        `${item.name} (${item.id}): ${item.scopes.join(", ")}. Keep it now, it is not shown again.\n`,
      );
      print(token);
    });
}

function bodyOf(name: string, options: CreateOptions): object {
  const { source = null, branch = null, destination = null, expires } = options;
  const all = source === null && branch === null && destination === null;
  return {
    name,
    scopes: options.scope,
    limits: all ? null : { sources: source, branches: branch, destinations: destination },
    revealDefault: options.revealDefault === true,
    expiresAt: expires === undefined ? null : new Date(Date.now() + expires).toISOString(),
  };
}

function listCommand(): Command {
  return new Command("list")
    .description("list the tokens; what they are is not stored anywhere")
    .option("--all", "also those that are revoked")
    .option("--json", "print JSON and nothing else")
    .addHelpText("after", `\nExample:\n  branchline tokens list\n${exitHelp(CLIENT_CODES)}`)
    .action(async ({ all, json }: Plain & { readonly all?: boolean }) => {
      const query = { revoked: all === true ? null : "false" };
      const tokens = await withClient(
        readClientEnvironment(),
        async (client) => await client.list("/v1/tokens", query, tokenItem),
      );
      print(json === true ? JSON.stringify({ tokens }) : drawn(tokens));
    });
}

function drawn(tokens: readonly TokenItem[]): string {
  if (tokens.length === 0) return "There are no tokens.";
  const rows = tokens.map((token) => [
    token.name,
    token.id,
    token.scopes.join(", "),
    limitsOf(token),
    token.lastUsedAt ?? "never",
    token.revokedAt === null ? (token.expiresAt ?? "when revoked") : `revoked ${token.revokedAt}`,
  ]);
  return drawRows(["name", "id", "scopes", "limited to", "last used", "ends"], rows, screen());
}

function limitsOf({ limits }: TokenItem): string {
  const parts = Object.entries(limits ?? {}).flatMap(([what, names]) =>
    names === null ? [] : [`${what}: ${names.join(", ")}`],
  );
  return parts.join("\n") || "-";
}

function revokeCommand(): Command {
  return new Command("revoke")
    .description("end a token, for good and at once")
    .argument("<token>", "its id, or its name if only one is called so")
    .option("--json", "print JSON and nothing else")
    .addHelpText("after", `\nExample:\n  branchline tokens revoke ci\n${exitHelp(CLIENT_CODES)}`)
    .action(async (token: string, { json }: Plain) => {
      const revoked = await withClient(
        readClientEnvironment(),
        async (client) => await client.delete(`/v1/tokens/${await findToken(client, token)}`, tokenItem),
      );
      print(json === true ? JSON.stringify(revoked) : `${revoked.name} (${revoked.id}) is revoked.`);
    });
}

async function findToken(client: Client, text: string): Promise<string> {
  if (z.uuid().safeParse(text).success) return text;
  const found = await client.list("/v1/tokens", { name: text, revoked: "false" }, tokenItem);
  const [one, ...more] = found;
  if (one === undefined) throw new CommandError(EXIT.missing, `there is no token called ${text}`);
  if (more.length === 0) return one.id;
  throw new CommandError(
    EXIT.data,
    `${found.length} tokens are called so: ${found.map(({ id }) => id).join(", ")}`,
  );
}

const print = (text: string): void => void process.stdout.write(`${text}\n`);
