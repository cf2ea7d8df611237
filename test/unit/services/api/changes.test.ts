/** Whoever follows is told that it has begun, and hears of every change after that. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createChanges } from "../../../../services/api/changes.ts";
import { MemoryProject } from "../../../../services/sources/memory.ts";
import { type Db, openDatabase } from "../../../../services/store/db.ts";
import { ruleOf, startApp, type TestApp } from "../../../support/app.ts";
import { until } from "../../../support/until.ts";

let app: TestApp;

beforeAll(async () => {
  const project = new MemoryProject("p1");
  app = await startApp({
    projects: [project],
    destinations: { memory: {} },
    rules: [ruleOf({ name: "web" })],
    settings: { watchEveryMs: 60_000 },
  });
  project.addBranch("preview/x");
  await app.database.db.execute(sql`update branchline.source set due_at = now(), revision = revision + 1`);
  await app.settled("preview/x");
});
afterAll(async () => {
  await app.stop();
});

const cause = async (db: Db, text: string) =>
  await db.execute(sql`update branchline.binding set cause = ${text}, code = ${text}, since = now()`);

test("what is so before is no news, and it has not begun until that is known", async () => {
  const { transaction, close } = openDatabase({ url: app.databaseUrl, max: 1 });
  const changes = createChanges(app.database.db, { everyMs: 20 });
  const codes: (string | null)[] = [];
  let begun = false;
  let stop = (): void => {};
  await transaction(async (tx) => {
    await tx.execute(sql`lock table branchline.binding in access exclusive mode`);
    stop = changes.follow({
      since: null,
      limits: null,
      began: () => {
        begun = true;
      },
      take: ({ binding }) => void codes.push(binding.code),
      ended: () => {},
    });
    const waits = sql`select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
    await until(async () => (await tx.execute(waits)).rows.length > 0, { what: "it to look" });
    expect(begun).toBe(false);
    await cause(tx, "before");
  });
  await until(() => begun);
  await cause(app.database.db, "after");
  await until(() => codes.includes("after"));
  expect(codes).toEqual(["after"]);
  stop();
  changes.stop();
  await close();
});
