/** The commands around a connection string, as processes against a whole Branchline and real databases. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startWorld, type World } from "../../infra/demo/world.ts";
import { createLogger } from "../../services/log.ts";
import { verifyAudit } from "../../services/store/audit.ts";
import { listBranches } from "../../services/store/views.ts";
import { type Ran, type RunOptions, runCli } from "../support/cli.ts";
import { until } from "../support/until.ts";

const BRANCH = "preview/login";
let world: World;
let folder: string;
let env: Record<string, string>;
let dial: string[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "branchline-commands-"));
  world = await startWorld({ log: createLogger({ level: "silent" }), folder, port: 0 });
  const { state } = world.sandbox.neon;
  for (const name of [BRANCH, "preview/feat/x", "Preview/y", "main-old"]) state.createBranch({ name });
  await state.settled();
  await until(async () => (await known()) === 5, { timeoutMs: 30_000, what: "five branches" });
  // The stand-in's databases start one after the other, and a password that changes waits for its turn.
  await until(inStep, { timeoutMs: 60_000, what: "every binding to settle" });
  env = { BRANCHLINE_URL: world.apiUrl, BRANCHLINE_TOKEN: world.adminToken };
  const { computes } = world.sandbox;
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, computes?.ca ?? "");
  dial = ["--dial", `127.0.0.1:${computes?.port}`, "--ca", ca];
}, 120_000);
afterAll(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const run = async (args: readonly string[], options: RunOptions = {}): Promise<Ran> =>
  await runCli(args, { ...options, env: { ...env, ...options.env } });

const json = async (...args: string[]) => JSON.parse((await run([...args, "--json"])).out);

const strings = (branch: string, role = "shop_owner") =>
  world.sandbox.neon.state.connectionStrings(branch, role, "shop");

/** Branches that Branchline knows and Neon has. */
const known = async (): Promise<number | undefined> => {
  const { db } = world.service.runtime.database;
  const listed = await listBranches(db, { limit: 50, after: null, filter: {} });
  return listed?.items.filter(({ state }) => state !== "gone").length;
};

/** Two previews of four rules each, and production at Vault. */
const inStep = async (): Promise<boolean> => {
  const { rows } = await world.service.runtime.database.db.execute<{ settled: boolean }>(
    sql`select state in ('synced', 'parked') as settled from branchline.binding`,
  );
  return rows.length === 9 && rows.every(({ settled }) => settled);
};

async function auditRows(): Promise<Record<string, unknown>[]> {
  const { rows } = await world.service.runtime.database.db.execute(
    sql`select * from branchline.audit order by seq`,
  );
  return rows;
}

