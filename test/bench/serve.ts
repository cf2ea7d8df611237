/** `branchline serve` with settings that the command does not have, as JSON in the first argument. */
import { interrupted } from "../../services/cli/interrupt.ts";
import { startService } from "../../services/cli/service.ts";
import { ConfigurationError, readEnvironment, settleEnvironment } from "../../services/config.ts";
import { destinations } from "../../services/destinations/index.ts";
import { loadFile } from "../../services/file/load.ts";
import { createLogger } from "../../services/log.ts";
import { sourceAdapters } from "../../services/sources/index.ts";
import type { Settings } from "../../workers/runtime.ts";

settleEnvironment();
const { databaseUrl, masterKey, configPath, adminToken, host, port, logLevel } = readEnvironment();
if (databaseUrl === null || masterKey === null || configPath === null) throw new ConfigurationError([]);
const log = createLogger({ level: logLevel });
const stop = interrupted();
const service = await startService({
  databaseUrl: databaseUrl.reveal(),
  redisUrl: null,
  masterKey,
  adminToken,
  configuration: loadFile(configPath, {
    adapters: { sources: sourceAdapters, destinations: [...destinations.values()] },
  }),
  roles: { api: true, worker: true },
  host,
  port,
  webhookPort: null,
  settings: JSON.parse(process.argv[2] ?? "{}") as Partial<Settings>,
  log,
});
log.info({ api: service.apiUrl }, "branchline is up");
await stop;
await service.stop();
process.exit(0);
