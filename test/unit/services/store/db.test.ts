/** What a connection pool promises beyond what its library does. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answered, type Database, openDatabase } from "../../../../services/store/db.ts";
import { createDatabase, type TestDatabase } from "../../../support/postgres.ts";

let created: TestDatabase;
let database: Database;

beforeAll(async () => {
  created = await createDatabase();
  // Who does not give it back leaves none.
  database = openDatabase({ url: created.url, max: 1 });
});

afterAll(async () => {
  await database.close();
  await created.drop();
});

const one = async (): Promise<unknown> => (await database.db.execute(sql`select 1 as one`)).rows;
const SLEEP_MS = 12_000;

describe("a connection", () => {
  test("is everybody's again after what was asked together, in its order", async () => {
    const both = await database.together(
      async (db) =>
        await Promise.all([db.execute(sql`select 1 as n`), db.execute(sql`select ${2}::int as n`)]),
    );
    expect(both.map(({ rows }) => rows)).toEqual([[{ n: 1 }], [{ n: 2 }]]);
    expect(await one()).toEqual([{ one: 1 }]);
  });

  test("is nobody's again while something is under way that its holder no longer waits for", async () => {
    const from = performance.now();
    const failing = database.together(async (db) => {
      db.execute(sql`select pg_sleep(${SLEEP_MS / 1_000})`).catch(() => undefined);
      throw new Error("given up");
    });
    await expect(failing).rejects.toThrow("given up");
    expect(await one()).toEqual([{ one: 1 }]);
    expect(performance.now() - from).toBeLessThan(SLEEP_MS);
  });

  test("that is cut off in a transaction is replaced, also by its very first word", async () => {
    const cut = database.transaction(async (tx) => {
      await tx.execute(sql`select pg_terminate_backend(pg_backend_pid())`);
    });
    await expect(cut).rejects.toThrow();
    expect(await database.transaction(async (tx) => (await tx.execute(sql`select 1 as one`)).rows)).toEqual([
      { one: 1 },
    ]);
    expect(await one()).toEqual([{ one: 1 }]);
  });
});

describe("what is asked at once", () => {
  test("throws what the first of them threw, and not before all are answered", async () => {
    const ended: string[] = [];
    const turn = async (turns: number, name: string, fails: boolean): Promise<string> => {
      for (let n = 0; n < turns; n++) await Promise.resolve();
      ended.push(name);
      if (fails) throw new Error(name);
      return name;
    };
    const asked = answered([turn(9, "slow", true), turn(1, "quick", true), turn(20, "fine", false)]);
    await expect(asked).rejects.toThrow("slow");
    expect(ended).toEqual(["quick", "slow", "fine"]);
    expect(await answered([turn(2, "a", false), null, turn(1, "b", false)])).toEqual(["a", null, "b"]);
  });
});
