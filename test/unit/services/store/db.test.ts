/** What a connection pool promises beyond what its library does. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answered, type Database, type Db, openDatabase } from "../../../../services/store/db.ts";
import { createDatabase, type TestDatabase } from "../../../support/postgres.ts";
import { startStallingLine } from "../../../support/stalling.ts";

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

describe("a pool whose server fell silent", () => {
  const begin = async ({ db }: Database): Promise<unknown> =>
    await db.transaction(async (tx) => (await tx.execute(sql`select 1 as one`)).rows);

  test("has all its connections again when it speaks, though it never answered a `begin`", async () => {
    const line = await startStallingLine(created.url);
    const small = openDatabase({ url: line.url, max: 2, connectMs: 1_000, answerMs: 200 });
    await Promise.all([begin(small), begin(small)]);
    line.stall();
    const unanswered = await Promise.allSettled([begin(small), begin(small)]);
    expect(unanswered.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    line.thaw();
    expect(await begin(small)).toEqual([{ one: 1 }]);
    expect(await Promise.all([begin(small), begin(small), begin(small)])).toHaveLength(3);
    await small.close();
    await line.close();
  });

  test("gives nobody a connection whose transaction may still be open", async () => {
    const line = await startStallingLine(created.url);
    const small = openDatabase({ url: line.url, max: 1, connectMs: 1_000, answerMs: 200 });
    const session = async (db: Db): Promise<unknown> =>
      (await db.execute(sql`select pg_backend_pid() as pid`)).rows;
    let abandoned: unknown;
    const failing = small.db.transaction(async (tx) => {
      abandoned = await session(tx);
      line.stall();
      throw new Error("given up");
    });
    await expect(failing).rejects.toThrow();
    line.thaw();
    expect(await session(small.db)).not.toEqual(abandoned);
    await small.close();
    await line.close();
  });
});

describe("a transaction", () => {
  const isolation = async (db: Db): Promise<unknown> =>
    (await db.execute(sql`select current_setting('transaction_isolation') as level`)).rows;

  test("has the isolation that was asked for, and the next one on its connection has not", async () => {
    const strict = database.db.transaction(isolation, { isolationLevel: "repeatable read" });
    expect(await strict).toEqual([{ level: "repeatable read" }]);
    expect(await database.db.transaction(isolation)).toEqual([{ level: "read committed" }]);
  });

  test("inside of another ends alone when it fails, and with the other when that does", async () => {
    for (const outer of [database.db.transaction.bind(database.db), database.transaction]) {
      await database.db.execute(sql`create table kept (name text)`);
      const add = async (db: Db, name: string): Promise<void> => {
        await db.execute(sql`insert into kept values (${name})`);
      };
      const failing = async (db: Db): Promise<void> => {
        await add(db, "undone");
        throw new Error("given up");
      };
      await outer(async (tx: Db) => {
        await add(tx, "outer");
        await expect(tx.transaction(failing)).rejects.toThrow("given up");
        await tx.transaction(async (inner) => await add(inner, "inner"));
      });
      const undone = outer(async (tx: Db) => {
        await tx.transaction(async (inner) => await add(inner, "also undone"));
        await failing(tx);
      });
      await expect(undone).rejects.toThrow("given up");
      const { rows } = await database.db.execute(sql`select name from kept order by name`);
      expect(rows).toEqual([{ name: "inner" }, { name: "outer" }]);
      await database.db.execute(sql`drop table kept`);
    }
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
