import { type SQL, sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AuditEntry, recordAudit, verifyAudit } from "../../../../services/store/audit.ts";
import { type Database, openDatabase } from "../../../../services/store/db.ts";
import { createDatabase, type TestDatabase } from "../../../support/postgres.ts";

let created: TestDatabase;
let database: Database;

beforeAll(async () => {
  created = await createDatabase({ migrated: true });
  database = openDatabase({ url: created.url });
});
afterAll(async () => {
  await database.close();
  await created.drop();
});
beforeEach(async () => {
  await tamper(sql`truncate branchline.audit`);
});

/** As whoever owns the database can: with the guard out of the way. */
async function tamper(change: SQL): Promise<void> {
  await database.db.execute(sql`alter table branchline.audit disable trigger user`);
  await database.db.execute(change);
  await database.db.execute(sql`alter table branchline.audit enable trigger user`);
}

const entry = (n: number, over: Partial<AuditEntry> = {}): AuditEntry => ({
  actor: "admin token",
  action: "connection.reveal",
  object: `source/shop/branch/preview/${n}`,
  requestId: `request-${n}`,
  sourceAddress: "127.0.0.1",
  details: { role: "app", pooled: true, form: "url", count: n },
  ...over,
});

async function chain(length: number) {
  const heads = [];
  for (let n = 1; n <= length; n++) heads.push(await recordAudit(database.db, entry(n)));
  return heads;
}

describe("recordAudit()", () => {
  test("numbers rows without gaps and chains each to the one before", async () => {
    const heads = await chain(3);
    expect(heads.map((head) => head.seq)).toEqual([1, 2, 3]);
    const { rows } = await database.db.execute(sql`select previous, hash from branchline.audit order by seq`);
    expect(rows[0]).toMatchObject({ previous: "0".repeat(64), hash: heads[0]?.hash });
    expect(rows[2]).toMatchObject({ previous: heads[1]?.hash, hash: heads[2]?.hash });
  });

  test("makes one chain of what many write at once", async () => {
    await Promise.all(Array.from({ length: 25 }, (_, n) => recordAudit(database.db, entry(n))));
    expect(await verifyAudit(database.db)).toMatchObject({ ok: true, rows: 25 });
  });

  test("a transaction that is rolled back leaves no gap", async () => {
    await chain(1);
    const undone = database.db.transaction(async (tx) => {
      await recordAudit(tx, entry(2));
      throw new Error("undone");
    });
    await expect(undone).rejects.toThrow("undone");
    expect((await recordAudit(database.db, entry(3))).seq).toBe(2);
    expect(await verifyAudit(database.db)).toMatchObject({ ok: true, rows: 2 });
  });

  test.each([
    ["changed", sql`update branchline.audit set actor = 'someone' where seq = 1`],
    ["taken out", sql`delete from branchline.audit where seq = 1`],
    ["emptied", sql`truncate branchline.audit`],
  ])("what is there cannot be %s", async (_, change) => {
    await chain(2);
    await expect(database.db.execute(change)).rejects.toMatchObject({
      cause: { message: "the audit log only grows" },
    });
    expect(await verifyAudit(database.db)).toMatchObject({ ok: true, rows: 2 });
  });

  test("keeps text as it is, whatever it holds", async () => {
    const odd = { object: 'a "b" \\ ü\u2028', details: { z: null, a: "ü", pooled: false }, requestId: null };
    await recordAudit(database.db, entry(1, odd));
    expect(await verifyAudit(database.db)).toMatchObject({ ok: true });
  });
});

describe("verifyAudit()", () => {
  test("an empty log is whole", async () => {
    expect(await verifyAudit(database.db)).toEqual({ ok: true, rows: 0, head: null });
  });

  test.each([
    ["an actor", sql`update branchline.audit set actor = 'someone' where seq = 2`, "its content was changed"],
    [
      "a time",
      sql`update branchline.audit set at = at + interval '1 microsecond' where seq = 2`,
      "its content was changed",
    ],
    [
      "a detail",
      sql`update branchline.audit set details = details || '{"role": "other"}' where seq = 2`,
      "its content was changed",
    ],
  ])("finds %s that was altered", async (_, change, problem) => {
    await chain(3);
    await tamper(change);
    expect(await verifyAudit(database.db)).toEqual({ ok: false, seq: 2, problem });
  });

  test("finds a row that was taken out, also when the others were numbered anew", async () => {
    await chain(3);
    await tamper(sql`delete from branchline.audit where seq = 2`);
    expect(await verifyAudit(database.db)).toMatchObject({ ok: false, seq: 3 });
    await tamper(sql`update branchline.audit set seq = 2 where seq = 3`);
    expect(await verifyAudit(database.db)).toMatchObject({ ok: false, seq: 2 });
  });

  test("finds what was cut off at the end by a head that was noted", async () => {
    const [, second, third] = await chain(3);
    if (second === undefined || third === undefined) throw new Error("no chain");
    expect(await verifyAudit(database.db, second)).toMatchObject({ ok: true, head: third });
    await tamper(sql`delete from branchline.audit where seq = 3`);
    expect(await verifyAudit(database.db)).toMatchObject({ ok: true });
    expect(await verifyAudit(database.db, third)).toMatchObject({
      ok: false,
      problem: "rows are missing at the end",
    });
  });
});
