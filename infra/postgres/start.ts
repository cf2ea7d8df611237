import { randomBytes } from "node:crypto";
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { serverAccount } from "./account.ts";
import { findBinaries } from "./binaries.ts";
import { watch } from "./guard.ts";
import { withLock } from "./lock.ts";
import { identity, isPostmasterOf, isRunning } from "./process.ts";
import { endServer, openHome, openRun, pidFile } from "./runs.ts";
import { connect, type Ground, initialise, launch, type Server } from "./server.ts";

export interface StartOptions {
  /** "serve": the cluster itself. "ephemeral": the folder in which each run has a cluster of its own. */
  readonly dataDir: string;
  /** "serve" keeps its data and adopts a server that runs on them already; "ephemeral" does neither. */
  readonly mode: "serve" | "ephemeral";
  /** Gets what the server says, line by line; never a statement, a value or the password. */
  readonly log?: (line: string) => void;
  /** Aborts the start, not the server once it runs. */
  readonly signal?: AbortSignal;
  /** False: faster, and a power failure may lose everything. Killed processes lose nothing. Default true. */
  readonly fsync?: boolean;
}

/** A running server of ours. */
export interface Postgres {
  /** With user, password and database `branchline`. A secret. */
  readonly url: string;
  readonly port: number;
  /** Where the cluster, its password and its lock are. */
  readonly dataDir: string;
  readonly pid: number;
  /** It ran before we asked. */
  readonly adopted: boolean;
  alive(): boolean;
  /** Stops the server, unless it belongs to another living process; removes it if ephemeral. */
  stop(): Promise<void>;
  /** Called once if the server ends without `stop()`. In "serve" mode `startPostgres` may be called again. */
  onExit(callback: (error: Error) => void): void;
}

const NAME = "branchline"; // of the role and of the database
const ADOPT_TIMEOUT_MS = 3_000;
const ADOPT_TRIES = 3;
const BUSY_TIMEOUT_MS = 30_000; // starting, recovering or stopping
const POLL_MS = 250; // an adopted server is no child of ours, so nobody tells us of its end
const LOCK_TIMEOUT_MS = 180_000;

/**
 * Starts PostgreSQL on 127.0.0.1 and resolves when it answers. It ends with this process, however that ends.
 * Throws NoPostgresBinaries if there is nothing to start, else an Error with the server's last words.
 */
export async function startPostgres(options: StartOptions): Promise<Postgres> {
  options.signal?.throwIfAborted();
  const folder = resolve(options.dataDir);
  return options.mode === "serve" ? serve(folder, options) : ephemeral(folder, options);
}

async function serve(home: string, options: StartOptions): Promise<Postgres> {
  openHome(home);
  const { signal } = options;
  return withLock(
    join(home, "lock"),
    async () => {
      const ground = await groundOf(home, options);
      const found = await adoptable(ground);
      if (found !== null && found.port !== null) return adopted(home, ground, found.pid, found.port);
      const server = await boot(ground, options, { leftover: null, stalePid: found?.pid });
      writeFileSync(join(home, "owner"), identity(process.pid) ?? "", { mode: 0o644 });
      return handle(home, ground, server, () => server.stop());
    },
    { timeoutMs: LOCK_TIMEOUT_MS, signal },
  );
}

async function ephemeral(folder: string, options: StartOptions): Promise<Postgres> {
  const run = await openRun(folder);
  try {
    const ground = await groundOf(run.home, options);
    const server = await boot(ground, options, { leftover: run.home });
    return handle(run.home, ground, server, async () => {
      await server.stop();
      run.remove();
    });
  } catch (error) {
    run.remove();
    throw error;
  }
}

async function groundOf(home: string, options: StartOptions): Promise<Ground> {
  const data = join(home, "data");
  const account = serverAccount(data);
  const binaries = await findBinaries(account);
  const log = options.log ?? (() => undefined);
  return { binaries, account, data, user: NAME, password: passwordOf(home), log, signal: options.signal };
}

/** Made before the cluster, so that there is never a cluster whose password nobody knows. */
function passwordOf(home: string): string {
  const path = join(home, "password");
  if (!existsSync(path)) {
    if (existsSync(join(home, "data"))) {
      throw new Error(`The password file ${path} is missing; without it the data cannot be used.`);
    }
    const fresh = `${path}.${randomBytes(4).toString("hex")}`;
    writeFileSync(fresh, randomBytes(24).toString("base64url"), { mode: 0o600, flag: "wx" });
    linkSync(fresh, path);
    rmSync(fresh);
  }
  return readFileSync(path, "utf8");
}