describe("connection", () => {
  test("prints the direct string, and the pooled one on request, as Neon has them now", async () => {
    const direct = await run(["connection", `shop/${BRANCH}`]);
    const pooled = await run(["connection", `shop/${BRANCH}`, "--pooled", "--role", "shop_app"]);
    expect([direct.code, direct.out.trim()]).toEqual([0, strings(BRANCH).direct]);
    expect([pooled.code, pooled.out.trim()]).toEqual([0, strings(BRANCH, "shop_app").pooled]);
    const { state } = world.sandbox.neon;
    state.resetPassword(BRANCH, "shop_owner");
    // The stand-in answers when its database knows, which on a busy machine takes longer than a command waits.
    await state.settled();
    expect((await run(["connection", `shop/${BRANCH}`])).out.trim()).toBe(strings(BRANCH).direct);
  }, 60_000);

  test("answers what the API documents, and more only when it was asked for", async () => {
    expect(await json("connection", `shop/${BRANCH}`)).toEqual({
      connectionUri: strings(BRANCH).direct,
      branch: BRANCH,
      pooled: false,
    });
    const full = await json("connection", `shop/${BRANCH}`, "--role", "shop_app", "--form", "host");
    expect(full).toEqual({
      connectionUri: new URL(strings(BRANCH).direct).hostname,
      branch: BRANCH,
      pooled: false,
      role: "shop_app",
      form: "host",
    });
  });

  test("the source alone means the default branch; an empty name means nothing", async () => {
    expect(await json("connection", "shop")).toMatchObject({ branch: "main" });
    const empty = await run(["connection", "shop/"]);
    expect([empty.code, empty.out]).toEqual([65, ""]);
    expect(empty.err).toContain("the branch's name is empty");
  });

  test.each([
    [["shop/preview/lgoin"], 66, "preview/login"],
    [["shpo/main"], 66, "shop"],
    [[`shop/${BRANCH}`, "--role", "shop_ap"], 66, "shop_app"],
    [[`shop/${BRANCH}`, "--database", "shp"], 66, "shop"],
    [[`shop/${BRANCH}`, "--form", "jbdc"], 65, "jdbc"],
  ])("%j ends with %i and the likeliest name", async (args, code, suggestion) => {
    const ran = await run(["connection", ...args]);
    expect([ran.code, ran.out]).toEqual([code, ""]);
    expect(ran.err).toContain(suggestion);
    expect(ran.all).not.toContain("npg_");
  });

  test("is audited, without values, in a chain that holds", async () => {
    const before = (await auditRows()).length;
    await run(["connection", `shop/${BRANCH}`, "--pooled", "--role", "shop_app"]);
    const rows = await auditRows();
    expect(rows).toHaveLength(before + 1);
    expect(rows.at(-1)).toMatchObject({
      actor: "admin token",
      action: "connection.reveal",
      object: `source/shop/branch/${BRANCH}`,
      details: { role: "shop_app", database: "shop", pooled: true, form: "url" },
    });
    expect(rows.at(-1)?.["source_address"]).toContain("127.0.0.1");
    expect(JSON.stringify(rows)).not.toContain("npg_");
    expect(await verifyAudit(world.service.runtime.database.db)).toMatchObject({ ok: true });
  });

  test("a branch that was renamed a moment ago is found by its new name and not by its old one", async () => {
    const { state } = world.sandbox.neon;
    const { branch } = state.startBranch(state.project, state.branch("main"), {
      name: "short-lived",
      endpoints: ["read_write"],
    });
    branch.name = "renamed-just-now";
    expect(await json("connection", "shop/renamed-just-now")).toMatchObject({ branch: "renamed-just-now" });
    expect((await run(["connection", "shop/short-lived"])).code).toBe(66);
    state.deleteBranch(branch.id);
    expect((await run(["connection", "shop/renamed-just-now"])).code).toBe(66);
    // A watch may have seen it meanwhile, or be about to write that down; and it looks twice before it believes that a
    // branch is gone.
    const { db } = world.service.runtime.database;
    const lookAgain = sql`update branchline.source set due_at = now(), revision = revision + 1`;
    await db.execute(lookAgain);
    await until(
      async () => {
        const { rows } = await db.execute<{ looked: boolean }>(
          sql`select watched_revision = revision and lease_until is null as looked from branchline.source`,
        );
        const looked = rows.every((row) => row.looked);
        const again = (await known()) !== 5;
        if (looked && again) await db.execute(lookAgain);
        return looked && !again;
      },
      { timeoutMs: 60_000, what: "five branches again" },
    );
  }, 90_000);
});

describe("a server that cannot be talked to", () => {
  test.each([
    ["no token", { BRANCHLINE_TOKEN: "" }, 77, "BRANCHLINE_TOKEN"],
    ["a wrong token", { BRANCHLINE_TOKEN: "wrong-token-0123456789" }, 77, "does not accept the token"],
    ["nobody there", { BRANCHLINE_URL: "http://127.0.0.1:9" }, 69, "branchline serve"],
    ["an address that is none", { BRANCHLINE_URL: "branchline" }, 78, "BRANCHLINE_URL"],
    ["plain http over the internet", { BRANCHLINE_URL: "http://example.com" }, 78, "https"],
  ])("%s: exit code and words", async (_, over, code, words) => {
    const ran = await run(["connection", "shop/main"], { env: over });
    expect([ran.code, ran.out]).toEqual([code, ""]);
    expect(ran.err).toContain(words);
    expect(ran.all).not.toContain("wrong-token");
  });

  test("the operator's token will do where there is no other", async () => {
    const ran = await run(["branches", "--json"], {
      env: { BRANCHLINE_TOKEN: "", BRANCHLINE_ADMIN_TOKEN: world.adminToken },
    });
    expect(ran.code).toBe(0);
  });
});

