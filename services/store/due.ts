/** Which rows are due, over all kinds of work: what the dispatcher asks. */
import { type SQL, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { sweepsAreDue } from "./sweeping.ts";

type Kind = "watch" | "reconcile" | "push";

/** Waiting in the queue for longer than this, a job is taken for lost and made anew. */
const QUEUED_MS = 30_000;
/** Rows of one kind that are put into the queue at once. */
const BATCH = 64;
/** Due places of an account that tell which are next: mostly enough, and to rank all would cost more the more there are. */
const LOOKED_AT = 256;
/** Any number of our own: dispatchers of all processes take turns. */
const TURN = 810_127;

/** A number of our own, written into the statement: what has no parameters may go with others in one round trip. */
const number = (n: number): SQL => sql.raw(String(Math.round(n)));
const free = sql`(queued_until is null or queued_until < now()) and (lease_until is null or lease_until < now())`;
const queue = sql`queued_until = now() + ${number(QUEUED_MS)} * interval '1 ms'`;

/** A mark that a crash of the server forgets is made again: nobody waits for its disk. */
const withoutDisk = sql`set_config('synchronous_commit', 'off', true)`;

/** What the dispatcher has to know before it does anything. */
export interface Due {
  /** Rows of kinds that need no more thought, marked as queued already. */
  readonly claimed: ReadonlyMap<Kind, readonly string[]>;
  /** The other kinds of which there are due rows that nobody has. */
  readonly kinds: readonly Kind[];
  /** There are containers to look at. */
  readonly sweeps: boolean;
  /** Milliseconds until another row becomes due; null: none ever does. */
  readonly nextInMs: number | null;
}

/** One statement, since it is asked after every commit and mostly finds little. */
export async function takeDue(db: Db): Promise<Due> {
  const next = (table: SQL): SQL => sql`(select min(due_at) from ${table} where due_at > now())`;
  const [source, branch, place] = [sql`branchline.source`, sql`branchline.branch`, sql`branchline.place`];
  const { rows } = await db.execute<{
    watch: string[];
    reconcile: string[];
    push: boolean;
    sweeps: boolean;
    next: number | null;
  }>(sql`
    with watch as (${oldestFirst(source)}), reconcile as (${oldestFirst(branch)})
    select ${withoutDisk}, array(select id from watch) as watch, array(select id from reconcile) as reconcile,
      exists (select from ${place} where due_at <= now() and ${free}) as push,
      ${sweepsAreDue} as sweeps,
      (extract(epoch from least(${next(source)}, ${next(branch)}, ${next(place)}) - now()) * 1000)::float8 as next`);
  const { watch = [], reconcile = [], push = false, sweeps = false, next: nextInMs = null } = rows[0] ?? {};
  const claimed = Object.entries({ watch, reconcile }).filter(([, ids]) => ids.length > 0);
  return {
    claimed: new Map(claimed as [Kind, string[]][]),
    kinds: push ? ["push"] : [],
    sweeps,
    nextInMs,
  };
}

/** Marks due rows as queued and returns their ids, the longest due first. */
export async function claimDue(db: Db, kind: Kind): Promise<string[]> {
  const claim = CLAIMS[kind];
  // Where shares are counted, dispatchers take turns; else rows that another one is just taking are skipped. Several
  // statements without parameters are one round trip and one transaction.
  const answered: unknown = await db.execute(
    kind === "push" ? sql`select pg_advisory_xact_lock(${number(TURN)}), ${withoutDisk}; ${claim}` : claim,
  );
  const results = (Array.isArray(answered) ? answered : [answered]) as { rows: { id: string }[] }[];
  return (results.at(-1)?.rows ?? []).map((row) => row.id);
}

const oldestFirst = (table: SQL): SQL => sql`
  update ${table} t set ${queue}
  from (
    select id from ${table} where due_at <= now() and ${free}
    order by due_at limit ${number(BATCH)} for no key update skip locked
  ) picked where t.id = picked.id returning t.id`;

const branchOf = (place: SQL): SQL =>
  sql`coalesce((select branch_id from branchline.binding where place_id = ${place} limit 1), ${place})`;

const CLAIMS: Readonly<Record<Kind, SQL>> = {
  watch: oldestFirst(sql`branchline.source`),
  reconcile: oldestFirst(sql`branchline.branch`),
  // Never more for one account than it takes at once, whoever runs them: a vendor that hangs holds its own
  // share and nobody else's.
  push: sql`
    with account as (
      select id, in_flight, coalesce(account, id::text) as name from branchline.destination
    ), under_way as (
      select a.name, ${branchOf(sql`p.id`)} as branch, count(*) as n
      from branchline.place p join account a on a.id = p.destination_id
      where p.lease_until > now() or p.queued_until > now() group by 1, 2
    ), busy as (
      select name, sum(n) as n from under_way group by name
    ), room as (
      select a.*, a.in_flight - coalesce(b.n, 0) as room
      from account a left join busy b on b.name = a.name where a.in_flight > coalesce(b.n, 0)
    ), oldest as (
      select r.name, r.in_flight, r.room, p.*, row_number() over (partition by r.name order by p.due_at) as nth
      from room r cross join lateral (
        -- As pairs: with an equation PostgreSQL may rather go through what is due of all destinations.
        select id, due_at from branchline.place
        where (destination_id, due_at) >= (r.id, '-infinity') and (destination_id, due_at) <= (r.id, now())
          and due_at is not null and ${free}
        order by destination_id, due_at limit ${number(LOOKED_AT)}
      ) p
    ), ahead as (
      select o.name, o.in_flight, o.room, o.id, o.due_at, b.branch, coalesce(u.n, 0) as mine
      from oldest o cross join lateral (select ${branchOf(sql`o.id`)} as branch) b
      left join under_way u on u.name = o.name and u.branch = b.branch where o.nth <= ${number(LOOKED_AT)}
    ), crowded as (
      -- Of so few branches that have nothing under way that others have to be looked for behind them.
      select name, array_agg(distinct branch) as branches from ahead group by name
      having count(*) = ${number(LOOKED_AT)} and count(distinct branch) filter (where mine = 0) < max(room)
    ), behind as (
      select r.name, r.in_flight, r.room, p.id, p.due_at, b.branch, coalesce(u.n, 0) as mine
      from crowded c join room r on r.name = c.name join branchline.place p on p.destination_id = r.id
      cross join lateral (select ${branchOf(sql`p.id`)} as branch) b
      left join under_way u on u.name = r.name and u.branch = b.branch
      where p.due_at <= now() and ${free} and p.id <> all(c.branches) and not exists (
        select from branchline.binding where place_id = p.id and branch_id = any(c.branches)
      )
    ), turns as (
      -- A branch with many places has one of them pushed for each of another branch's; those under way have had theirs.
      select id, name, in_flight, room, due_at,
        mine + row_number() over (partition by name, branch order by due_at) as turn
      from (select * from ahead union all select * from behind) both_ends
    ), waiting as (
      select id, in_flight, room, row_number() over (partition by name order by turn, due_at) as n from turns
    ), picked as (
      select id, n, in_flight from waiting where n <= room order by n limit ${number(BATCH)}
    ), claimed as (
      -- By their ids alone: joined with what was picked, all places would be read for a few.
      update branchline.place set ${queue} where id = any(array(select id from picked)) returning id
    )
    -- Who may have most under way has the longest way to go: of those whose turn it is he begins first.
    select id from picked join claimed using (id) order by n, in_flight desc`,
};
