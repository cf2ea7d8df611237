/** An installation in processes of its own: a database, five vendors, a file, and any number of processes. */
import { randomBytes } from "node:crypto";
import { type Sandbox, startSandbox } from "../../infra/sandbox/index.ts";
import { createDatabase, type TestDatabase } from "./postgres.ts";
import { branchline, openPlace, type Place, type Running } from "./process.ts";
import { writeSandboxFile } from "./sandbox-file.ts";

export interface House {
  readonly place: Place;
  readonly sandbox: Sandbox;
  readonly database: TestDatabase;
  readonly env: Readonly<Record<string, string>>;
  serve(...args: string[]): Running;
  /** To be called when none of its processes runs any more. */
  close(): Promise<void>;
}

/** `also`: more of the environment of its processes. */
export async function openHouse(also: Readonly<Record<string, string>> = {}): Promise<House> {
  const place = openPlace();
  const [sandbox, database] = await Promise.all([startSandbox(), createDatabase({ migrated: true })]);
  const env = {
    ...place.env,
    ...writeSandboxFile({ sandbox, folder: place.cwd }),
    DATABASE_URL: database.url,
    BRANCHLINE_MASTER_KEY: randomBytes(32).toString("base64"),
    BRANCHLINE_ADMIN_TOKEN: randomBytes(24).toString("base64url"),
    PORT: "0",
    ...also,
  };
  return {
    place,
    sandbox,
    database,
    env,
    serve: (...args) => branchline(["serve", ...args], { cwd: place.cwd, env }),
    close: async () => {
      await sandbox.close();
      await database.drop();
      place.remove();
    },
  };
}

/** Where the API of a process listens, once it says so. */
export const apiOf = async (serving: Running): Promise<string> =>
  (await serving.says(/"api":"(http:[^"]+)"/))[1] ?? "";
