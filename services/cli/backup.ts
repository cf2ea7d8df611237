/** `branchline backup` and `restore`: the state of an installation as a file, on the machine of its database. */
import { randomBytes } from "node:crypto";
import { createReadStream, renameSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { Command } from "commander";
import { readEnvironment } from "../config.ts";
import { createLogger } from "../log.ts";
import { BackupError, type BackupSummary, backup, restore } from "../store/backup.ts";
import { migrate } from "../store/migrate.ts";
import { openServer } from "./database.ts";
import { CommandError, EXIT, exitHelp } from "./exit.ts";

const FOLDER = ".branchline";
const CODES = [
  [EXIT.data, "no backup, a broken one, or a database that it does not fit"],
  [EXIT.unavailable, "the database does not answer"],
  [EXIT.cannotWrite, "the file cannot be written"],
  [EXIT.config, "a setting in the environment is wrong"],
] as const;

const KEY = `Beside the backup you need the master key that sealed it: BRANCHLINE_MASTER_KEY, or
${join(FOLDER, "master.key")} where the database is the embedded one. Keep the two apart.`;

export function backupCommand(): Command {
  return new Command("backup")
    .description("write the state (no passwords, no connection strings) to a file")
    .argument("[file]", "where to; - or nothing: standard output", "-")
    .option("--json", "print a summary as JSON on standard error")
    .addHelpText(
      "after",
      `
It is of one moment, and everybody may go on working meanwhile. The database is that of DATABASE_URL, or the
embedded one. ${KEY}

Examples:
  branchline backup state.jsonl
  branchline backup | gzip > state.jsonl.gz
${exitHelp(CODES)}`,
    )
    .action(async (file: string, { json }: { json?: boolean }) => {
      const done = await withDatabase(async (url) => await writeBackup(url, file));
      const text = `${done.rows} rows of the installation ${done.installation}. ${KEY.split("\n").join(" ")}\n`;
      process.stderr.write(json === true ? `${JSON.stringify(done)}\n` : text);
    });
}

export function restoreCommand(): Command {
  return new Command("restore")
    .description(
      "bring a backup back into an empty database; nothing is written anywhere until `resume --all`",
    )
    .argument("<file>", "what `backup` wrote; -: standard input")
    .option("--json", "print a summary as JSON and nothing else")
    .addHelpText(
      "after",
      `
All of it or nothing. ${KEY}
The world has moved on since the backup was taken, so what was restored only looks until it is resumed.

Examples:
  branchline restore state.jsonl
  gunzip -c state.jsonl.gz | branchline restore -
${exitHelp(CODES)}`,
    )
    .action(async (file: string, { json }: { json?: boolean }) => {
      const done = await withDatabase(async (url) => {
        await migrate(url);
        return await restore(url, linesOf(file));
      });
      const text = `${done.rows} rows of the installation ${done.installation}, as of ${done.takenAt}.
Writes are suspended. Start Branchline, look at \`branchline status\`, then say \`branchline resume --all\`.\n`;
      process.stdout.write(json === true ? `${JSON.stringify(done)}\n` : text);
    });
}

/** With the database of this environment. Our own words for what is wrong with a backup. */
async function withDatabase<T>(use: (url: string) => Promise<T>): Promise<T> {
  const { databaseUrl } = readEnvironment();
  const log = createLogger({ level: "silent" });
  const server = await openServer({ databaseUrl, folder: FOLDER, mode: "serve", log });
  try {
    return await use(server.url);
  } catch (error) {
    if (error instanceof BackupError) throw new CommandError(EXIT.data, error.message);
    throw error;
  } finally {
    await server.stop();
  }
}

/** A file is there whole or not at all, and readable by this user alone. */
async function writeBackup(url: string, file: string): Promise<BackupSummary> {
  if (file === "-") {
    // Told to the write that failed; without a listener it would end the process, with a stack.
    process.stdout.on("error", () => undefined);
    return await backup(url, async (line) => await writeTo(process.stdout, line));
  }
  const draft = `${file}.${randomBytes(4).toString("hex")}.part`;
  try {
    const out = await open(draft, "wx", 0o600);
    try {
      const done = await backup(url, async (line) => void (await out.write(line)));
      await out.sync();
      renameSync(draft, file);
      return done;
    } finally {
      await out.close();
    }
  } catch (error) {
    rmSync(draft, { force: true });
    if (!(error instanceof Error) || !isOfFile(error)) throw error;
    throw new CommandError(EXIT.cannotWrite, `${file} cannot be written (${codeOf(error)})`);
  }
}

/** As fast as whoever reads it. */
async function writeTo(out: Writable, line: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    out.write(line, (error) => {
      if (error == null) resolve();
      else reject(new CommandError(EXIT.cannotWrite, `standard output cannot be written (${codeOf(error)})`));
    });
  });
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input = file === "-" ? process.stdin : createReadStream(file);
  let rest = "";
  try {
    for await (const chunk of input.setEncoding("utf8")) {
      const lines = `${rest}${chunk}`.split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } catch (error) {
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    throw new CommandError(EXIT.data, `${file} cannot be read (${codeOf(error)})`);
  }
  if (rest !== "") yield rest;
}

/** Not one of the database's connection. */
function isOfFile(error: Error): boolean {
  return "syscall" in error && ["open", "write", "fsync", "rename"].includes(String(error.syscall));
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "no code";
}
