import { basename } from "node:path";
import {
  ConfigurationError,
  type Environment,
  type Problem,
  readConfigPath,
  readEnvironment,
} from "../config.ts";
import { destinations } from "../destinations/index.ts";
import type { Configuration } from "../file/configuration.ts";
import { loadFile } from "../file/load.ts";
import { createLogger } from "../log.ts";
import { sourceAdapters } from "../sources/index.ts";
import { Keyring } from "../sync/keyring.ts";
import { openServer } from "./database.ts";
import { interrupted } from "./interrupt.ts";
import { keysBeside, keysMade } from "./keys.ts";
import { startService } from "./service.ts";

const FOLDER = ".branchline";

/** Runs until Ctrl-C or SIGTERM. Everything that is wrong is told before anything is started. */
export async function serve(options: { api?: boolean; worker?: boolean }): Promise<void> {
  const { environment, configuration } = readAll();
  const { databaseUrl, redisUrl, adminToken, host, port, webhookPort, logLevel } = environment;
  const log = createLogger({ level: logLevel });
  const stop = interrupted();
  const server = await openServer({ databaseUrl, folder: FOLDER, mode: "serve", log });
  try {
    const both = options.api !== true && options.worker !== true;
    const service = await startService({
      databaseUrl: server.url,
      redisUrl: redisUrl?.reveal() ?? null,
      masterKey: keyringOf(environment),
      adminToken,
      configuration,
      ...(environment.configPath === null ? {} : { file: basename(environment.configPath) }),
      allowedReferences: environment.allowedReferences,
      roles: { api: both || options.api === true, worker: both || options.worker === true },
      host,
      port,
      webhookPort,
      log,
    });
    log.info({ api: service.apiUrl, webhooks: service.webhookUrl }, "branchline is up");
    if (adminToken === null) log.warn("BRANCHLINE_ADMIN_TOKEN is not set: nobody may use the admin API");
    await stop;
    log.info("stopping");
    await service.stop();
  } finally {
    await server.stop();
  }
  process.exit(0);
}

/** An embedded installation's own key is read again when it does not open what is sealed: `rekey` may have replaced it. */
function keyringOf({ databaseUrl, masterKey, formerMasterKey }: Environment): Keyring {
  const former = formerMasterKey === null ? [] : [formerMasterKey];
  if (databaseUrl !== null && masterKey !== null) return new Keyring([masterKey, ...former]);
  const given = masterKey === null ? keysMade(FOLDER) : [masterKey];
  return new Keyring([...given, ...former], () => keysBeside(FOLDER));
}

/** The environment's problems and the file's in one list. */
function readAll(): { environment: Environment; configuration: Configuration | null } {
  const problems: Problem[] = [];
  const collect = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      problems.push(...error.problems);
      return undefined;
    }
  };
  const environment = collect(readEnvironment);
  const path = readConfigPath();
  const adapters = { sources: sourceAdapters, destinations: [...destinations.values()] };
  const configuration = path === null ? null : collect(() => loadFile(path, { adapters }));
  if (environment !== undefined && environment.databaseUrl !== null && environment.masterKey === null) {
    problems.push({
      where: "BRANCHLINE_MASTER_KEY",
      problem: "is not set, and DATABASE_URL is",
      hint: "Set it to 32 random bytes as base64, the same for every process: openssl rand -base64 32",
    });
  }
  if (problems.length > 0 || environment === undefined || configuration === undefined) {
    throw new ConfigurationError(problems);
  }
  return { environment, configuration };
}
