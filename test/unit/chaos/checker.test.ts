/** A checker that cannot fail is worth nothing: each of its findings, provoked on purpose. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { SeenLogin } from "../../../infra/sandbox/computes/index.ts";
import { type Sandbox, startSandbox } from "../../../infra/sandbox/index.ts";
import { NEON_PROJECT } from "../../../infra/sandbox/neon.ts";
import { type BindingAtRest, leaks, lostEvents, parkedWithoutCause } from "../../chaos/after.ts";
import type { Hooks } from "../../chaos/hooks.ts";
import { type Database, LISTENS } from "../../chaos/postgres.ts";
import { timeline } from "../../chaos/report.ts";
import { Witness } from "../../chaos/witness.ts";

let sandbox: Sandbox;
let witness: Witness;
let folder: string;

beforeEach(async () => {
  sandbox = await startSandbox({
    computes: false,
    neon: { operationMs: 0, projects: [{ ...NEON_PROJECT, root: { protected: true } }] },
  });
  sandbox.neon.state.createBranch({ name: "preview/p0" });
  witness = new Witness(sandbox);
  folder = mkdtempSync(join(tmpdir(), "branchline-checker-"));
});

afterEach(async () => {
  await sandbox.close();
  rmSync(folder, { recursive: true, force: true });
});

const neon = () => sandbox.neon.state;
const strings = (branch = "preview/p0") => neon().connectionStrings(branch, "shop_app", "shop");
const secret = ({ pooled, direct }: { pooled: string; direct: string }) => ({
  DATABASE_URL: pooled,
  DATABASE_URL_UNPOOLED: direct,
});
const atVault = (data: Record<string, string>) => sandbox.vault.state.write("preview/p0", data);
const broken = () => witness.breaches.map(({ promise }) => promise);

describe("the witness", () => {
  test("has nothing to say of a rotation that is followed", () => {
    atVault(secret(strings()));
    witness.look();
    neon().resetPassword("preview/p0", "shop_app");
    witness.look();
    atVault(secret(strings()));
    witness.look();
    expect(witness.breaches).toEqual([]);
  });

  test("sees an older value after a newer one, even between two looks: P2", () => {
    const old = secret(strings());
    neon().resetPassword("preview/p0", "shop_app");
    witness.look();
    const now = secret(strings());
    for (const data of [now, old, now]) atVault(data);
    witness.look();
    expect(broken()).toEqual(["P2"]);
  });

  test("sees what Neon never said: P3", () => {
    atVault({ DATABASE_URL: "postgres://shop_app:made-up@nowhere.example/shop" });
    witness.look();
    expect(broken()).toEqual(["P3"]);
  });

  test("sees a name of somebody else's that changed: P5", () => {
    atVault({ DATABASE_URL: "foreign-1" });
    witness.foreignWrote("vault p0", "DATABASE_URL", "foreign-1");
    witness.look();
    atVault(secret(strings()));
    witness.look();
    expect(broken()).toEqual(["P5"]);
  });

  test("sees a name that went while its branch lives, and none that went after it: P7", () => {
    atVault(secret(strings()));
    witness.look();
    atVault({});
    witness.look();
    expect(broken()).toEqual(["P7", "P7"]);

    atVault(secret(strings()));
    witness.look();
    neon().deleteBranch("preview/p0");
    witness.look();
    atVault({});
    witness.look();
    expect(witness.breaches).toHaveLength(2);
  });

  test("sees production's login at a preview: P8", () => {
    atVault(secret(strings("main")));
    witness.look();
    expect(new Set(broken())).toEqual(new Set(["P8"]));
  });

  test("sees two generations in one secret, and a password at another login's host: P9", () => {
    const old = secret(strings());
    neon().resetPassword("preview/p0", "shop_app");
    witness.look();
    atVault({ ...secret(strings()), DATABASE_URL: old.DATABASE_URL });
    witness.look();
    expect(broken()).toEqual(["P9"]);

    neon().createBranch({ name: "preview/p1" });
    witness.look();
    const torn = new URL(strings().direct);
    torn.hostname = new URL(strings("preview/p1").direct).hostname;
    atVault({ DATABASE_URL: torn.href });
    witness.look();
    const what = "DATABASE_URL has the host of one login and the password of another";
    expect(witness.breaches).toContainEqual(expect.objectContaining({ promise: "P9", what }));
  });

  test("sees a generation that nobody had logged in with over both hosts: P10", () => {
    const login = (pooled: boolean, over: Partial<SeenLogin> = {}): SeenLogin => ({
      branchId: neon().branchByName("preview/p0")?.id ?? "",
      pooled,
      role: "shop_app",
      database: "shop",
      passwords: [neon().passwordOf("preview/p0", "shop_app") ?? ""],
      ...over,
    });
    const published = (logins: readonly SeenLogin[]): string[] => {
      sandbox.vault.state.write("preview/p0", {});
      const watching = new Witness(sandbox, logins);
      atVault(secret(strings()));
      watching.look();
      return watching.breaches.map(({ promise, what }) => `${promise} ${what.replace(/^.*over/, "over")}`);
    };
    const first = [login(true), login(false)];
    expect(published(first)).toEqual([]);
    expect(new Set(published([login(true)]))).toEqual(new Set(["P10 over the direct host"]));
    expect(new Set(published([login(false)]))).toEqual(new Set(["P10 over the pooled host"]));
    for (const wrong of [{ role: "shop_owner" }, { database: "other" }, { branchId: "br-other" }]) {
      expect(published([login(true, wrong), login(false)])).toContain("P10 over the pooled host");
    }
    neon().resetPassword("preview/p0", "shop_app");
    expect(published(first)).toContain("P10 over the pooled and the direct host");
    expect(published([...first, login(true), login(false)])).toEqual([]);
  });

  test("says what differs at the end", () => {
    atVault(secret(strings()));
    neon().resetPassword("preview/p0", "shop_app");
    expect(witness.differences()).toContainEqual({
      place: "vault p0",
      name: "DATABASE_URL",
      want: "preview/p0#2 shop_app@2",
      have: "preview/p0#2 shop_app@1",
    });
  });
});

test("the sessions that listen are found, also where a comment comes first, and no others", async () => {
  const said = ["LISTEN one", "-- Subscribe.\n  LISTEN two", "select 1 as listen"];
  const clients = said.map(() => new pg.Client({ connectionString: inject("postgresUrl") }));
  await Promise.all(clients.map((client) => client.connect()));
  const pids = await Promise.all(
    clients.map(async (client, n) => {
      const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
      await client.query(said[n] ?? "");
      return rows[0]?.pid ?? 0;
    }),
  );
  const asking = new pg.Client({ connectionString: inject("postgresUrl") });
  await asking.connect();
  const { rows } = await asking.query<{ pid: number }>(
    `select pid from pg_stat_activity where pid = any($1) and ${LISTENS}`,
    [pids],
  );
  await Promise.all([...clients, asking].map((client) => client.end()));
  expect(rows.map(({ pid }) => pid).sort()).toEqual(pids.slice(0, 2).sort());
});

describe("after a run", () => {
  const table = (rows: Readonly<Record<string, readonly object[]>>): Database =>
    ({
      query: async (text: string) =>
        Object.entries(rows).find(([part]) => text.includes(part))?.[1] ?? ([] as readonly object[]),
    }) as unknown as Database;
  const hooks = (
    accepted: readonly string[],
    forged: readonly string[],
    believed: readonly number[],
  ): Hooks =>
    ({ accepted: new Set(accepted), forged: new Set(forged), believed, answers: {} }) as unknown as Hooks;

  test("an event that was accepted and is gone, and one that was forged and is there: P1", async () => {
    const disk = table({ "from branchline.event": [{ id: "a" }, { id: "f" }] });
    expect(await lostEvents(disk, hooks(["a"], [], []))).toEqual([]);
    const found = await lostEvents(disk, hooks(["a", "b"], ["f"], [202]));
    expect(found.map(({ promise, what }) => [promise, what])).toEqual([
      ["P1", "delivery b was answered with 202 and is not there"],
      ["P1", "forged delivery f was taken in"],
      ["P1", "a forged delivery was answered 202"],
    ]);
  });

  test("what is parked, unless somebody else owns it and that is said: P3", () => {
    const parked = { branch: "preview/p5", destination: "vault", state: "parked" };
    const told: BindingAtRest = { ...parked, code: "not_owned", cause: "theirs", next: "Adopt it." };
    expect(parkedWithoutCause([told])).toEqual([]);
    expect(parkedWithoutCause([{ ...told, next: null }])).toHaveLength(1);
    expect(parkedWithoutCause([{ ...told, branch: "preview/p0" }])).toMatchObject([{ promise: "P3" }]);
  });

  test("a secret in a log, in a table or in the queue: P4", async () => {
    writeFileSync(join(folder, "worker-1.log"), "nothing of interest\n");
    const clean = table({ "information_schema.tables": [{ name: "branchline.event" }] });
    const holding = (text: string) => ({
      contents: async () => JSON.stringify(["bull:push:1", { data: text }]),
    });
    const tidy = { database: clean, folder, queue: holding("an id") };
    expect(await leaks(tidy, ["npg_canary"])).toEqual([]);
    writeFileSync(join(folder, "worker-1.log"), "tried npg_canary\n");
    const dirty = table({
      "information_schema.tables": [{ name: "branchline.event" }],
      "from branchline.event": [{ text: "(1,npg_canary)" }],
    });
    const leaking = { database: dirty, folder, queue: holding("npg_canary") };
    expect((await leaks(leaking, ["npg_canary"])).map(({ what }) => what)).toEqual([
      "a secret is in worker-1.log",
      "a secret is in the table branchline.event",
      "a secret is in Redis",
    ]);
  });

  test("a finding comes with what was done around it, and what changed at its place", () => {
    const journal = [
      { at: 1_000, what: "long ago" },
      { at: 10_000, what: "kill worker-1" },
    ];
    const change = { name: "A", from: "nothing", to: "preview/p0#2 shop_app@1" };
    const changes = [
      { at: 10_500, place: "vault p0", ...change },
      { at: 10_500, place: "vault p1", ...change },
    ];
    expect(timeline(journal, changes, { at: 10_600, place: "vault p0" }, 0)).toEqual([
      "  10.00 s kill worker-1",
      "  10.50 s   vault p0 A: nothing -> preview/p0#2 shop_app@1",
    ]);
  });
});
