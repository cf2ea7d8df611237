/**
 * Takes in what webhooks say, many at a time: one statement, which is one transaction and one round trip, finds out
 * what they point at, writes the events and makes that due. When it returns, they are on disk.
 */
import { type SQL, sql } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import { type Db, withoutDeadlock } from "./db.ts";
import type { EventOutcome } from "./event.ts";
import { wakingPlaces } from "./waiting.ts";
import { isFree, makingDue } from "./work.ts";

/** One delivery, worked out as far as it goes without the database. */
export interface Incoming {
  readonly origin: string;
  readonly deliveryId: string;
  readonly kind: string;
  /** Names of sources that it points at. */
  readonly sources: readonly string[];
  /** Or the project that it points at, in the vendor's terms. */
  readonly project: string | null;
  /** A branch of that project; null: all of it. */
  readonly neonBranchId: string | null;
  /** A git branch may have appeared: wake what waits for one. */
  readonly wakes: boolean;
  readonly subject: Readonly<Record<string, string>>;
  /** Set: it is only recorded. */
  readonly ignored: string | null;
}

export interface Taken {
  readonly id: string;
  readonly outcome: "accepted" | "duplicate" | "ignored";
  readonly reason: string | null;
  /** It made something due that nobody has in hand: somebody should look now. */
  readonly wakes: boolean;
}

/** How often a delivery that two processes take in at once is looked for. */
const MOST_TRIES = 3;

/** One answer per delivery, in order. */
export async function ingest(db: Db, batch: readonly Incoming[], tries = MOST_TRIES): Promise<Taken[]> {
  if (batch.length === 0) return [];
  // Two batches that hold the same deliveries in another order would wait for each other.
  const rows = await withoutDeadlock(async () => (await db.execute<Row>(taking(batch))).rows);
  const found = new Map(rows.map((row) => [row.n, row]));
  // Somebody else wrote it while we did: it is there by now.
  const raced = batch.filter((_, n) => found.get(n)?.id == null);
  const again = raced.length > 0 && tries > 1 ? await ingest(db, raced, tries - 1) : [];
  return batch.map((incoming, n) => {
    const row = found.get(n);
    return row?.id == null ? (again[raced.indexOf(incoming)] ?? unknown) : takenFrom(row);
  });
}

const unknown: Taken = { id: "0", outcome: "accepted", reason: null, wakes: true };

/** What became of one delivery. */
type Row = {
  readonly n: number;
  /** Null: another process has just written it, and we do not see that yet. */
  readonly id: string | null;
  /** What had become of it before; null: it is new. */
  readonly before: EventOutcome | null;
  readonly reason: string | null;
  readonly wakes: boolean;
};

function takenFrom({ id, before, reason, wakes }: Row): Taken {
  const told = { id: String(id), wakes };
  if (before === null) return { ...told, outcome: reason === null ? "accepted" : "ignored", reason };
  // Received but not handled: it counts anew, under the number it has.
  if (before === "pending") return { ...told, outcome: "accepted", reason: null };
  const outcome = before === "ignored" ? "ignored" : "duplicate";
  return { ...told, outcome, reason: "this delivery was handled before" };
}

function taking(batch: readonly Incoming[]): SQL {
  const asked = JSON.stringify(batch.map((one, n) => ({ n, ...one })));
  return sql`${BEFORE}${asked}${AFTER}`;
}

/** One event per fresh delivery and source; the first one's id stands for the delivery. */
const TAKING = sql`
    with asked as materialized (
      select * from jsonb_to_recordset(${sql.placeholder("asked")}::jsonb) as a(
        n int, origin text, kind text, "deliveryId" text, sources jsonb, project text, "neonBranchId" text,
        wakes boolean, subject jsonb, ignored text)
    ),
    known as (
      -- One look into the index each, whatever the planner thinks of the table's size.
      select a.n, found.id, found.outcome from asked a cross join lateral (
        select min(e.id) as id,
          case when bool_or(e.outcome = 'pending') then 'pending' else min(e.outcome) end as outcome
        from branchline.event e
        where e.origin = a.origin and e.delivery_id = a."deliveryId" and e.delivery_id is not null
      ) found
      where found.id is not null
    ),
    meant as (
      select a.n, s.id as source from asked a join branchline.source s on s.removed_at is null and case
        when a.project is null then a.sources ? s.name else s.block->>'project' = a.project end
      where a.ignored is null
    ),
    pointed as (
      select a.n, m.source, b.id as branch from asked a
      join meant m on m.n = a.n
      join branchline.branch b on b.neon_id = a."neonBranchId" and b.source_id = m.source and b.gone_at is null
    ),
    judged as (
      select a.*, k.id as known, k.outcome as before, case
        when a.ignored is not null then a.ignored
        when not exists (select from meant m where m.n = a.n) then
          case when a.project is null then 'no source is configured for it' else 'no such project is configured' end
        when a."neonBranchId" is not null and a.kind <> 'branch.created'
          and not exists (select from pointed p where p.n = a.n) then 'no such branch is known' end as reason
      from asked a left join known k on k.n = a.n
    ),
    written as (
      insert into branchline.event (origin, kind, delivery_id, source_id, branch_id, subject, outcome, reason)
      select f.origin, f.kind, f."deliveryId", m.source, p.branch, f.subject,
        case when f.reason is null then 'pending' else 'ignored' end, f.reason
      from (select distinct on (origin, "deliveryId") * from judged where known is null
        order by origin, "deliveryId", n) f
      left join meant m on m.n = f.n and f.reason is null
      left join pointed p on p.n = m.n and p.source = m.source
      order by f.n
      on conflict do nothing
      returning id, origin, delivery_id
    ),
    told as (
      select n, wakes from judged where reason is null and (before is null or before = 'pending')
    ),
    hinted as (
      select distinct m.source from meant m join told t on t.n = m.n
    ),
    waiting as (
      -- A hint at it waits already, for somebody who begins to look later than now: there is nothing to add. Whoever has let
      -- his lease lapse may yet thaw and give it back, with what he read before.
      select s.id, ${isFree("s")} as free from branchline.source s join hinted h on h.source = s.id
      where s.due_at <= now() and s.revision <> s.watched_revision and s.lease_until is null
    ),
    sources as (
      ${makingDue("source", sql`array(select source from hinted except select id from waiting)`)}
      returning t.id, ${isFree("locked")} as free
    ),
    branches as (
      ${makingDue("branch", sql`array(select distinct p.branch from pointed p join told t on t.n = p.n)`)}
      returning t.id, ${isFree("locked")} as free
    ),
    places as (
      ${wakingPlaces(sql`select m.source from meant m join told t on t.n = m.n where t.wakes`)}
      returning t.id, ${isFree("locked")} as free
    ),
    woken as (
      select bool_or(free) as free from (
        select free from waiting union all select free from sources union all select free from branches union all select free from places) made_due
    )
    select j.n, j.before, j.reason,
      coalesce(j.known, (select min(w.id) from written w
        where w.origin = j.origin and w.delivery_id = j."deliveryId")) as id,
      coalesce((select free from woken), false) as wakes
    from judged j`;

/** Put together once: it is the same text each time, around what is asked. */
const [BEFORE, AFTER] = new PgDialect()
  .sqlToQuery(TAKING)
  .sql.split("$1")
  .map((text) => sql.raw(text));
