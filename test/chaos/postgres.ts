/** A PostgreSQL of our own with fsync on, whose processes can be killed and frozen, always on the same port. */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import {
  connect,
  findBinaries,
  type Ground,
  initialise,
  launch,
  openRun,
  type Server,
  serverAccount,
} from "../../infra/postgres/index.ts";

export interface Database {
  readonly url: string;
  /** As after a power cut of the machine it runs on: nothing is written that was not. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** `whole`: every session too; else only new ones are not answered. */
  freeze(whole: boolean): void;
  thaw(): void;
  /** Ends sessions: those that LISTEN, or a share of all. Resolves with how many. */
  cut(which: "listen" | "any", share: number): Promise<number>;
  /** Takes most of the connections that are left until the function that it resolves with is called. */
  crowd(): Promise<() => Promise<void>>;
  query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  stop(): Promise<void>;
}

/** Of a row in pg_stat_activity: the last thing that was said there is LISTEN, maybe below a comment. */
export const LISTENS = "query ~* '(^|\\n)\\s*listen\\s'";

const NAME = "branchline";
const SETTINGS = { max_connections: "140" };

export async function startDatabase(folder: string): Promise<Database> {
  const run = await openRun(folder);
  const data = join(run.home, "data");
  const account = serverAccount(data);
  const binaries = await findBinaries(account);
  const password = randomBytes(24).toString("base64url");
  const ground: Ground = { binaries, account, data, user: NAME, password, log: () => undefined };
  await initialise({ ...ground, sync: true });
  let server: Server = await launch({ ...ground, settings: SETTINGS, leftover: run.home });
  const { port } = server;
  const login = { port, user: NAME, password };
  const first = await connect({ ...login, database: "postgres" });
  await first.query(`CREATE DATABASE ${NAME}`);
  await first.end();

  const once = async <T>(work: (client: pg.Client) => Promise<T>): Promise<T> => {
    const client = await connect({ ...login, database: NAME });
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  };
  const signalAll = (signal: NodeJS.Signals, whole: boolean): void => {
    for (const pid of [server.pid, ...(whole ? childrenOf(server.pid) : [])]) {
      try {
        process.kill(pid, signal);
      } catch {
        // It ended in the meantime.
      }
    }
  };

  return {
    url: `postgres://${NAME}:${password}@127.0.0.1:${port}/${NAME}`,
    async kill() {
      signalAll("SIGKILL", true);
      await server.ended;
    },
    async start() {
      if (server.alive()) return;
      const choosePort = async (): Promise<number> => port;
      server = await launch({ ...ground, settings: SETTINGS, leftover: run.home, choosePort });
    },
    freeze: (whole) => signalAll("SIGSTOP", whole),
    thaw: () => signalAll("SIGCONT", true),
    cut: async (which, share) =>
      await once(async (client) => {
        const listening = which === "listen" ? `and ${LISTENS}` : "";
        const { rowCount } = await client.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and random() < $1 ${listening}`,
          [share],
        );
        return rowCount ?? 0;
      }),
    async crowd() {
      const taken: pg.Client[] = [];
      for (let n = 0; n < 130; n++) {
        const client = new pg.Client({ ...login, host: "127.0.0.1", database: NAME });
        client.on("error", () => undefined);
        const there = await client.connect().then(
          () => true,
          () => false,
        );
        if (!there) break;
        taken.push(client);
      }
      return async () => void (await Promise.allSettled(taken.map((client) => client.end())));
    },
    query: async <Row>(text: string, values: readonly unknown[] = []) =>
      await once(async (client) => (await client.query(text, [...values])).rows as Row[]),
    async stop() {
      signalAll("SIGCONT", true);
      await server.stop();
      run.remove();
    },
  };
}

/** Linux alone: elsewhere sessions are left running when the server is frozen or killed. */
function childrenOf(parent: number): number[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => parentOf(pid) === parent)
    .map(Number);
}

function parentOf(pid: string): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return null;
  }
}
