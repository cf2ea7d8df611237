/** Which rows are due, over all kinds of work: what the dispatcher asks. */
import { type SQL, sql } from "drizzle-orm";
import type { Db } from "./db.ts";

type Kind = "watch" | "reconcile" | "push" | "sweep";

/** Waiting in the queue for longer than this, a job is taken for lost and made anew. */
const QUEUED_MS = 30_000;
/** Rows of one kind that are put into the queue at once. */
const BATCH = 64;
/** Any number of our own: dispatchers of all processes take turns. */
const TURN = 810_127;

const free = sql`(queued_until is null or queued_until < now()) and (lease_until is null or lease_until < now())`;
const queue = sql`queued_until = now() + ${QUEUED_MS} * interval '1 ms'`;

/** Marks due rows as queued and returns their ids, the longest due first. */
export async function claimDue(db: Db, kind: Kind, sweepEveryMs: number): Promise<string[]> {
  return await db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${TURN})`);
    const { rows } = await tx.execute<{ id: string }>(claims(sweepEveryMs)[kind]);
    return rows.map((row) => row.id);
  });
}

const claims = (sweepEveryMs: number): Record<Kind, SQL> => ({
  watch: oldestFirst(sql`branchline.source`),
  reconcile: oldestFirst(sql`branchline.branch`),
  // Never more for one account than it takes at once, whoever runs them: a vendor that hangs holds its own
  // share and nobody else's.
  push: sql`
    with account as (
      select id, in_flight, coalesce(account, id::text) as name from branchline.destination
    ), busy as (
      select a.name, count(*) as n from branchline.place p join account a on a.id = p.destination_id
      where p.lease_until > now() or p.queued_until > now() group by a.name
    ), waiting as (
      select p.id, a.name, a.in_flight, row_number() over (partition by a.name order by p.due_at) as n
      from branchline.place p join account a on a.id = p.destination_id
      where p.due_at <= now() and ${free}
    ), picked as (
      select w.id from waiting w left join busy b on b.name = w.name
      where w.n + coalesce(b.n, 0) <= w.in_flight
      order by w.n limit ${BATCH}
    )
    update branchline.place t set ${queue} from picked where t.id = picked.id returning t.id`,
  // One place stands for all that its container's listing covers.
  sweep: sql`
    with picked as (
      select distinct destination_id, container from branchline.place where sweep_at <= now() limit ${BATCH}
    ), moved as (
      update branchline.place t
      set sweep_at = now() + (0.9 + random() * 0.2) * ${sweepEveryMs} * interval '1 ms'
      from picked where t.destination_id = picked.destination_id and t.container = picked.container
      returning t.id, t.destination_id, t.container
    )
    select min(id::text) as id from moved group by destination_id, container`,
});

const oldestFirst = (table: SQL): SQL => sql`
  update ${table} t set ${queue}
  from (
    select id from ${table} where due_at <= now() and ${free}
    order by due_at limit ${BATCH} for no key update skip locked
  ) picked where t.id = picked.id returning t.id`;

/** Milliseconds until something that nobody holds becomes due; null: nothing ever does. */
export async function nextDueInMs(db: Db): Promise<number | null> {
  const { rows } = await db.execute<{ ms: number | null }>(sql`
    select (extract(epoch from min(due_at) - now()) * 1000)::float8 as ms from (
      select min(due_at) as due_at from branchline.source where due_at > now()
      union all select min(due_at) from branchline.branch where due_at > now()
      union all select min(due_at) from branchline.place where due_at > now()
    ) soonest`);
  return rows[0]?.ms ?? null;
}
