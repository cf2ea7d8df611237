/** The state goes into a file and comes back in another database, and does nothing there until it is told to. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLogger } from "../../services/log.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { verifyAudit } from "../../services/store/audit.ts";
import { type Database, openDatabase } from "../../services/store/db.ts";
import { installationRow, resumeAll } from "../../services/store/installation.ts";
import { DEFAULT_SETTINGS } from "../../workers/runtime.ts";
import { setup } from "../../workers/setup.ts";
import { ruleOf } from "../support/app.ts";
import { needlesOf, search } from "../support/canary.ts";
import { runCli } from "../support/cli.ts";
import { type Hand, startByHand } from "../support/hand.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { ROOT } from "../support/process.ts";

const MASTER_KEY = new Uint8Array(32).fill(7);
const project = new MemoryProject("p1");
let hand: Hand;
let folder: string;
let file: string;
let from: string;
let ids: string[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "branchline-backup-"));
  file = join(folder, "state.jsonl");
  hand = await startByHand({
    projects: [project],
    destinations: { memory: {} },
    rules: [ruleOf({ name: "web" })],
  });
  ids = [1, 2, 3].map((n) => project.addBranch(`preview/${n}`));
  await hand.look();
  for (const { state } of await hand.bindings()) expect(state).toBe("synced");
  from = String(hand.database.pool.options.connectionString);
}, 60_000);
afterAll(async () => {
  await hand.stop();
  rmSync(folder, { recursive: true, force: true });
});

const run = async (args: readonly string[], url: string, stdin?: string) =>
  await runCli(args, { env: { DATABASE_URL: url }, cwd: folder, ...(stdin === undefined ? {} : { stdin }) });

const TABLES = [
  "source",
  "destination",
  "rule",
  "branch",
  "login",
  "place",
  "binding",
  "ledger",
  "event",
  "push",
];

/** All rows of a table as text, in one order. */
async function content(database: Pick<Database, "pool">, table: string): Promise<string[]> {
  const { rows } = await database.pool.query<{ row: string }>(
    `select to_jsonb(t)::text as row from branchline.${table} t order by 1`,
  );
  return rows.map(({ row }) => row);
}

async function into<T>(use: (target: TestDatabase, database: Database) => Promise<T>): Promise<T> {
  const target = await createDatabase();
  const database = openDatabase({ url: target.url });
  try {
    return await use(target, database);
  } finally {
    await database.close();
    await target.drop();
  }
}

