import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { cp } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { serverAccount } from "../../infra/postgres/account.ts";
import { findBinaries, thisMachine } from "../../infra/postgres/binaries.ts";
import { type Postgres, startPostgres } from "../../infra/postgres/index.ts";
import { identity } from "../../infra/postgres/process.ts";
import { openHome } from "../../infra/postgres/runs.ts";
import { initialise, launch } from "../../infra/postgres/server.ts";
import { freePort } from "../chaos/redis.ts";
import { type Owner, processesOf, startOwner } from "../support/postgres-owner.ts";
import { until } from "../support/until.ts";

const isRoot = process.getuid?.() === 0;
const isLinux = process.platform === "linux";
let folder: string;
let dataDir: string;
const log: string[] = [];
const running: Postgres[] = [];
const owners: Owner[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "branchline-embedded-"));
  chmodSync(folder, 0o755);
  dataDir = join(folder, "postgres");
  log.length = 0;
});

afterEach(async () => {
  for (const owner of owners.splice(0)) owner.process.kill("SIGKILL");
  await Promise.all(running.splice(0).map((postgres) => postgres.stop()));
  await until(() => processesOf(folder).length === 0, { what: "every process of the test to end" });
  rmSync(folder, { recursive: true, force: true });
});

async function start(mode: "serve" | "ephemeral", options: { fsync?: boolean } = {}): Promise<Postgres> {
  const postgres = await startPostgres({ dataDir, mode, log: (line) => log.push(line), ...options });
  running.push(postgres);
  return postgres;
}

async function owner(...args: Parameters<typeof startOwner>): Promise<Owner> {
  const started = await startOwner(...args);
  owners.push(started);
  return started;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 30_000 });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows[0];
  } finally {
    await client.end();
  }
}

/** A folder for PATH with the commands named there and no others. */
function pathWith(...commands: string[]): string {
  const only = join(folder, "path");
  mkdirSync(only);
  const search = (process.env["PATH"] ?? "").split(delimiter);
  for (const command of commands) {
    const found = search.map((part) => join(part, command)).find((file) => existsSync(file));
    if (found !== undefined) symlinkSync(found, join(only, command));
  }
  return only;
}

