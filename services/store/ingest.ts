/**
 * Takes in what webhooks say, many at a time: one statement, which is one transaction, writes the events and makes due
 * what they point at. When it returns, they are on disk. However many there are, it is two round trips.
 */
import { sql } from "drizzle-orm";
import { type Db, withoutDeadlock } from "./db.ts";
import type { EventOutcome } from "./event.ts";
import { marked } from "./trail.ts";
import { makingDue } from "./work.ts";

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
}

interface Resolved {
  readonly incoming: Incoming;
  readonly sourceIds: readonly string[];
  /** Branches that we know, by the source that they belong to. */
  readonly branchIds: ReadonlyMap<string, string>;
  readonly reason: string | null;
}

const keyOf = (one: { origin: string; deliveryId: string | null }): string =>
  `${one.origin}\n${one.deliveryId}`;

/** One answer per delivery, in order. */
export async function ingest(db: Db, batch: readonly Incoming[]): Promise<Taken[]> {
  if (batch.length === 0) return [];
  // Two batches that hold the same deliveries in another order would wait for each other.
  return await withoutDeadlock(async () => await take(db, batch));
}

async function take(db: Db, batch: readonly Incoming[]): Promise<Taken[]> {
  const there = await lookUp(db, batch);
  const known = new Map(there.known.map((row) => [keyOf(row), row]));
  const fresh = new Map<string, Resolved>();
  const again: Resolved[] = [];
  for (const incoming of batch) {
    const before = known.get(keyOf(incoming));
    if (before === undefined) fresh.set(keyOf(incoming), resolve(there, incoming));
    // Received but not handled: it counts anew, under the number it has.
    else if (before.outcome === "pending") again.push(resolve(there, incoming));
  }
  const ids = await write(db, [...fresh.values()], again);
  return batch.map((incoming): Taken => {
    const before = known.get(keyOf(incoming));
    const reason = fresh.get(keyOf(incoming))?.reason ?? null;
    const id = String(before?.id ?? ids.get(keyOf(incoming)) ?? 0);
    if (before === undefined) return { id, outcome: reason === null ? "accepted" : "ignored", reason };
    if (before.outcome === "pending") return { id, outcome: "accepted", reason: null };
    const outcome = before.outcome === "ignored" ? "ignored" : "duplicate";
    return { id, outcome, reason: "this delivery was handled before" };
  });
}

/** What the database knows of a batch. */
interface There {
  readonly known: readonly { origin: string; deliveryId: string; id: number; outcome: EventOutcome }[];
  readonly sources: readonly { id: string; name: string; project: string | null }[];
  readonly branches: readonly { id: string; sourceId: string; neonId: string }[];
}

async function lookUp(db: Db, batch: readonly Incoming[]): Promise<There> {
  const list = (texts: readonly string[]) => sql`${sql.param([...texts])}::text[]`;
  const origins = list(batch.map((one) => one.origin));
  const deliveries = list(batch.map((one) => one.deliveryId));
  const branches = list(batch.flatMap((one) => one.neonBranchId ?? []));
  const { rows } = await db.execute<{ there: There }>(sql`
    select jsonb_build_object(
      'known', (
        select coalesce(jsonb_agg(jsonb_build_object(
          'origin', asked.origin, 'deliveryId', asked.delivery, 'id', found.id, 'outcome', found.outcome)), '[]')
        from unnest(${origins}, ${deliveries}) as asked(origin, delivery)
        cross join lateral (
          select min(e.id) as id,
            case when bool_or(e.outcome = 'pending') then 'pending' else min(e.outcome) end as outcome
          from branchline.event e
          where e.origin = asked.origin and e.delivery_id = asked.delivery and e.delivery_id is not null
        ) found
        where found.id is not null
      ),
      'sources', (
        select coalesce(jsonb_agg(jsonb_build_object('id', id, 'name', name, 'project', block->>'project')), '[]')
        from branchline.source where removed_at is null
      ),
      'branches', (
        select coalesce(jsonb_agg(jsonb_build_object('id', id, 'sourceId', source_id, 'neonId', neon_id)), '[]')
        from branchline.branch where neon_id = any(${branches}) and gone_at is null
      )
    ) as there`);
  return rows[0]?.there ?? { known: [], sources: [], branches: [] };
}

function resolve({ sources, branches }: There, incoming: Incoming): Resolved {
  const nothing = (reason: string): Resolved => ({ incoming, sourceIds: [], branchIds: new Map(), reason });
  if (incoming.ignored !== null) return nothing(incoming.ignored);
  const meant = sources.filter((row) =>
    incoming.project === null ? incoming.sources.includes(row.name) : row.project === incoming.project,
  );
  if (meant.length === 0) {
    return nothing(
      incoming.project === null ? "no source is configured for it" : "no such project is configured",
    );
  }
  const sourceIds = meant.map((row) => row.id);
  if (incoming.neonBranchId === null) return { incoming, sourceIds, branchIds: new Map(), reason: null };
  const branchIds = new Map(
    branches
      .filter((row) => row.neonId === incoming.neonBranchId && sourceIds.includes(row.sourceId))
      .map((row) => [row.sourceId, row.id]),
  );
  if (branchIds.size === 0 && incoming.kind !== "branch.created") return nothing("no such branch is known");
  return { incoming, sourceIds, branchIds, reason: null };
}

/** One event per fresh delivery and source; the first one's id stands for the delivery. */
async function write(
  db: Db,
  fresh: readonly Resolved[],
  again: readonly Resolved[],
): Promise<Map<string, number>> {
  const all = [...fresh, ...again];
  if (all.length === 0) return new Map();
  const distinct = (ids: readonly string[]) => sql`${sql.param([...new Set(ids)])}::uuid[]`;
  const waking = all.filter(({ incoming }) => incoming.wakes).flatMap((one) => one.sourceIds);
  const { rows } = await db.execute<{ id: string; origin: string; deliveryId: string }>(sql`
    with written as (
      insert into branchline.event (origin, kind, delivery_id, source_id, branch_id, subject, outcome, reason)
      select * from jsonb_to_recordset(${JSON.stringify(fresh.flatMap(eventsOf))}::jsonb) as e(
        origin text, kind text, delivery text, source uuid, branch uuid, subject jsonb, outcome text, reason text)
      on conflict do nothing
      returning id, origin, delivery_id as "deliveryId"
    ),
    sources as (${makingDue("source", distinct(all.flatMap((one) => one.sourceIds)))}),
    branches as (${makingDue("branch", distinct(all.flatMap((one) => [...one.branchIds.values()])))}),
    parked as (
      select distinct b.place_id from branchline.binding b join branchline.rule r on r.id = b.rule_id
      where r.source_id = any(${distinct(waking)}) and b.code = 'target_missing' and b.state <> 'removed'
    ),
    places as (${makingDue("place", sql`array(select place_id from parked)`, 0, sql`, causes = ${marked(sql`t.causes`)}`)})
    select * from written order by id desc`);
  return new Map(rows.map((row) => [keyOf(row), Number(row.id)]));
}

const eventsOf = ({ incoming, sourceIds, branchIds, reason }: Resolved): object[] =>
  (sourceIds.length === 0 ? [null] : sourceIds).map((source) => ({
    origin: incoming.origin,
    kind: incoming.kind,
    delivery: incoming.deliveryId,
    source,
    branch: source === null ? null : (branchIds.get(source) ?? null),
    subject: incoming.subject,
    outcome: reason === null ? "pending" : "ignored",
    reason,
  }));