describe("backup and restore", () => {
  test("brings every row back, sealed as it was", async () => {
    const taken = await run(["backup", file, "--json"], from);
    expect(taken).toMatchObject({ code: 0, out: "" });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const { rows, installation } = JSON.parse(taken.err);
    expect(installation).toBe(hand.runtime.installation);
    await into(async ({ url }, database) => {
      const restored = await run(["restore", file, "--json"], url);
      expect(restored).toMatchObject({ code: 0, err: "" });
      expect(JSON.parse(restored.out)).toMatchObject({ rows, installation });
      for (const table of TABLES)
        expect(await content(database, table), table).toEqual(await content(hand.database, table));
      expect(await verifyAudit(database.db)).toMatchObject({ ok: true });
    });
  });

  test("goes through a pipe", async () => {
    const { out, code } = await run(["backup"], from);
    expect(code).toBe(0);
    await into(async ({ url }, database) => {
      expect(await run(["restore", "-"], url, out)).toMatchObject({ code: 0 });
      expect(await content(database, "binding")).toEqual(await content(hand.database, "binding"));
    });
  });

  test("whose reader has gone does not put it down to the database", async () => {
    const main = join(ROOT, "dist/services/cli/main.js");
    const env = { PATH: process.env["PATH"] ?? "", DATABASE_URL: from };
    const child = spawn(process.execPath, [main, "backup"], { cwd: folder, env });
    child.stdout.destroy();
    const [err, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
    expect([code, err]).toEqual([73, "branchline: standard output cannot be written (EPIPE)\n"]);
  });

  test("holds no password and no connection string", async () => {
    await run(["backup", file], from);
    const secrets = ids.flatMap((id) => {
      const password = project.passwordOf(id, "app_owner");
      return password === undefined ? [] : needlesOf("a password", password);
    });
    expect(secrets.length).toBeGreaterThan(10);
    expect(search([{ where: file, bytes: readFileSync(file) }], secrets)).toEqual([]);
  });

  test("writes nothing anywhere until somebody resumes it", async () => {
    await run(["backup", file], from);
    await into(async ({ url }, database) => {
      await run(["restore", file], url);
      // By itself, before anybody compares where it was born: the old database may have been emptied and filled again.
      const [row] = await content(database, "installation");
      expect(JSON.parse(row ?? "{}")).toMatchObject({
        suspended_at: expect.any(String),
        suspended_why: expect.stringMatching(/^restored from a backup of 20/),
        identity: "restored",
      });
      const options = {
        database,
        sources: new Map(),
        destinations: new Map(),
        resolve: () => {
          throw new Error("nothing is opened here");
        },
        settings: DEFAULT_SETTINGS,
        log: createLogger({ level: "silent" }),
      };
      await expect(setup({ ...options, masterKey: new Uint8Array(32).fill(8) })).rejects.toThrow();
      // It opens with the key that sealed it, and is still who it was.
      const { installation, fingerprint } = await setup({ ...options, masterKey: MASTER_KEY });
      expect(installation).toBe(hand.runtime.installation);
      expect(fingerprint("value", "x")).toBe(hand.runtime.fingerprint("value", "x"));
      const suspended = async (): Promise<boolean> =>
        (await installationRow(database.db)).suspendedAt !== null;
      expect(await suspended()).toBe(true);
      await resumeAll(database.db);
      expect(await suspended()).toBe(false);
      await setup({ ...options, masterKey: MASTER_KEY });
      expect(await suspended()).toBe(false);
    });
  });
});

describe("what restore refuses, whole", () => {
  const cases: readonly [string, (lines: string[]) => string[], RegExp][] = [
    ["a file that was cut off", (lines) => lines.slice(0, -1), /ends after line \d+, before its foot/],
    ["a line that was taken out", (lines) => lines.filter((_, n) => n !== 2), /checksum|do not fit/],
    [
      "a value that was edited",
      (lines) => lines.map((line) => line.replace("preview/1", "preview/9")),
      /checksum/,
    ],
    ["rows in another order", ([a, b, c, ...rest]) => [a, c, b, ...rest].map(String), /checksum|do not fit/],
    ["a line that is not JSON", ([a, ...rest]) => [String(a), "{", ...rest], /line 2 is not JSON/],
    [
      "a row of nobody's",
      ([a, ...rest]) => [String(a), '{"table":"pg_authid","row":{}}', ...rest],
      /line 2 is no row/,
    ],
    ["another kind of file", () => ['{"hello":"world"}'], /no backup of Branchline/],
    ["an empty file", () => [], /the file is empty/],
    [
      "a later release's",
      ([a, ...rest]) => [String(a).replace(/"migrations":\d+/, '"migrations":99'), ...rest],
      /made by a later release \(99 migrations, this one has \d+\)/,
    ],
  ];
  let lines: string[];
  let target: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    lines = (await run(["backup"], from)).out.trimEnd().split("\n");
    target = await createDatabase({ migrated: true });
    database = openDatabase({ url: target.url });
  });
  afterAll(async () => {
    await database.close();
    await target.drop();
  });

  test.each(cases)("%s", async (_what, change, words) => {
    const broken = join(folder, "broken.jsonl");
    writeFileSync(
      broken,
      change(lines)
        .map((line) => `${line}\n`)
        .join(""),
    );
    const { code, err } = await run(["restore", broken], target.url);
    expect([code, err]).toEqual([65, expect.stringMatching(words)]);
    for (const table of ["installation", ...TABLES]) expect(await content(database, table)).toEqual([]);
  });

  test("a database that holds a state", async () => {
    const before = await content(hand.database, "binding");
    const { code, err } = await run(["restore", file], from);
    expect([code, err]).toEqual([
      65,
      expect.stringContaining(`the installation ${hand.runtime.installation}`),
    ]);
    expect(await content(hand.database, "binding")).toEqual(before);
  });

  test("a file that is not there; and backup one where there is no state, or no folder", async () => {
    expect(await run(["restore", "nowhere.jsonl"], target.url)).toMatchObject({
      code: 65,
      err: expect.stringContaining("nowhere.jsonl cannot be read (ENOENT)"),
    });
    expect(await run(["backup", file], target.url)).toMatchObject({ code: 65 });
    const nowhere = join("no", "folder", "state.jsonl");
    expect(await run(["backup", nowhere], from)).toMatchObject({
      code: 73,
      err: expect.stringContaining("cannot be written (ENOENT)"),
    });
  });
});
