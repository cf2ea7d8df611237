import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configure } from "../../../../services/store/configure.ts";
import { type Database, openDatabase } from "../../../../services/store/db.ts";
import { type Incoming, ingest } from "../../../../services/store/ingest.ts";
import { holdLease, type Lease, releaseLease, takeLeases } from "../../../../services/store/lease.ts";
import { incoming } from "../../../support/incoming.ts";
import { createDatabase, type TestDatabase } from "../../../support/postgres.ts";

let created: TestDatabase;
let database: Database;

beforeAll(async () => {
  created = await createDatabase({ migrated: true });
  database = openDatabase({ url: created.url, max: 12 });
  await configure(database.db, {
    sources: [{ name: "shop", kind: "memory", identity: "p1", block: { project: "p1" } }],
    destinations: [],
    rules: [],
  });
});

afterAll(async () => {
  await database.close();
  await created.drop();
});

const TIMES = { leaseMs: 30_000, settleMs: 15_000 };

/** The source's lease: it is due. */
async function lend(): Promise<Lease> {
  const { rows } = await database.db.execute<{ id: string }>(sql`select id from branchline.source`);
  const leases = await takeLeases(
    database.db,
    "source",
    rows.map(({ id }) => id),
    TIMES,
  );
  const [lease] = leases.values();
  if (lease === undefined) throw new Error("the source is due");
  return lease;
}

const many = (count: number): Incoming[] => Array.from({ length: count }, () => incoming());

describe("ingest()", () => {
  test("takes in many batches for one source at once, and none is refused for another's sake", async () => {
    const batches = Array.from({ length: 40 }, () => many(5));
    const taken = await Promise.all(batches.map(async (batch) => await ingest(database.db, batch)));
    expect(taken.flat().map(({ outcome }) => outcome)).toEqual(Array.from({ length: 200 }, () => "accepted"));
    const { rows } = await database.db.execute<{ n: number }>(
      sql`select count(*)::int as n from branchline.event`,
    );
    expect(rows[0]?.n).toBe(200);
  });

  test("takes in the same deliveries in two orders at once, each of them one time", async () => {
    const before = many(30);
    const twice = [before, before.toReversed()];
    const taken = await Promise.all(twice.map(async (batch) => await ingest(database.db, batch)));
    expect(taken.flat().every(({ outcome }) => outcome === "accepted")).toBe(true);
    const ids = before.map(({ deliveryId }) => deliveryId);
    const { rows } = await database.db.execute<{ n: number }>(
      sql`select count(*)::int as n from branchline.event where delivery_id = any(${sql.param(ids)}::text[])`,
    );
    expect(rows[0]?.n).toBe(30);
  });

  test.each([
    ["a hint waits for whoever looks next", "due_at = now(), revision = 7, watched_revision = 6", 7, true],
    [
      "it waits in the queue",
      "due_at = now(), revision = 7, watched_revision = 6, queued_until = now() + '1 min'",
      7,
      false,
    ],
    [
      "whoever had it may yet thaw",
      "due_at = now(), revision = 7, watched_revision = 6, lease_until = now() - interval '1 s'",
      8,
      true,
    ],
    [
      "somebody looks just now",
      "due_at = now(), revision = 7, watched_revision = 6, lease_until = now() + '1 min'",
      8,
      false,
    ],
    ["the next look would not be a whole one", "due_at = now(), revision = 7, watched_revision = 7", 8, true],
    ["nothing is due", "due_at = now() + '1 min', revision = 7, watched_revision = 6", 8, true],
  ])("tells a source only what nobody has told it: %s", async (_, state, revision, wakes) => {
    const rest = "lease_until = null, queued_until = null";
    await database.db.execute(sql.raw(`update branchline.source set ${rest}`));
    await database.db.execute(sql.raw(`update branchline.source set ${state}`));
    const [taken] = await ingest(database.db, many(1));
    expect(taken).toMatchObject({ outcome: "accepted", wakes });
    const { rows } = await database.db.execute(
      sql`select revision::int, due_at <= now() as due from branchline.source`,
    );
    expect(rows).toEqual([{ revision, due: true }]);
  });

  test("is looked at once more if somebody who was frozen when it came gives back what he had", async () => {
    await database.db.execute(sql`
      update branchline.source set lease_until = null, queued_until = null, due_at = now(), revision = 7, watched_revision = 6`);
    const lease = await lend();
    await database.db.execute(sql`update branchline.source set lease_until = now() - interval '1 s'`);
    await ingest(database.db, many(1));
    const later = { dueInMs: 3_600_000, attempts: 0, reason: null };
    expect(await releaseLease(database.db, lease, later)).toBe(true);
    const due = await database.db.execute(sql`select due_at <= now() as due from branchline.source`);
    expect(due.rows).toEqual([{ due: true }]);
  });

  test("does not wait for whoever works on the source, nor makes him wait", async () => {
    await database.db.execute(sql`update branchline.source set lease_until = null, due_at = now()`);
    const lease = await lend();
    await database.db.transaction(async (tx) => {
      await tx.execute(
        sql`insert into branchline.event (origin, kind, source_id) values ('watch', 'x', ${lease.id})`,
      );
      // The event's share of the source's key is held by now.
      expect(await holdLease(database.db, lease)).toBe(true);
    });
  });
});
