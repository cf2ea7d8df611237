import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { ConfigurationError, parseMasterKey, readEnvironment, readOldMasterKey } from "../config.ts";
import { createLogger } from "../log.ts";
import { openDatabase } from "../store/db.ts";
import { migrate } from "../store/migrate.ts";
import { rekeyAll } from "../store/rekey.ts";
import { SyncError } from "../sync/errors.ts";
import { seal, unseal } from "../sync/seal.ts";
import { openServer } from "./database.ts";
import { EXIT, exitHelp } from "./exit.ts";
import { CREDENTIAL, resealAll } from "./sealed.ts";

const FOLDER = ".branchline";
/** As `workers/setup.ts` seals it. */
const FINGERPRINT_KEY = "fingerprint key";

export function rekeyCommand(): Command {
  return new Command("rekey")
    .description("seal everything that is sealed with a new master key, all of it or nothing")
    .option("--old-key-file <file>", "the key so far; else BRANCHLINE_MASTER_KEY_OLD")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
BRANCHLINE_MASTER_KEY is the new key. The database is that of DATABASE_URL, or the embedded one, whose key so far
is ${join(FOLDER, "master.key")}. Processes that run have the old key in hand: start them again with the new one.
Running it twice does no harm.

Example:
  BRANCHLINE_MASTER_KEY=$(cat new.key) branchline rekey --old-key-file old.key
${exitHelp([[EXIT.config, "a key is missing, is none, or does not open what is sealed"]])}`,
    )
    .action(async ({ oldKeyFile, json }: { oldKeyFile?: string; json?: boolean }) => {
      const [before, after] = keys(oldKeyFile);
      await withDatabase(async (url) => await rekey(url, before, after));
      process.stdout.write(json === true ? '{"rekeyed":true}\n' : "Everything is sealed with the new key.\n");
    });
}

function keys(oldKeyFile: string | undefined): [before: Uint8Array, after: Uint8Array] {
  const { masterKey } = readEnvironment();
  const text = oldKeyFile === undefined ? readOldMasterKey() : readKeyFile(oldKeyFile);
  const before = text === null ? null : parseMasterKey(text);
  const where = oldKeyFile ?? "BRANCHLINE_MASTER_KEY_OLD";
  const problem = text === null ? "is not set" : "is not 32 bytes as base64 or hexadecimal";
  const problems = [
    ...(masterKey === null
      ? [
          {
            where: "BRANCHLINE_MASTER_KEY",
            problem: "is not set",
            hint: "Make the new key: openssl rand -base64 32",
          },
        ]
      : []),
    ...(before === null ? [{ where, problem, hint: "It is the key that is in use so far." }] : []),
  ];
  if (masterKey === null || before === null) throw new ConfigurationError(problems);
  return [before, masterKey];
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw new ConfigurationError([{ where: path, problem: "cannot be read", hint: "" }]);
  }
}

async function rekey(url: string, before: Uint8Array, after: Uint8Array): Promise<void> {
  await migrate(url);
  const database = openDatabase({ url, max: 2 });
  const reseal = (purpose: string) => (sealed: string) => {
    // What was done by an earlier run is not done again.
    if (opens(after, purpose, sealed)) return sealed;
    return seal(after, purpose, unseal(before, purpose, sealed));
  };
  try {
    await rekeyAll(database.db, {
      key: reseal(FINGERPRINT_KEY),
      json: (value) => resealAll(value, reseal(CREDENTIAL)),
    });
  } catch (thrown) {
    if (!(thrown instanceof SyncError)) throw thrown;
    throw new ConfigurationError([
      {
        where: "the old key",
        problem: "does not open what is sealed here; nothing was changed",
        hint: "Give the key that this database was set up with.",
      },
    ]);
  } finally {
    await database.close();
  }
}

function opens(key: Uint8Array, purpose: string, sealed: string): boolean {
  try {
    unseal(key, purpose, sealed);
    return true;
  } catch {
    return false;
  }
}

async function withDatabase(use: (url: string) => Promise<void>): Promise<void> {
  const { databaseUrl } = readEnvironment();
  const log = createLogger({ level: "warn" });
  const server = await openServer({ databaseUrl, folder: FOLDER, mode: "serve", log });
  try {
    await use(server.url);
  } finally {
    await server.stop();
  }
}
