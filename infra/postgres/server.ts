import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  constants,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { cp } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { type Account, canReach } from "./account.ts";
import type { Binaries } from "./binaries.ts";
import { guarded, type Watchdog, watch } from "./guard.ts";

/** What both `initialise()` and `launch()` need to know. */
export interface Ground {
  readonly binaries: Binaries;
  /** Null: as we are. */
  readonly account: Account | null;
  /** The cluster's folder, PostgreSQL's PGDATA, in one that `openHome()` has opened to the account. */
  readonly data: string;
  readonly user: string;
  readonly password: string;
  readonly log: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface LaunchOptions extends Ground {
  readonly settings: Readonly<Record<string, string>>;
  /** Removed by the watchdog when we die without stopping the server. */
  readonly leftover: string | null;
  /** What a pid file may still name although that is no server any more. */
  readonly stalePid?: number | undefined;
  /** Where a port comes from; tests give a taken one. */
  readonly choosePort?: () => Promise<number>;
}

/** A server that this process started. */
export interface Server {
  readonly pid: number;
  readonly port: number;
  /** Resolves when it has ended, asked or not, with how and its last words. */
  readonly ended: Promise<string>;
  alive(): boolean;
  /** Fast shutdown: sessions are cut, everything committed is on disk. Resolves when it has ended. */
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 120_000; // crash recovery of a large log takes its time
const STOP_TIMEOUT_MS = 30_000;
const ATTEMPTS = 30;
/** Ends that another try gets past: a port taken meanwhile, sessions of a killed server on their way out. */
const PASSING =
  /address already in use|pre-existing shared memory block|lock file "postmaster.pid" already exists/i;

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  ssl: "off",
  password_encryption: "scram-sha-256",
  shared_buffers: "64MB",
  max_connections: "100",
  logging_collector: "off",
  log_destination: "stderr",
  log_line_prefix: "",
  // Statements, errors and their details hold values; the log must not.
  log_min_messages: "log", // above ERROR: only what the server says of itself
  log_statement: "none",
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
};

/** Creates the cluster. It appears under its name complete or not at all. */
export async function initialise(ground: Ground & { sync: boolean }): Promise<void> {
  const { account, data, user, password } = ground;
  const fresh = `${data}.new`;
  const passwordFile = `${data}.password`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  chmodSync(fresh, 0o700);
  try {
    rmSync(passwordFile, { force: true });
    writeFileSync(passwordFile, password, { mode: 0o600, flag: "wx" });
    if (account !== null) {
      chownSync(fresh, account.uid, account.gid);
      chownSync(passwordFile, account.uid, account.gid);
    }
    const folder = asSeenBy(account, fresh);
    const pwfile = folder === fresh ? passwordFile : `${folder}/../${basename(passwordFile)}`;
    const args = ["-D", folder, "-U", user, `--pwfile=${pwfile}`, "--auth=scram-sha-256"];
    const sync = ground.sync ? [] : ["--no-sync"];
    const child = start(
      "initdb",
      [...args, "-E", "UTF8", "--locale=C", "--no-instructions", ...sync],
      fresh,
      ground,
    );
    const outcome = await child.ended;
    if (child.process.exitCode !== 0) throw new Error(`PostgreSQL could not create ${data}: ${outcome}`);
    renameSync(fresh, data);
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Copies a cluster on which no server runs. */
export async function copyCluster(from: string, to: string, account: Account | null): Promise<void> {
  await cp(from, to, { recursive: true, mode: constants.COPYFILE_FICLONE });
  chmodSync(to, 0o700);
  if (account === null) return;
  for (const entry of ["", ...readdirSync(to, { recursive: true, encoding: "utf8" })]) {
    chownSync(join(to, entry), account.uid, account.gid);
  }
}

/** Starts the server on a free port of 127.0.0.1 and resolves once it accepts our password. */
export async function launch(options: LaunchOptions): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const port = await (options.choosePort ?? freePort)();
    const child = start("postgres", serverArguments(options, port), options.data, options);
    const { pid } = child.process;
    if (pid === undefined) throw new Error(`PostgreSQL did not start: ${await child.ended}`);
    const watchdog = watch(pid, options.data, options.leftover);
    const server = serverOf(child, pid, port, watchdog);
    try {
      await untilReady(server, options);
      letGo(child.process);
      return server;
    } catch (error) {
      await server.stop();
      if (attempt === ATTEMPTS || !PASSING.test(await server.ended)) throw error;
      await pause(100);
    }
  }
}

/** Connects once. The error of a refused or unanswered connection is thrown as it is. */
export async function connect(
  login: { port: number; user: string; password: string; database: string },
  timeoutMs = 3_000,
): Promise<pg.Client> {
  const client = new pg.Client({
    ...login,
    host: "127.0.0.1",
    ssl: false,
    connectionTimeoutMillis: timeoutMs,
  });
  client.on("error", () => undefined); // told to the query that is running, if any
  await client.connect();
  return client;
}

/** Sends the server a signal by its pid, also where there are no signals (Windows). */
export function signalServer(
  pid: number,
  signal: "SIGINT" | "SIGQUIT" | "SIGKILL",
  binaries?: Binaries,
): void {
  try {
    if (process.platform === "win32" && binaries !== undefined && signal !== "SIGKILL") {
      execFileSync(join(binaries.bin, "pg_ctl"), ["kill", signal.slice(3), String(pid)], { stdio: "ignore" });
    } else {
      process.kill(pid, signal);
    }
  } catch {
    // it has ended already
  }
}

interface Child {
  readonly process: ChildProcess;
  readonly ended: Promise<string>;
  readonly binaries: Binaries;
}

/** Spawns one of the binaries; its words go to the log, the last of them to `ended`, never a password. */
function start(
  program: string,
  args: string[],
  cwd: string,
  ground: Ground & { stalePid?: number | undefined },
): Child {
  const command = guarded(join(ground.binaries.bin, program), args, cwd, ground.account);
  const env = { ...command.options.env };
  if (ground.stalePid !== undefined) env["PG_GRANDPARENT_PID"] = String(ground.stalePid);
  const child = spawn(command.file, command.args, { ...command.options, env });
  const last: string[] = [];
  const take = (line: string) => {
    const clean = line.replaceAll(ground.password, "[secret]");
    ground.log(clean);
    last.push(clean);
    if (last.length > 12) last.shift();
  };
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on("line", take);
  }
  const ended = new Promise<string>((resolve) => {
    const words = () => (last.length === 0 ? "it said nothing" : last.join(" | "));
    child.once("error", (error) => resolve(`${program} could not be run: ${error.message}`));
    child.once("close", (code, signal) =>
      resolve(`${program} ended with ${signal ?? `code ${code}`}: ${words()}`),
    );
  });
  return { process: child, ended, binaries: ground.binaries };
}