async function boot(
  ground: Ground,
  options: StartOptions,
  rest: { leftover: string | null; stalePid?: number | undefined },
): Promise<Server> {
  const sync = options.fsync ?? true;
  if (!existsSync(ground.data)) await initialise({ ...ground, sync });
  const settings = sync ? {} : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" };
  const server = await launch({ ...ground, ...rest, settings });
  try {
    await ensureDatabase(ground, server.port, BUSY_TIMEOUT_MS);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Also after a start that was killed half-way. */
async function ensureDatabase(ground: Ground, port: number, timeoutMs: number): Promise<void> {
  const client = await connect({ ...ground, port, database: "postgres" }, timeoutMs);
  try {
    const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = $1", [NAME]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${NAME}`);
  } finally {
    await client.end();
  }
}

function handle(home: string, ground: Ground, server: Server, stop: () => Promise<void>): Postgres {
  let asked = false;
  return {
    url: urlOf(ground, server.port),
    port: server.port,
    dataDir: home,
    pid: server.pid,
    adopted: false,
    alive: server.alive,
    stop() {
      asked = true;
      return stop();
    },
    onExit(callback) {
      void server.ended.then((words) => {
        if (!asked) callback(new Error(`PostgreSQL ended by itself: ${words}`));
      });
    },
  };
}

// ---------------------------------------------------------------- a server that runs already

/**
 * What the pid file leads to. Null: nothing, or a dead process, with which PostgreSQL copes. Port
 * null: a pid that is alive or a zombie and not a server on this folder. Throws if a server runs
 * there and will not have us.
 */
async function adoptable(ground: Ground): Promise<{ pid: number; port: number | null } | null> {
  const started = performance.now();
  for (let tries = 1; ; tries += 1) {
    const file = pidFile(ground.data);
    if (file === null) return null;
    if (!isPostmasterOf(file.pid, ground.data)) return { pid: file.pid, port: null };
    if (await answers(ground, file.port)) return { pid: file.pid, port: file.port };
    const patience = file.status === "ready" ? ADOPT_TIMEOUT_MS : BUSY_TIMEOUT_MS;
    // One try takes all of the time where the machine stands still for so long.
    if (tries >= ADOPT_TRIES && performance.now() - started > patience) {
      throw new Error(
        `A PostgreSQL server (process ${file.pid}) is working on ${ground.data} but does not answer with the ` +
          "stored password. Stop it, or choose another data directory.",
      );
    }
    ground.signal?.throwIfAborted();
    await pause(100);
  }
}

function adopted(home: string, ground: Ground, pid: number, port: number): Postgres {
  const ownerFile = join(home, "owner");
  const isOwned = isRunning(existsSync(ownerFile) ? readFileSync(ownerFile, "utf8") : "");
  if (!isOwned) writeFileSync(ownerFile, identity(process.pid) ?? "", { mode: 0o644 });
  const watchdog = isOwned ? null : watch(pid, ground.data, null);
  const name = identity(pid) ?? "";
  const alive = () => isRunning(name);
  const told: ((error: Error) => void)[] = [];
  const timer = setInterval(() => {
    if (alive()) return;
    clearInterval(timer);
    void watchdog?.dismiss();
    for (const callback of told) callback(new Error(`The adopted PostgreSQL server (process ${pid}) ended.`));
  }, POLL_MS).unref();
  return {
    url: urlOf(ground, port),
    port,
    dataDir: home,
    pid,
    adopted: true,
    alive,
    async stop() {
      clearInterval(timer);
      if (!isOwned) await endServer(pid, alive);
      await watchdog?.dismiss();
    },
    onExit: (callback) => void told.push(callback),
  };
}

async function answers(ground: Ground, port: number): Promise<boolean> {
  try {
    await ensureDatabase(ground, port, ADOPT_TIMEOUT_MS);
    return true;
  } catch {
    return false;
  }
}

function urlOf({ user, password }: Ground, port: number): string {
  return `postgres://${user}:${password}@127.0.0.1:${port}/${NAME}`;
}
