/** The demo's world with a preview in it, and the command line at its API: for tests that ask as people do. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startWorld, type World } from "../../infra/demo/world.ts";
import { createLogger } from "../../services/log.ts";
import { type Ran, runCli } from "./cli.ts";
import { until } from "./until.ts";

/** A branch that was made in Neon a moment ago, with its git branch. */
export const PREVIEW = "preview/login";

export interface Shop {
  readonly world: World;
  run(...args: string[]): Promise<Ran>;
  // biome-ignore lint/suspicious/noExplicitAny: answers have many shapes, and a test that expects another one fails by it
  json(...args: string[]): Promise<any>;
  /** Waits until nothing is behind. */
  inStep(): Promise<void>;
  close(): Promise<void>;
}

export async function openShop(): Promise<Shop> {
  const folder = mkdtempSync(join(tmpdir(), "branchline-shop-"));
  const world = await startWorld({ log: createLogger({ level: "silent" }), folder, port: 0 });
  world.sandbox.vercel.state.addBranch("shop-web", "login");
  world.sandbox.neon.state.createBranch({ name: PREVIEW });
  const run: Shop["run"] = async (...args) =>
    await runCli(args, { env: { BRANCHLINE_URL: world.apiUrl, BRANCHLINE_TOKEN: world.adminToken } });
  const json: Shop["json"] = async (...args) => JSON.parse((await run(...args, "--json")).out);
  return {
    world,
    run,
    json,
    inStep: async () => {
      const what = { what: "everything to be in step", timeoutMs: 60_000 };
      await until(async () => (await json("status")).behind.length === 0, what);
    },
    close: async () => {
      await world.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
