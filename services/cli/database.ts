/** The database of a process: the one that DATABASE_URL names, or an embedded server of our own. */
import { join } from "node:path";
import { type Postgres, startPostgres } from "../../infra/postgres/index.ts";
import type { Logger } from "../log.ts";
import type { Secret } from "../sync/secret.ts";

export interface Opened {
  readonly url: string;
  readonly embedded: boolean;
  stop(): Promise<void>;
}

export interface OpenOptions {
  readonly databaseUrl: Secret | null;
  /** `.branchline/`: data, key and lock of an embedded server. */
  readonly folder: string;
  readonly mode: "serve" | "ephemeral";
  readonly log: Logger;
}

/** Resolves when the database answers. Throws with words that say what to do where no server can be had. */
export async function openServer({ databaseUrl, folder, mode, log }: OpenOptions): Promise<Opened> {
  if (databaseUrl !== null) {
    return { url: directUrl(databaseUrl.reveal()), embedded: false, stop: async () => {} };
  }
  const dataDir = join(folder, mode === "serve" ? "postgres" : "runs");
  const start = async () =>
    await startPostgres({ dataDir, mode, log: (line) => log.debug({ line }, "postgres says") });
  let server: Postgres = await start();
  let stopping = false;
  const revive = (error: Error): void => {
    if (stopping || mode !== "serve") return;
    log.error({ err: error }, "the embedded PostgreSQL ended; it is started again");
    start().then(
      (next) => {
        server = next;
        server.onExit(revive);
      },
      (failure: unknown) => log.fatal({ err: failure }, "the embedded PostgreSQL does not start again"),
    );
  };
  server.onExit(revive);
  return {
    url: server.url,
    embedded: true,
    stop: async () => {
      stopping = true;
      await server.stop();
    },
  };
}

/**
 * Neon's pooler keeps no session, and LISTEN and advisory locks need one: the same host without
 * `-pooler` is the direct way to the same database.
 */
export function directUrl(url: string): string {
  return url.replace(/@([a-z0-9-]+)-pooler(\.[^/@]*neon\.tech)/i, "@$1$2");
}
