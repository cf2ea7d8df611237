/** A webhook wakes what is parked for a target that was missing: without reading ten thousand bindings for it. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Database, openDatabase } from "../../../../services/store/db.ts";
import { eventById, lastEventId, reopenEvent } from "../../../../services/store/event.ts";
import { ingest } from "../../../../services/store/ingest.ts";
import { incoming } from "../../../support/incoming.ts";
import { createDatabase, type TestDatabase } from "../../../support/postgres.ts";

let created: TestDatabase;
let database: Database;

beforeAll(async () => {
  created = await createDatabase({ migrated: true });
  // One session: what it has read is counted when it says so.
  database = openDatabase({ url: created.url, max: 1 });
  await database.db.execute(sql.raw(FILL));
});

afterAll(async () => {
  await database.close();
  await created.drop();
});

const FILL = `
  insert into branchline.source (name, kind, identity, block) values ('shop', 'memory', 'p1', '{}');
  insert into branchline.destination (name, kind, block, in_flight) values ('memory', 'memory', '{}', 4);
  insert into branchline.rule (name, source_id, destination_id, definition, revision)
    select 'rule' || n, s.id, d.id, '{}', 1
    from generate_series(1, 4) n, branchline.source s, branchline.destination d;
  insert into branchline.branch
    (source_id, neon_id, name, is_default, is_protected, state, annotations, neon_created_at, facts)
    select s.id, 'br-' || n, 'preview/' || n, false, false, 'ready', '{}', now(), ''
    from generate_series(1, 2500) n, branchline.source s;
  insert into branchline.place (destination_id, key, container, target)
    select d.id, 'place' || n, 'c', '{}' from generate_series(1, 10000) n, branchline.destination d;
  insert into branchline.binding (rule_id, branch_id, place_id, state, code)
    select r.id, b.id, p.id, case when p.n <= 3 then 'parked' else 'synced' end,
      case when p.n <= 3 then 'target_missing' end
    from (select id, row_number() over (order by id) as n from branchline.place) p
    join (select id, row_number() over (order by id) as n from branchline.branch) b on b.n = (p.n - 1) / 4 + 1
    join (select id, row_number() over (order by id) as n from branchline.rule) r on r.n = (p.n - 1) % 4 + 1;
  analyze;`;

async function bindingsRead(): Promise<number> {
  await database.db.execute(sql`select pg_stat_force_next_flush()`);
  const { rows } = await database.db.execute<{ n: string }>(sql`
    select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as n from pg_stat_user_tables
    where schemaname = 'branchline' and relname = 'binding'`);
  return Number(rows[0]?.n ?? 0);
}

async function due(): Promise<number> {
  const { rows } = await database.db.execute<{ n: number }>(
    sql`select count(*)::int as n from branchline.place where due_at is not null`,
  );
  return rows[0]?.n ?? 0;
}

test("of 10,000 bindings it reads those that it wakes", async () => {
  const before = await bindingsRead();
  await ingest(database.db, [incoming({ subject: {} })]);
  expect((await bindingsRead()) - before).toBeLessThan(10);
  expect(await due()).toBe(3);
});

test("delivered again, it wakes them again", async () => {
  await database.db.execute(sql`update branchline.place set due_at = null`);
  const event = await eventById(database.db, await lastEventId(database.db));
  expect(await reopenEvent(database.db, event ?? expect.unreachable(), [])).toBe(true);
  expect(await due()).toBe(3);
});
