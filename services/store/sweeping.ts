/**
 * Which containers are to be looked at. One that somebody looks at is put off for a while; if nothing came of that it is
 * due again then, and each time after twice as long.
 */
import { type SQL, sql } from "drizzle-orm";
import type { Container } from "./container.ts";
import { answered, type Database, type Db, withoutDeadlock } from "./db.ts";

/** A container that is ours to look at until then, by PostgreSQL's clock. */
export interface Sweep extends Container {
  /** Whoever shares the vendor's limits with it. */
  readonly account: string;
  readonly until: string;
}

export interface Wanted {
  /** Every container is looked at once in so long. */
  readonly spanMs: number;
  /** Containers of one account that this process has in hand at most. */
  readonly share: number;
  /** Those that it has, by destination. */
  readonly held: ReadonlyMap<string, number>;
  readonly most: number;
}

/** For so long nobody else looks, or for the whole span if that is less. */
const LEASE_MS = 5 * 60_000;
/** Due places of one destination that tell which of its containers are next: to look through all would cost more the more there are. */
const LOOKED_AT = 256;
/** Any number of our own: processes take turns, so that no two take the same. */
const TURN = 810_130;

/** Takes those that have waited longest, of each account in turn. */
export async function claimSweeps(
  { transaction }: Database,
  { spanMs, share, held, most }: Wanted,
): Promise<Sweep[]> {
  const mine = JSON.stringify(Object.fromEntries(held));
  return await withoutDeadlock(
    async () =>
      await transaction(async (tx) => {
        // No disk is waited for: a claim that a crash of the server forgets is made again.
        const turn = sql`select pg_advisory_xact_lock(${TURN}), set_config('synchronous_commit', 'off', true)`;
        const claim = sql`
          with account as (
            select id, coalesce(account, id::text) as name, coalesce((${mine}::jsonb ->> id::text)::int, 0) as held
            from branchline.destination
          ), room as (
            select name, ${share} - sum(held) as n from account group by name
          ), oldest as (
            select a.name, p.* from account a join room r on r.name = a.name and r.n > 0 cross join lateral (
              select destination_id, container, sweep_at, sweep_tries from branchline.place
              where destination_id = a.id and sweep_at <= now() order by sweep_at limit ${LOOKED_AT}
            ) p
          ), waiting as (
            select name, destination_id, container, min(sweep_at) as since, max(sweep_tries) as tries
            from oldest group by name, destination_id, container
          ), turns as (
            select *, row_number() over (partition by name order by since) as turn from waiting
          ), picked as (
            select t.*, now() + least(${spanMs}::float8, ${LEASE_MS} * 2.0 ^ least(t.tries, 20)) * interval '1 ms' as until
            from turns t join room r on r.name = t.name and t.turn <= r.n
            order by t.turn, t.since limit ${most}
          ), moved as (
            update branchline.place t set sweep_at = picked.until, sweep_tries = picked.tries + 1
            from picked where t.destination_id = picked.destination_id and t.container = picked.container
          )
          select name as account, destination_id as "destinationId", container, until::text from picked
          order by turn, since`;
        const [, { rows }] = await answered([
          tx.execute(turn),
          tx.execute<{ [K in keyof Sweep]: Sweep[K] }>(claim),
        ]);
        return rows;
      }),
  );
}

/** They have been looked at. A place that was asked for meanwhile stays due; one without names of ours is not looked at again. */
export async function finishSweeps(db: Db, sweeps: readonly Sweep[], spanMs: number): Promise<void> {
  const all = JSON.stringify(sweeps);
  await withoutDeadlock(
    async () =>
      await db.execute(sql`
        update branchline.place t
        set sweep_tries = 0, sweep_at = case when exists (select from branchline.ledger where place_id = t.id)
          then now() + (0.8 + random() * 0.2) * ${spanMs}::float8 * interval '1 ms' end
        from jsonb_to_recordset(${all}::jsonb) as done("destinationId" uuid, container text, until timestamptz)
        where t.destination_id = done."destinationId" and t.container = done.container and t.sweep_at = done.until`),
  );
}

/** Whether there is a container that nobody looks at although it is time. */
export const sweepsAreDue: SQL = sql`exists (
  select from branchline.destination d cross join lateral (
    select from branchline.place where destination_id = d.id and sweep_at <= now() limit 1) due)`;
