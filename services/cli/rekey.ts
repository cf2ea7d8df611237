import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { ConfigurationError, type Environment, parseMasterKey, readEnvironment } from "../config.ts";
import { createLogger } from "../log.ts";
import { type Db, openDatabase } from "../store/db.ts";
import { installation } from "../store/installation.ts";
import { migrate } from "../store/migrate.ts";
import { rekeyAll } from "../store/rekey.ts";
import { SyncError } from "../sync/errors.ts";
import { FINGERPRINT_KEY, Keyring, opens } from "../sync/keyring.ts";
import { seal } from "../sync/seal.ts";
import { openServer } from "./database.ts";
import { EXIT, exitHelp } from "./exit.ts";
import { keysBeside, replaceKeyBeside } from "./keys.ts";
import { CREDENTIAL, resealAll } from "./sealed.ts";

const FOLDER = ".branchline";

export function rekeyCommand(): Command {
  return new Command("rekey")
    .description("seal everything that is sealed with a new master key, all of it or nothing")
    .option("--old-key-file <file>", "the key so far; else BRANCHLINE_MASTER_KEY_OLD")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
BRANCHLINE_MASTER_KEY is the new key. With DATABASE_URL, while everything runs:
  1. Start every process again with BRANCHLINE_MASTER_KEY the new key and BRANCHLINE_MASTER_KEY_OLD the one so far.
     They open what is sealed with either, and seal with the one that is in force.
  2. Run this command once.
  3. Start every process again without BRANCHLINE_MASTER_KEY_OLD.
The embedded database has its key in ${join(FOLDER, "master.key")}, which this command replaces; a process that runs on it
reads it again, and needs no start. Running it twice does no harm.

Example:
  BRANCHLINE_MASTER_KEY=$(cat new.key) branchline rekey --old-key-file old.key
${exitHelp([
  [EXIT.unavailable, "the database does not answer"],
  [EXIT.config, "a key is missing, is none, or does not open what is sealed"],
])}`,
    )
    .action(async ({ oldKeyFile, json }: { oldKeyFile?: string; json?: boolean }) => {
      const environment = readEnvironment();
      const [before, after] = keys(environment, oldKeyFile);
      await withDatabase(
        environment,
        async (url, embedded) => await rekey(url, before, after, embedded ? FOLDER : null),
      );
      process.stdout.write(json === true ? '{"rekeyed":true}\n' : "Everything is sealed with the new key.\n");
    });
}

function keys(
  { masterKey, formerMasterKey, databaseUrl }: Environment,
  oldKeyFile: string | undefined,
): [before: readonly Uint8Array[], after: Uint8Array] {
  const file = oldKeyFile === undefined ? null : parseMasterKey(readKeyFile(oldKeyFile));
  const beside = databaseUrl === null ? keysBeside(FOLDER) : [];
  const given = oldKeyFile === undefined ? formerMasterKey : file;
  const before = [...(given === null ? [] : [given]), ...beside];
  const where = oldKeyFile ?? "BRANCHLINE_MASTER_KEY_OLD";
  const problem = oldKeyFile === undefined ? "is not set" : "is not 32 bytes as base64 or hexadecimal";
  const missing = before.length === 0 || (oldKeyFile !== undefined && file === null);
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
    ...(missing ? [{ where, problem, hint: "It is the key that is in use so far." }] : []),
  ];
  if (masterKey === null || problems.length > 0) throw new ConfigurationError(problems);
  return [before, masterKey];
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw new ConfigurationError([{ where: path, problem: "cannot be read", hint: "" }]);
  }
}

async function rekey(
  url: string,
  before: readonly Uint8Array[],
  after: Uint8Array,
  folder: string | null,
): Promise<void> {
  await migrate(url);
  const database = openDatabase({ url, max: 2 });
  const { db } = database;
  const keyring = new Keyring(before);
  const reseal = (purpose: string) => (sealed: string) => {
    // What was done by an earlier run is not done again.
    if (opens(after, purpose, sealed)) return sealed;
    return seal(after, purpose, keyring.unseal(purpose, sealed));
  };
  const all = async (): Promise<void> =>
    await rekeyAll(db, {
      key: reseal(FINGERPRINT_KEY),
      json: (value) => resealAll(value, reseal(CREDENTIAL)),
    });
  try {
    if (folder === null) await all();
    else await replaceKeyBeside(folder, after, { opens: async (key) => await inForce(db, key), reseal: all });
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

async function inForce(db: Db, key: Uint8Array): Promise<boolean> {
  const [row] = await db.select().from(installation);
  return row !== undefined && opens(key, FINGERPRINT_KEY, row.sealedKey);
}

async function withDatabase(
  { databaseUrl }: Environment,
  use: (url: string, embedded: boolean) => Promise<void>,
): Promise<void> {
  const log = createLogger({ level: "warn" });
  const server = await openServer({ databaseUrl, folder: FOLDER, mode: "serve", log });
  try {
    await use(server.url, server.embedded);
  } finally {
    await server.stop();
  }
}
