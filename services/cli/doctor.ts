import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import colors from "yoctocolors";
import { readClientEnvironment } from "../config.ts";
import type { Dial } from "../sources/dial.ts";
import { EXIT_OF, type Examined, examine } from "../sources/doctor.ts";
import { type ReadUrl, readUrl } from "../sources/url.ts";
import { withClient } from "./client.ts";
import { askConnection } from "./connection.ts";
import { CLIENT_CODES, CommandError, EXIT, exitHelp } from "./exit.ts";
import { parsePlace } from "./place.ts";
import { screen } from "./table.ts";

interface Options {
  readonly role?: string;
  readonly database?: string;
  readonly dial?: { host: string; port: number };
  readonly ca?: string;
  readonly timeout: number;
  readonly json?: boolean;
}

const CATEGORY_CODES = Object.entries(EXIT_OF)
  .sort(([, a], [, b]) => a - b)
  .map(([category, code]) => [code, category.replaceAll("_", " ")] as const);

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("explain why a connection string does not work, or a branch's two")
    .argument("<url or source/branch>", "- reads the URL from standard input, which no shell history keeps")
    .option("--role <name>", "of a branch: the role to log in as")
    .option("--database <name>", "of a branch: the database")
    .option(
      "--dial <host:port>",
      "connect there instead of what DNS says; the server name stays",
      dialAddress,
    )
    .option("--ca <file>", "PEM certificates to trust instead of the system's")
    .option("--timeout <seconds>", "of one login", seconds, 15)
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Logs in from this machine, over TLS, runs one statement and leaves. Never prints the password.

Examples:
  branchline doctor shop/preview/login
  pbpaste | branchline doctor -
  branchline doctor "$DATABASE_URL" --json
${exitHelp([...CATEGORY_CODES, ...CLIENT_CODES])}`,
    )
    .action(async (what: string, options: Options) => await doctor(what, options));
}

async function doctor(what: string, options: Options): Promise<void> {
  const urls = isString(what)
    ? [read(what === "-" ? readFileSync(0, "utf8").trim() : what)]
    : await ask(what, options);
  const { signal } = new AbortController();
  const how = { dial: dialOf(options), timeoutMs: options.timeout * 1_000, signal };
  const examined = await Promise.all(urls.map((url) => examine(url, how)));
  const failed = examined.find((one) => one.diagnosis !== null)?.diagnosis ?? null;
  const exitCode = failed === null ? EXIT.ok : EXIT_OF[failed.category];
  const report = { ok: failed === null, exitCode, logins: examined.map(reportOf) };
  process.stdout.write(
    options.json === true ? `${JSON.stringify(report)}\n` : `${examined.map(draw).join("\n")}\n`,
  );
  process.exitCode = exitCode;
}

/**
 * Whatever could be a string is taken for one, so that a URL with a typing error is refused here and never sent
 * anywhere as the name of a source.
 */
function isString(what: string): boolean {
  if (what === "-" || what.includes("://") || /\s/.test(what)) return true;
  const [source = ""] = what.split("/");
  return !/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(source) || (what.includes("@") && /[:=]/.test(what));
}

function read(text: string): ReadUrl {
  const url = readUrl(text);
  if (!("problem" in url)) return url;
  throw new CommandError(EXIT.data, `${url.problem}\n  ${url.next}`);
}

/** A branch has two hosts, and one may fail where the other works. */
async function ask(what: string, { role, database }: Options): Promise<ReadUrl[]> {
  const place = parsePlace(what);
  const login = { ...(role === undefined ? {} : { role }), ...(database === undefined ? {} : { database }) };
  return await withClient(readClientEnvironment(), async (client) => {
    const direct = await askConnection(client, place, { ...login, pooled: false });
    const pooled = await askConnection(client, place, { ...login, pooled: true });
    return [direct, pooled].map(({ connectionUri }) => read(connectionUri));
  });
}

function dialOf({ dial, ca }: Options): Dial | null {
  if (dial === undefined) {
    if (ca === undefined) return null;
    throw new CommandError(EXIT.data, "--ca goes with --dial");
  }
  if (ca === undefined) return dial;
  try {
    return { ...dial, ca: readFileSync(ca, "utf8") };
  } catch {
    throw new CommandError(EXIT.data, `the certificates of --ca cannot be read from ${ca}`);
  }
}

/** Only what cannot be a piece of the password. */
function reportOf({ host, pooled, ms, diagnosis, notes }: Examined): object {
  return { host, pooled, ok: diagnosis === null, ms, ...(diagnosis ?? {}), notes };
}

function draw({ host, pooled, ms, diagnosis, notes }: Examined): string {
  const coloured = screen().colors;
  const paint = (how: (text: string) => string, text: string) => (coloured ? how(text) : text);
  const took = ms === null ? "" : ` after ${ms} ms`;
  const lines = [
    `${paint(colors.bold, host)} (${pooled ? "pooled" : "direct"}): ${
      diagnosis === null
        ? paint(colors.green, `works${took}`)
        : paint(colors.red, `${diagnosis.category}${took}`)
    }`,
  ];
  if (diagnosis !== null) {
    lines.push(
      `  cause     ${diagnosis.cause}`,
      `  evidence  ${diagnosis.evidence}`,
      `  next      ${diagnosis.next}`,
    );
  }
  return [...lines, ...notes.map((note) => `  note      ${note}`)].join("\n");
}

function dialAddress(text: string): { host: string; port: number } {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw new InvalidArgumentError("Expected HOST:PORT.");
  }
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

function seconds(text: string): number {
  const number = Number(text);
  if (!(number > 0 && number <= 600)) throw new InvalidArgumentError("Expected seconds, at most 600.");
  return number;
}
