import pg from "pg";
import { expect, test } from "vitest";
import { createDatabase } from "../../support/postgres.ts";

test("createDatabase() gives databases that do not see each other", async () => {
  const [one, other] = [await createDatabase(), await createDatabase()];
  const name = async (url: string) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query("SELECT current_database() AS name");
    await client.end();
    return rows[0].name as string;
  };
  expect(await name(one.url)).not.toBe(await name(other.url));
  await Promise.all([one.drop(), other.drop()]);
  await expect(name(one.url)).rejects.toThrow(/does not exist/);
});

test("createDatabase({ migrated: true }) copies a migrated template, also when several ask at once", async () => {
  const databases = await Promise.all([1, 2, 3].map(() => createDatabase({ migrated: true })));
  for (const { url, drop } of databases) {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const sql =
      "SELECT count(*)::int AS n FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    expect((await client.query(sql)).rows[0].n).toBeGreaterThan(5);
    await client.end();
    await drop();
  }
});