describe("a started server", () => {
  test("listens on 127.0.0.1 only, asks for the password and is safe against power failure", async () => {
    const { url, port } = await start("serve");
    expect(url).toMatch(new RegExp(`^postgres://branchline:[\\w-]{32}@127\\.0\\.0\\.1:${port}/branchline$`));
    const settings = await query(
      url,
      `SELECT current_setting('listen_addresses') AS addresses, current_setting('unix_socket_directories') AS sockets,
        current_setting('fsync') AS fsync, current_setting('ssl') AS ssl,
        (SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules) AS methods`,
    );
    const methods = "scram-sha-256";
    expect(settings).toEqual({ addresses: "127.0.0.1", sockets: "", fsync: "on", ssl: "off", methods });
    await expect(query(url.replace(/:[\w-]{32}@/, ":wrong@"), "SELECT 1")).rejects.toMatchObject({
      code: "28P01",
    });
  });

  test("leaves its password in one file that only we can read, and no value in the log", async () => {
    const { url, dataDir: home } = await start("serve");
    const { password } = new URL(url);
    expect(readFileSync(join(home, "password"), "utf8")).toBe(password);
    expect(statSync(join(home, "password")).mode & 0o777).toBe(0o600);
    expect(statSync(join(home, "data")).mode & 0o777).toBe(0o700);
    expect(readdirSync(home).sort()).toEqual(["data", "owner", "password"]);
    await query(url, "SELECT 'canary'::int").catch(() => undefined);
    await query(url, "DO $$ BEGIN RAISE WARNING 'canary'; RAISE EXCEPTION 'canary'; END $$").catch(
      () => undefined,
    );
    expect(log.join("\n")).toContain("ready to accept connections");
    expect(log.join("\n")).not.toContain(password);
    expect(log.join("\n")).not.toContain("canary");
  });

  test.runIf(isLinux)("does not inherit our environment", async () => {
    const started = await owner(
      { dataDir, mode: "ephemeral" },
      { env: { BRANCHLINE_MASTER_KEY: "canary", PGPORT: "1" } },
    );
    const environment = readFileSync(`/proc/${started.pid}/environ`, "utf8");
    expect(environment).not.toMatch(/canary|PGPORT/);
  });

  test.runIf(isRoot)("runs as an account without rights when we are root", async () => {
    const { pid, dataDir: home } = await start("serve");
    const account = statSync(join(home, "data")).uid;
    expect(account).not.toBe(0);
    expect(readFileSync(`/proc/${pid}/status`, "utf8")).toMatch(
      new RegExp(`^Uid:\\s+${account}\\s+${account}`, "m"),
    );
  });

  test.runIf(isRoot && isLinux)("works on data in a folder that only root can enter", async () => {
    chmodSync(folder, 0o700);
    const first = await start("serve");
    await query(first.url, "CREATE TABLE kept AS SELECT 42 AS n");
    await first.stop();
    expect(existsSync(join(dataDir, "data/PG_VERSION"))).toBe(true);
    const again = await start("serve");
    expect(await query(again.url, "SELECT n FROM kept")).toEqual({ n: 42 });
    expect((await start("ephemeral")).alive()).toBe(true);
  });

  test.runIf(isRoot && isLinux)("works from a checkout that only root can enter", async () => {
    const { packageRoot } = thisMachine();
    const [checkout, data] = [join(folder, "checkout"), join(folder, "checkout/home/data")];
    mkdirSync(checkout, { mode: 0o700 });
    openHome(join(checkout, "home"));
    await cp(packageRoot ?? "", join(checkout, "package"), { recursive: true });
    const account = serverAccount(data);
    const cacheFolders = [join(checkout, "cache"), join(folder, "cache")];
    const binaries = await findBinaries(account, {
      ...thisMachine(),
      packageRoot: join(checkout, "package"),
      cacheFolders,
    });
    expect(binaries.bin.startsWith(join(folder, "cache"))).toBe(true);
    const ground = { binaries, account, data, user: "branchline", password: "secret", log: () => undefined };
    await initialise({ ...ground, sync: false });
    const server = await launch({ ...ground, settings: {}, leftover: null });
    expect(
      await query(`postgres://branchline:secret@127.0.0.1:${server.port}/postgres`, "SELECT 1 AS one"),
    ).toEqual({ one: 1 });
    await server.stop();
  });

  test("works under umask 077", async () => {
    const started = await owner({ dataDir, mode: "serve" }, { umask: 0o077 });
    expect(await query(started.url, "SELECT 1 AS one")).toEqual({ one: 1 });
  });
});