describe("branches", () => {
  test("lists them with their state", async () => {
    const { branches } = await json("branches", "--source", "shop");
    expect(branches.map((branch: { name: string }) => branch.name)).toContain(BRANCH);
    const { out } = await run(["branches"]);
    expect(out).toMatch(/main\s+│ shop\s+│ default, ready/);
    expect(out).not.toContain("\u001b[");
  });

  test("--rule says how many match and names the near misses", async () => {
    const found = await json("branches", "--rule", "web-preview");
    expect(found).toMatchObject({ matches: 2, of: 5, nearMisses: ["Preview/y"] });
    const { out, code } = await run(["branches", "--rule", "web-preview"]);
    expect(code).toBe(0);
    expect(out).toContain("web-preview matches 2 of 5 branches of shop.");
    expect(out).toContain("Missed by little: Preview/y");
  });

  test("a rule that is not there, or of another source, is an error", async () => {
    expect((await run(["branches", "--rule", "nothing"])).code).toBe(66);
    expect((await run(["branches", "--rule", "web-preview", "--source", "other"])).code).toBe(65);
  });
});

describe("presets", () => {
  test("come with the reason of each choice, without a server", async () => {
    const { out, code } = await run(["presets", "prisma"], { env: { BRANCHLINE_URL: "http://127.0.0.1:9" } });
    expect(code).toBe(0);
    expect(out).toMatch(/DATABASE_URL_UNPOOLED\s+│ direct\.prisma\s+│ migrations need a session/);
    const all = await json("presets");
    expect(all.presets.length).toBeGreaterThan(20);
    expect((await run(["presets", "prsima"])).err).toContain('did you mean "prisma"?');
  });
});

describe("env", () => {
  test("prints a .env of a preset", async () => {
    const { out, code } = await run(["env", `shop/${BRANCH}`]);
    expect(code).toBe(0);
    expect(out).toBe(
      `DATABASE_URL='${strings(BRANCH).pooled}'\nDATABASE_URL_UNPOOLED='${strings(BRANCH).direct}'\n`,
    );
  });

  test("a rule brings its own roles and names", async () => {
    const { branch, variables } = await json("env", `shop/${BRANCH}`, "--rule", "web-preview");
    expect(branch).toBe(BRANCH);
    expect(variables).toEqual({
      DATABASE_URL: strings(BRANCH, "shop_app").pooled,
      DATABASE_URL_UNPOOLED: strings(BRANCH).direct,
    });
  });

  test("writes a file that only its owner can read, whole, and replaces only its own", async () => {
    const path = join(folder, "mine.env");
    const args = ["env", `shop/${BRANCH}`, "-o", path];
    const first = await run(args);
    expect(first.code).toBe(0);
    expect(first.all).not.toContain("npg_");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, "utf8")).toContain(`DATABASE_URL='${strings(BRANCH).pooled}'`);
    expect((await run(args)).code).toBe(0);

    writeFileSync(path, "THEIRS=1\n", { mode: 0o644 });
    const refused = await run(args);
    expect([refused.code, readFileSync(path, "utf8")]).toEqual([73, "THEIRS=1\n"]);
    expect((await run([...args, "--force"])).code).toBe(0);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("--github-env masks every value and its password before the file has one of them", async () => {
    const file = join(folder, "github-env");
    writeFileSync(file, "EARLIER=1\n");
    const args = ["env", `shop/${BRANCH}`, "--preset", "libpq", "--github-env"];
    const ran = await run(args, { env: { GITHUB_ENV: file }, own: true });
    expect(ran.code).toBe(0);
    const password = world.sandbox.neon.state.passwordOf(BRANCH, "shop_owner") ?? "";
    const lines = ran.out.split("\n");
    for (const value of [password, "shop_owner", new URL(strings(BRANCH).direct).hostname])
      expect(lines).toContain(`::add-mask::${value}`);
    expect(lines.filter((line) => line.includes(password) && !line.startsWith("::add-mask::"))).toEqual([]);
    const text = readFileSync(file, "utf8");
    expect(text.startsWith("EARLIER=1\n")).toBe(true);
    expect(text).toMatch(new RegExp(`PGPASSWORD<<(ghadelimiter_[0-9a-f-]{36})\\n${password}\\n\\1\\n`));
    const fewer = await run([...args, "--mask", "secrets"], { env: { GITHUB_ENV: file }, own: true });
    expect(fewer.out).toContain(`::add-mask::${password}`);
    expect(fewer.out).not.toContain("::add-mask::shop_owner");
  });

  test("--github-env outside of a job reveals nothing", async () => {
    const before = (await auditRows()).length;
    const ran = await run(["env", `shop/${BRANCH}`, "--github-env"]);
    expect(ran.code).toBe(78);
    expect(await auditRows()).toHaveLength(before);
  });
});

