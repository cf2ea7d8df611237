/**
 * What ingest is compared with: the same API, in a process of its own, that writes each delivery with a statement and
 * a commit of its own; one whose id begins with `due-` makes the source due as well. Arguments: database, source,
 * secret. Says `up URL`, ends when its input does.
 */
import pg from "pg";
import { createPublicApi } from "../../services/api/app.ts";
import { serveApi } from "../../services/api/server.ts";
import { createLogger } from "../../services/log.ts";
import { createMetrics } from "../../services/metrics.ts";
import { Secret } from "../../services/sync/secret.ts";
import { CONNECTIONS, INSERT, INSERT_AND_DUE } from "./insert.ts";

const [url = "", sourceId = "", secret = ""] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS });
const app = createPublicApi({
  log: createLogger({ level: "info" }),
  metrics: createMetrics(),
  webhooks: {
    secrets: { github: () => [new Secret(secret)], neon: () => [] },
    ingest: async ({ origin, kind, deliveryId }) => {
      const values = [origin, kind, deliveryId, sourceId, "{}"];
      const statement = deliveryId.startsWith("due-") ? INSERT_AND_DUE : INSERT;
      const { rows } = await pool.query<{ id: string }>({ ...statement, values });
      return { id: String(rows[0]?.id), outcome: "accepted", reason: null };
    },
  },
});
const serving = await serveApi({ app, port: 0 });
process.stdout.write(`up ${serving.url}\n`);
process.stdin.resume().once("close", () => process.exit(0));
