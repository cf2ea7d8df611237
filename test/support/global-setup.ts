import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { type Postgres, startPostgres } from "../../infra/postgres/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The server of this run; `createDatabase()` in postgres.ts gives a database on it. */
    postgresUrl: string;
  }
}

const root = fileURLToPath(new URL("../..", import.meta.url));
let server: Postgres | undefined;

/** One PostgreSQL per run, and dist/ up to date for the tests that start processes. */
export async function setup(project: TestProject): Promise<void> {
  const dataDir = join(root, ".branchline", "test");
  [server] = await Promise.all([startPostgres({ dataDir, mode: "ephemeral", fsync: false }), build()]);
  project.provide("postgresUrl", server.url);
}

export async function teardown(): Promise<void> {
  await server?.stop();
}

/** Types are the business of `npm run check`: here a complaint is shown, and what was emitted is used. */
function build(): Promise<void> {
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
  return new Promise((resolve) => {
    execFile(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root }, (error, stdout) => {
      if (error !== null) process.stderr.write(`dist/ was built with complaints:\n${stdout}\n`);
      resolve();
    });
  });
}