describe("a start that cannot succeed", () => {
  test("says what the server said", async () => {
    const first = await start("serve");
    await first.stop();
    writeFileSync(join(dataDir, "data/PG_VERSION"), "9.1\n");
    await expect(start("serve")).rejects.toThrow(
      /did not start: postgres ended with code 1: .*PG_VERSION|incompatible/,
    );
  });

  test("says what initdb said, without the password", async () => {
    const bin = join(folder, "bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "initdb"), "#!/bin/sh\necho no room for hunter2; exit 3\n", { mode: 0o755 });
    mkdirSync(dataDir);
    const cluster = { data: join(dataDir, "data"), user: "branchline", password: "hunter2", sync: true };
    const machinery = { binaries: { bin, from: "system" } as const, account: null, log: () => undefined };
    const creation = initialise({ ...cluster, ...machinery });
    await expect(creation).rejects.toThrow("initdb ended with code 3: no room for [secret]");
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test("says that a program cannot be run", async () => {
    const bin = join(folder, "bin");
    mkdirSync(bin);
    mkdirSync(join(dataDir, "data"), { recursive: true });
    const cluster = {
      data: join(dataDir, "data"),
      user: "branchline",
      password: "hunter2",
      settings: {},
      leftover: null,
    };
    const machinery = { binaries: { bin, from: "system" } as const, account: null, log: () => undefined };
    await expect(launch({ ...cluster, ...machinery })).rejects.toThrow(
      /did not start: .*No such file|ENOENT/,
    );
  });

  test("ends when it is aborted", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(startPostgres({ dataDir, mode: "serve", signal })).rejects.toThrow("enough");
  });

  test("will not touch data whose password file is gone", async () => {
    await (await start("serve")).stop();
    rmSync(join(dataDir, "password"));
    await expect(start("serve")).rejects.toThrow(/password file .* is missing/);
  });
});

describe("a port that is taken", () => {
  test("is replaced by another", async () => {
    const first = await start("serve");
    await first.stop();
    const blocker = createServer().listen(0, "127.0.0.1");
    const taken = await until(() => (blocker.address() as { port: number } | null)?.port);
    const data = join(dataDir, "data");
    const account = serverAccount(data);
    const ports = [taken, taken];
    const server = await launch({
      binaries: await findBinaries(account),
      account,
      data,
      user: "branchline",
      password: readFileSync(join(dataDir, "password"), "utf8"),
      log: (line) => log.push(line),
      settings: {},
      leftover: null,
      choosePort: async () => ports.shift() ?? (await freePort()),
    });
    expect(server.port).not.toBe(taken);
    // Once for each: none of them was asked for again. Another port may be taken meanwhile by somebody else.
    expect(log.filter((line) => line.includes("Address already in use")).length).toBeGreaterThanOrEqual(2);
    await server.stop();
    blocker.close();
  });
});

describe("serve", () => {
  test("keeps its data over restarts", async () => {
    const first = await start("serve");
    await query(first.url, "CREATE TABLE kept AS SELECT 42 AS n");
    await first.stop();
    expect(first.alive()).toBe(false);
    const second = await start("serve");
    expect(await query(second.url, "SELECT n FROM kept")).toEqual({ n: 42 });
    expect(second.url.replace(/:\d+\//, "")).toBe(first.url.replace(/:\d+\//, ""));
  });

  test("adopts a server that another process runs, and leaves it alone when it stops", async () => {
    const other = await owner({ dataDir, mode: "serve" });
    const mine = await start("serve");
    expect(mine).toMatchObject({ adopted: true, pid: other.pid, url: other.url });
    await mine.stop();
    expect(await query(other.url, "SELECT 1 AS one")).toEqual({ one: 1 });
  });

  test("lets two processes that start at once share one server", async () => {
    const [one, other] = await Promise.all([
      owner({ dataDir, mode: "serve" }),
      owner({ dataDir, mode: "serve" }),
    ]);
    expect(one.pid).toBe(other.pid);
    expect(one.adopted).toBe(!other.adopted);
  });

  test("takes over a server whose owner is gone, and stops it in the end", async () => {
    const first = await start("serve");
    writeFileSync(join(dataDir, "owner"), `${process.pid}-long.ago`);
    const second = await start("serve");
    expect(second.adopted).toBe(true);
    const told = new Promise<Error>((resolve) => first.onExit(resolve));
    await second.stop();
    expect((await told).message).toMatch(/ended by itself.*shut down/);
  });

  test("tells an adopter when the server ends, who then starts one of its own", async () => {
    const other = await owner({ dataDir, mode: "serve" });
    const mine = await start("serve");
    const told = new Promise<Error>((resolve) => mine.onExit(resolve));
    other.process.kill("SIGKILL");
    expect((await told).message).toContain(`process ${other.pid}`);
    expect(mine.alive()).toBe(false);
    const again = await start("serve");
    expect(again.adopted).toBe(false);
    expect(await query(again.url, "SELECT 1 AS one")).toEqual({ one: 1 });
  });

  test("starts again at once after the server was killed, with everything that was committed", async () => {
    const first = await start("serve");
    await query(first.url, "CREATE TABLE kept AS SELECT 42 AS n");
    const told = new Promise<Error>((resolve) => first.onExit(resolve));
    process.kill(first.pid, "SIGKILL");
    expect((await told).message).toContain("ended with SIGKILL");
    const second = await start("serve");
    expect(second.adopted).toBe(false);
    expect(await query(second.url, "SELECT n FROM kept")).toEqual({ n: 42 });
  });

  test("does not say that a server which was stopped ended by itself", async () => {
    const first = await start("serve");
    let told = 0;
    first.onExit(() => told++);
    await first.stop();
    await first.stop();
    await (await start("serve")).stop();
    expect(told).toBe(0);
  });

  test("refuses a server that does not know the password, with its pid", async () => {
    const first = await start("serve");
    writeFileSync(join(dataDir, "password"), "another");
    await expect(start("serve")).rejects.toThrow(
      `process ${first.pid}) is working on ${dataDir}/data but does not answer`,
    );
  });

  describe("recovers from a pid file that names", () => {
    /** To PostgreSQL, a process that it may not signal is a dead one: so not that. */
    const asServer = () => serverAccount(join(dataDir, "data")) ?? {};

    /** Leaves the cluster as a killed server does, with another pid in its file. */
    async function leavePidFile(pid: number): Promise<void> {
      const first = await start("serve");
      const text = readFileSync(join(dataDir, "data/postmaster.pid"), "utf8");
      await first.stop();
      writeFileSync(join(dataDir, "data/postmaster.pid"), text.replace(String(first.pid), String(pid)));
    }

    test("nobody", async () => {
      await leavePidFile(2 ** 22 + 1);
      expect((await start("serve")).adopted).toBe(false);
    });

    test("an unrelated process that runs", async () => {
      const sleeper = spawn("sleep", ["60"], asServer());
      await leavePidFile(sleeper.pid ?? 0);
      expect((await start("serve")).adopted).toBe(false);
      sleeper.kill("SIGKILL");
    });

    test("a process that has ended and was not reaped", async () => {
      const shell = spawn("sh", ["-c", "true & echo $!; exec sleep 60"], {
        ...asServer(),
        stdio: ["ignore", "pipe", "ignore"],
      });
      let said = "";
      shell.stdout.on("data", (chunk) => (said += chunk));
      const zombie = await until(() => Number(said.trim()));
      await until(() => identity(zombie) === null);
      await leavePidFile(zombie);
      expect((await start("serve")).adopted).toBe(false);
      shell.kill("SIGKILL");
    });
  });
});

describe("ephemeral", () => {
  test("gives each a server and a folder of its own and removes them", async () => {
    const [one, other] = await Promise.all([start("ephemeral", { fsync: false }), start("ephemeral")]);
    expect(one.port).not.toBe(other.port);
    expect(await query(one.url, "SELECT current_setting('fsync') AS fsync")).toEqual({ fsync: "off" });
    expect(await query(other.url, "SELECT current_setting('fsync') AS fsync")).toEqual({ fsync: "on" });
    await Promise.all([one.stop(), other.stop()]);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test("sweeps what killed runs left, and not what is in use", async () => {
    const inUse = await start("ephemeral");
    const left = join(dataDir, `run-${process.pid}-long.ago-AbCdEf`);
    mkdirSync(join(left, "data"), { recursive: true });
    await start("ephemeral");
    expect(existsSync(left)).toBe(false);
    expect(existsSync(inUse.dataDir)).toBe(true);
  });
});

describe.runIf(isLinux)("when the process that started the server is killed", () => {
  const gone = (home: string) =>
    until(() => processesOf(home).length === 0, { what: `processes of ${home} to end` });

  test("the server and its watchdog end, an ephemeral folder goes, and serve starts again", async () => {
    const [lasting, passing] = [
      await owner({ dataDir, mode: "serve" }),
      await owner({ dataDir: join(folder, "e"), mode: "ephemeral" }),
    ];
    await query(lasting.url, "CREATE TABLE kept AS SELECT 42 AS n");
    expect(processesOf(dataDir).length).toBeGreaterThan(2);
    for (const { process } of [lasting, passing]) process.kill("SIGKILL");
    await gone(folder);
    expect(existsSync(join(dataDir, "data/postmaster.pid"))).toBe(false); // it shut down in order
    expect(readdirSync(join(folder, "e"))).toEqual([]);
    const again = await start("serve");
    expect(again.adopted).toBe(false);
    expect(await query(again.url, "SELECT n FROM kept")).toEqual({ n: 42 });
  });

  test("the watchdog alone is enough, where there is no setpriv", async () => {
    const PATH = pathWith("sh", "id", "sleep", "rm");
    const started = await owner({ dataDir, mode: "ephemeral" }, { env: { PATH } });
    started.process.kill("SIGKILL");
    await gone(folder);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test("the parent death signal alone is enough, where the watchdog was killed too", async () => {
    const started = await owner({ dataDir, mode: "serve" });
    const isWatchdog = (pid: number) =>
      readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("branchline-watchdog");
    process.kill(
      await until(() => processesOf(dataDir).find(isWatchdog), { what: "the watchdog" }),
      "SIGKILL",
    );
    started.process.kill("SIGKILL");
    await gone(folder);
    expect(existsSync(join(dataDir, "data/postmaster.pid"))).toBe(false);
  });

  test("adopted by nobody, the server also ends when its parent ends in order", async () => {
    const started = await owner({ dataDir, mode: "serve" });
    started.process.stdin?.end();
    await gone(dataDir);
  });
});