/** A server left running does not keep us from ending; it ends with us. */
function letGo(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdout, child.stderr]) (stream as Socket | null)?.unref();
}

function serverOf(child: Child, pid: number, port: number, watchdog: Watchdog): Server {
  const alive = () => child.process.exitCode === null && child.process.signalCode === null;
  let stopping: Promise<void> | undefined;
  const ended = child.ended.then(async (words) => {
    await watchdog.dismiss();
    return words;
  });
  return { pid, port, ended, alive, stop: () => (stopping ??= stop()) };

  async function stop(): Promise<void> {
    child.process.ref();
    for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
      if (alive()) signalServer(pid, signal, child.binaries);
      const timeout = new AbortController();
      const patience = pause(STOP_TIMEOUT_MS, "late", { signal: timeout.signal }).catch(() => "late");
      if ((await Promise.race([ended, patience])) !== "late") return timeout.abort();
    }
  }
}

function serverArguments({ account, data, settings }: LaunchOptions, port: number): string[] {
  const all = Object.entries({ ...SETTINGS, ...settings, port: String(port) });
  return ["-D", asSeenBy(account, data), ...all.flatMap(([name, value]) => ["-c", `${name}=${value}`])];
}

/**
 * How the account may call a folder that it could not reach by its path (below root's home): as the
 * folder it is started in, which Linux lets it enter without walking there.
 */
function asSeenBy(account: Account | null, folder: string): string {
  if (canReach(account, folder)) return folder;
  if (process.platform === "linux") return "/proc/self/cwd";
  throw new Error(`PostgreSQL cannot run as root, and the account it would use cannot enter ${folder}.`);
}

/** Asks until the server lets us in. Throws with its last words if it ends, or takes too long. */
async function untilReady(server: Server, { user, password, signal }: LaunchOptions): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const login = connect({ port: server.port, user, password, database: "postgres" });
      login.then((client) => client.end()).catch(() => undefined);
      await Promise.race([login, server.ended]); // what took the port may never answer
      if (server.alive()) return;
    } catch (error) {
      const isRefused = (error as { code?: string }).code === "28P01";
      if (isRefused && server.alive()) throw new Error("PostgreSQL does not accept the stored password.");
    }
    if (!server.alive()) throw new Error(`PostgreSQL did not start: ${await server.ended}`);
    if (performance.now() > deadline) throw new Error("PostgreSQL did not become ready within two minutes.");
    await pause(20);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
