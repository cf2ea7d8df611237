/** What a person can tell a binding, by the command line, against a whole Branchline. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bindings } from "../../infra/demo/story.ts";
import { startWorld, type World } from "../../infra/demo/world.ts";
import { createLogger } from "../../services/log.ts";
import { type Ran, runCli } from "../support/cli.ts";
import { until } from "../support/until.ts";

const BRANCH = "preview/login";
const BINDING = `vault-preview/${BRANCH}`;
const PATH = "preview/login";
let world: World;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "branchline-tell-"));
  const log = createLogger({ level: "silent" });
  world = await startWorld({ log, folder, port: 0, computes: false });
  world.sandbox.neon.state.createBranch({ name: BRANCH });
  await inState("synced");
}, 120_000);
afterAll(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const run = async (...args: string[]): Promise<Ran> =>
  await runCli(args, { env: { BRANCHLINE_URL: world.apiUrl, BRANCHLINE_TOKEN: world.adminToken } });

const inState = async (state: string) =>
  await until(
    async () =>
      (await bindings(world)).find(
        (one) => one.rule === "vault-preview" && one.branch.name === BRANCH && one.state === state,
      ),
    { what: `${BINDING} to be ${state}`, timeoutMs: 20_000 },
  );

describe("branchline", () => {
  test("suspend and resume stop a binding and let it go on", async () => {
    const stopped = await run("suspend", BINDING);
    expect([stopped.code, stopped.out]).toEqual([0, `suspend: vault-preview for ${BRANCH} is suspended.\n`]);
    const refused = await run("push", BINDING);
    expect(refused.code).toBe(69);
    expect(refused.err).toContain("It is suspended. Resume it first.");
    expect((await run("resume", BINDING)).code).toBe(0);
    await inState("synced");
  });

  test("release gives names back, and adopt takes them over again", async () => {
    const before = world.sandbox.vault.state.values(PATH);
    const released = JSON.parse((await run("release", BINDING, "--json")).out);
    expect(released).toMatchObject({
      binding: { state: "suspended", names: [] },
      names: ["DATABASE_URL", "DATABASE_URL_UNPOOLED"],
    });
    expect(world.sandbox.vault.state.values(PATH)).toEqual(before);
    const adopted = await run("adopt", BINDING, "--replace-unreadable");
    expect(adopted.code).toBe(0);
    expect(adopted.out).toContain("cannot be restored");
    expect(adopted.out).toContain("takes effect when it is resumed");
    await run("resume", BINDING);
    expect((await inState("synced")).names).toEqual(["DATABASE_URL", "DATABASE_URL_UNPOOLED"]);
    expect(world.sandbox.vault.state.values(PATH)).toEqual(before);
  });

  test("push brings a binding to what is wanted, by its id as well", async () => {
    const { id, applied } = await inState("synced");
    expect((await run("push", id)).code).toBe(0);
    await until(async () => (await inState("synced")).applied > applied);
  });

  test.each([
    [["push", "nothing-of-the-kind"], 65, "RULE/BRANCH"],
    [["push", "vault-preview/preview/none"], 66, "there is no binding"],
    [["push", "00000000-0000-4000-8000-000000000000"], 66, "no binding with this id"],
    [["adopt", BINDING, "--name", "OTHER"], 65, "OTHER is not one of them"],
    [["adopt", BINDING, "--expect", "same", "--replace-unreadable"], 1, "cannot be used with"],
    [["adopt", BINDING, "--expect", "anything"], 1, "Allowed choices are same"],
  ] as const)("says what is wrong: %j", async (args, code, words) => {
    const ran = await run(...args);
    expect(ran.err).toContain(words);
    expect(ran.code).toBe(code);
  });

  test("needs a token with the scope write", async () => {
    const ran = await runCli(["push", BINDING], {
      env: { BRANCHLINE_URL: world.apiUrl, BRANCHLINE_TOKEN: "wrong" },
    });
    expect(ran.code).toBe(77);
  });
});
