/**
 * `serve --api` or `serve --worker` with other settings than the command has: leases and sweeps of seconds, so that a
 * run of seconds meets what otherwise takes minutes. Arguments: the role, and the settings as JSON.
 */

import { interrupted } from "../../services/cli/interrupt.ts";
import { startService } from "../../services/cli/service.ts";
import { ConfigurationError, readEnvironment, settleEnvironment } from "../../services/config.ts";
import { destinations } from "../../services/destinations/index.ts";
import { loadFile } from "../../services/file/load.ts";
import { createLogger } from "../../services/log.ts";
import { sourceAdapters } from "../../services/sources/index.ts";
import type { Settings } from "../../workers/runtime.ts";

async function serve(role: string, settings: Partial<Settings>): Promise<void> {
  settleEnvironment();
  const environment = readEnvironment();
  const { databaseUrl, masterKey, configPath } = environment;
  if (databaseUrl === null || masterKey === null || configPath === null) throw new ConfigurationError([]);
  const log = createLogger({ level: environment.logLevel });
  const stop = interrupted();
  const service = await startService({
    databaseUrl: databaseUrl.reveal(),
    redisUrl: environment.redisUrl?.reveal() ?? null,
    masterKey,
    adminToken: environment.adminToken,
    configuration: loadFile(configPath, {
      adapters: { sources: sourceAdapters, destinations: [...destinations.values()] },
    }),
    roles: { api: role === "--api", worker: role === "--worker" },
    host: environment.host,
    port: environment.port,
    webhookPort: null,
    settings,
    log,
  });
  log.info({ api: service.apiUrl }, "branchline is up");
  await stop;
  await service.stop();
}

const [role = "", settings = "{}"] = process.argv.slice(2);
// What is not caught after the start ends the process with a stack, and that is what the run looks for.
const failed = await serve(role, JSON.parse(settings) as Partial<Settings>).then(
  () => null,
  (error: unknown) => error,
);
if (failed instanceof Error) process.stderr.write(`branchline: ${failed.message.split("\n")[0]}\n`);
process.exit(failed === null ? 0 : 1);