describe("doctor", () => {
  test("tries both hosts of a branch", async () => {
    const ran = await run(["doctor", `shop/${BRANCH}`, ...dial, "--json"]);
    expect(ran.code).toBe(0);
    expect(JSON.parse(ran.out)).toMatchObject({
      ok: true,
      logins: [
        { pooled: false, ok: true },
        { pooled: true, ok: true },
      ],
    });
    expect(ran.all).not.toContain("npg_");
  });

  test("reads a URL from standard input, and ends by category", async () => {
    const stale = strings(BRANCH).pooled;
    world.sandbox.neon.state.resetPassword(BRANCH, "shop_owner");
    await world.sandbox.neon.state.settled();
    const ran = await run(["doctor", "-", ...dial], { stdin: `${stale}\n`, own: true });
    expect(ran.code).toBe(10);
    expect(ran.out).toMatch(/authentication after \d+ ms/);
    expect(ran.out).toContain("next      Take the present password from Neon");
    expect(ran.all).not.toContain("npg_");
  }, 60_000);

  test.each([
    ["a / in the password", "postgresql://app:12/s3cr@ep-a-1.eu-central-1.aws.neon.tech/shop"],
    ["a slash too few", "postgresql:/app:s3cr@ep-a-1.eu-central-1.aws.neon.tech/shop"],
  ])("with %s it says what is wrong, and repeats and asks nothing", async (_, text) => {
    const nobody = { BRANCHLINE_URL: "http://127.0.0.1:9" };
    for (const ran of [
      await run(["doctor", text], { env: nobody }),
      await run(["doctor", "-"], { stdin: text }),
    ]) {
      expect([ran.code, ran.out]).toEqual([65, ""]);
      expect(ran.err).toMatch(/\n {2}\w/);
      expect(ran.all).not.toContain("s3cr");
    }
  });
});

describe("tokens", () => {
  const create = async (...more: string[]) =>
    await run(["tokens", "create", "ci", "--scope", "read", "--source", "shop", "--branch", BRANCH, ...more]);

  test("a new one goes to standard output alone, works within its limits, and is listed without itself", async () => {
    const made = await create("--expires", "90d");
    expect([made.code, made.err]).toEqual([0, expect.stringContaining("not shown again")]);
    const token = made.out.trim();
    expect(token).toMatch(/^blt_[\w-]{43}$/);
    const mine = { env: { BRANCHLINE_TOKEN: token } };
    const { branches } = JSON.parse((await run(["branches", "--json"], mine)).out);
    expect(branches.map(({ name }: { name: string }) => name)).toEqual([BRANCH]);
    expect((await run(["connection", `shop/${BRANCH}`], mine)).err).toContain("reveal");
    const listed = await run(["tokens", "list"]);
    expect(listed.out).toContain("branches: preview/login");
    expect(listed.all).not.toContain(token);
  });

  test("one that is revoked is refused from then on", async () => {
    const { token, id } = JSON.parse((await create("--json")).out);
    const revoked = await run(["tokens", "revoke", id, "--json"]);
    expect(JSON.parse(revoked.out)).toMatchObject({ id, revokedAt: expect.any(String) });
    expect((await run(["branches"], { env: { BRANCHLINE_TOKEN: token } })).code).toBe(77);
    expect((await run(["tokens", "revoke", "nobody"])).code).toBe(66);
  });

  test("what is said wrongly makes none", async () => {
    const before = JSON.parse((await run(["tokens", "list", "--json"])).out).tokens.length;
    for (const more of [
      ["--expires", "soon"],
      ["--scope", "root"],
      ["--branch", "[a"],
    ]) {
      expect((await create(...more)).code).not.toBe(0);
    }
    expect(JSON.parse((await run(["tokens", "list", "--json"])).out).tokens).toHaveLength(before);
  });
});
