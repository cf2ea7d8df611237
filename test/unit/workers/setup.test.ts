/** State that finds itself in another database than it was made in writes nothing until somebody says that it may. */
import { sql } from "drizzle-orm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createLogger } from "../../../services/log.ts";
import { openDatabase } from "../../../services/store/db.ts";
import { installationRow, resumeAll } from "../../../services/store/installation.ts";
import { Secret } from "../../../services/sync/secret.ts";
import { DEFAULT_SETTINGS } from "../../../workers/runtime.ts";
import { setup } from "../../../workers/setup.ts";
import { createDatabase, type TestDatabase } from "../../support/postgres.ts";

let created: TestDatabase;
beforeEach(async () => {
  created = await createDatabase({ migrated: true });
});
afterEach(async () => await created.drop());

/** A process starts; whether the installation writes then. `meanwhile`: said to the database first. */
async function started(meanwhile = "select 1"): Promise<{ suspended: boolean; why: string | null }> {
  const before = openDatabase({ url: created.url, max: 1 });
  await before.db.execute(sql.raw(meanwhile));
  await before.close();
  const database = openDatabase({ url: created.url, max: 1 });
  try {
    await setup({
      database,
      masterKey: new Uint8Array(32).fill(7),
      sources: new Map(),
      destinations: new Map(),
      resolve: () => new Secret("unused"),
      settings: DEFAULT_SETTINGS,
      log: createLogger({ level: "silent" }),
    });
    const { suspendedAt, suspendedWhy } = await installationRow(database.db);
    return { suspended: suspendedAt !== null, why: suspendedWhy };
  } finally {
    await database.close();
  }
}

const name = (): string => new URL(created.url).pathname.slice(1);
const WRITES = { suspended: false, why: null };
const COPY = { suspended: true, why: expect.stringContaining("it is a copy or was restored") };

test("where it was made it writes, however often it starts", async () => {
  expect([await started(), await started()]).toEqual([WRITES, WRITES]);
});

test.each([
  ["on another server", () => "update branchline.installation set identity = 'another/' || identity"],
  ["in a branch that Neon made of it", () => `alter database "${name()}" set neon.timeline_id = '0af1'`],
])("%s it does not, until somebody says that this is the one", async (_, copied) => {
  expect(await started()).toEqual(WRITES);
  expect(await started(copied())).toEqual(COPY);
  expect(await started()).toEqual(COPY);
  const database = openDatabase({ url: created.url, max: 1 });
  await resumeAll(database.db);
  await database.close();
  expect(await started()).toEqual(WRITES);
});
