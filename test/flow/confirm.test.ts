/** `branchline confirm`: a source is called by the name that the configuration gives it, or by its id. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Serving, serveApi } from "../../services/api/server.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { adminApi, type TestApi } from "../support/api.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";
import { type Ran, runCli } from "../support/cli.ts";
import { until } from "../support/until.ts";

const NAMES = ["preview/a", "preview/b", "preview/c", "preview/d", "preview/e"];
let app: TestApp;
let api: TestApi;
let serving: Serving;
const projects = [new MemoryProject("p1"), new MemoryProject("p2")];

beforeAll(async () => {
  const rules = [
    ruleOf({ name: "web" }),
    ruleOf({ name: "elsewhere", source: "shop2", destination: "second" }),
  ];
  app = await startApp({ projects, destinations: { memory: {}, second: {} }, rules });
  api = adminApi(app);
  serving = await serveApi({ app: api.router.app, port: 0 });
});
afterAll(async () => {
  await serving.close();
  api.stop();
  await app.stop();
});

const source = async (name: string) => (await api.get(`/v1/sources/${name}`)).json;

const confirm = async (...args: string[]): Promise<Ran> =>
  await runCli(["confirm", ...args], { env: { BRANCHLINE_URL: serving.url, BRANCHLINE_TOKEN: api.admin } });

/** In both sources more branches vanish at once than is believed. */
async function holdDeletes(): Promise<void> {
  const made = projects.map((project) => ({ project, ids: NAMES.map((name) => project.addBranch(name)) }));
  for (const name of NAMES) await app.settled(name);
  for (const { project, ids } of made) for (const id of ids) project.removeBranch(id);
  for (const name of ["shop", "shop2"])
    await until(async () => (await source(name)).heldSince !== null, {
      what: `deletes of ${name} to be held`,
    });
}

test("a source that is not there is none with nothing held", async () => {
  const idle = await confirm("shop");
  expect([idle.code, idle.err]).toEqual([69, expect.stringContaining("No deletes are held there")]);
  expect((await confirm("shpo")).code).toBe(66);
});

test("deletes that are held go by the name of their source, and by its id", async () => {
  await holdDeletes();
  const named = await confirm("shop");
  expect([named.code, named.out, named.err]).toEqual([0, `Confirmed: ${NAMES.join(", ")}.\n`, ""]);
  await until(async () => (await source("shop")).heldSince === null, { what: "the branches to go" });

  const { id, heldSince } = await source("shop2");
  expect(heldSince).not.toBeNull();
  const byId = await confirm(id, "--json");
  expect([byId.code, byId.err]).toEqual([0, ""]);
  expect(JSON.parse(byId.out)).toMatchObject({ source: { id, name: "shop2" } });
});
