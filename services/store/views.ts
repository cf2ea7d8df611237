/** What people see of the state, page by page. Ids, names and states; there are no values to show. */
import { type SQL, sql } from "drizzle-orm";
import type { Code } from "../sync/errors.ts";
import type { BindingState } from "../sync/model.ts";
import type { Db } from "./db.ts";
import type { EventOutcome } from "./event.ts";
import { countsOf, seesBinding, seesBranch, seesEvent, seesSource, type Visible } from "./visible.ts";

export interface PageQuery<Filter> {
  readonly limit: number;
  /** Id of the last item of the page before; null: the first page. */
  readonly after: string | null;
  readonly filter: Filter;
  /** Left out or null: all. */
  readonly visible?: Visible | null;
}

export interface PageOf<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

export type Text = string | undefined;

/** One query that serves both the list and the look at one: rows of `select` in a total order by `id`. */
export async function page<Row extends { id: string }>(
  db: Db,
  select: SQL,
  where: readonly (SQL | null)[],
  query: { limit: number; after: SQL | null; order: SQL },
): Promise<PageOf<Row>> {
  const conditions = [sql`true`, ...where, query.after].filter((part) => part !== null);
  const result = await db.execute(
    sql`${select} where ${sql.join(conditions, sql` and `)} order by ${query.order} limit ${query.limit + 1}`,
  );
  // The select above it is what gives the rows this shape.
  const rows = result.rows as unknown as Row[];
  const items = rows.slice(0, query.limit);
  return { items, next: rows.length > query.limit ? (items.at(-1)?.id ?? null) : null };
}

export const is = (column: SQL, value: Text): SQL | null =>
  value === undefined ? null : sql`${column} = ${value}`;
export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

// ---------------------------------------------------------------- sources

export interface SourceItem {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly identity: string;
  readonly branches: number;
  readonly listedAt: string | null;
  readonly heldSince: string | null;
  readonly code: Code | null;
  readonly cause: string | null;
  readonly next: string | null;
}

const ISO = `YYYY-MM-DD"T"HH24:MI:SS.MS"Z"`;
export const iso = (column: SQL): SQL => sql`to_char(${column} at time zone 'utc', ${sql.raw(`'${ISO}'`)})`;

const selectSource = (visible: Visible | null): SQL => sql`
  select s.id, s.name, s.kind, s.identity,
    (select count(*)::int from branchline.branch b
      where b.source_id = s.id and b.gone_at is null and ${seesBranch(visible)}) as branches,
    ${iso(sql`s.listed_at`)} as "listedAt", ${iso(sql`s.held_since`)} as "heldSince", s.code, s.cause, s.next
  from branchline.source s`;

export async function listSources(
  db: Db,
  { limit, after, filter, visible = null }: PageQuery<{ name?: Text; kind?: Text }>,
): Promise<PageOf<SourceItem> | null> {
  if (after !== null && !UUID.test(after)) return null;
  return await page<SourceItem>(
    db,
    selectSource(visible),
    [
      sql`s.removed_at is null`,
      seesSource(visible),
      is(sql`s.name`, filter.name),
      is(sql`s.kind`, filter.kind),
    ],
    { limit, after: after === null ? null : sql`s.id > ${after}::uuid`, order: sql`s.id` },
  );
}

/** By id or name. */
export async function getSource(
  db: Db,
  idOrName: string,
  visible: Visible | null = null,
): Promise<SourceItem | null> {
  const which = sql`(s.id::text = ${idOrName} or s.name = ${idOrName}) and ${seesSource(visible)}`;
  const found = await page<SourceItem>(db, selectSource(visible), [sql`s.removed_at is null`, which], {
    limit: 1,
    after: null,
    order: sql`s.id::text = ${idOrName} desc, s.id`,
  });
  return found.items[0] ?? null;
}

// ---------------------------------------------------------------- branches

export interface BranchItem {
  readonly id: string;
  readonly source: string;
  readonly name: string;
  readonly neonId: string;
  readonly default: boolean;
  readonly protected: boolean;
  readonly state: string;
  readonly heldUntil: string | null;
  readonly heldReason: string | null;
  readonly bindings: Partial<Record<BindingState, number>>;
}

const selectBranch = (visible: Visible | null): SQL => sql`
  select b.id, s.name as source, b.name, b.neon_id as "neonId", b.is_default as "default",
    b.is_protected as "protected", case when b.gone_at is null then b.state else 'gone' end as state,
    case when b.held_until > now() then ${iso(sql`b.held_until`)} end as "heldUntil",
    case when b.held_until > now() then b.held_reason end as "heldReason",
    ${countsOf(sql`cn.branch_id = outer_branch.id`, visible)} as bindings
  from branchline.branch b join branchline.branch outer_branch on outer_branch.id = b.id
  join branchline.source s on s.id = b.source_id`;

export async function listBranches(
  db: Db,
  { limit, after, filter, visible = null }: PageQuery<{ source?: Text; state?: Text; name?: Text }>,
): Promise<PageOf<BranchItem> | null> {
  if (after !== null && !UUID.test(after)) return null;
  const state = filter.state;
  const states =
    state === undefined
      ? null
      : state === "gone"
        ? sql`b.gone_at is not null`
        : sql`b.gone_at is null and b.state = ${state}`;
  return await page<BranchItem>(
    db,
    selectBranch(visible),
    [seesBranch(visible), is(sql`s.name`, filter.source), is(sql`b.name`, filter.name), states],
    { limit, after: after === null ? null : sql`b.id > ${after}::uuid`, order: sql`b.id` },
  );
}

export async function getBranch(
  db: Db,
  id: string,
  visible: Visible | null = null,
): Promise<BranchItem | null> {
  const found = await page<BranchItem>(db, selectBranch(visible), [sql`b.id = ${id}`, seesBranch(visible)], {
    limit: 1,
    after: null,
    order: sql`b.id`,
  });
  return found.items[0] ?? null;
}

// ---------------------------------------------------------------- bindings

export interface BindingItem {
  readonly id: string;
  readonly rule: string;
  readonly branch: { readonly id: string; readonly name: string };
  readonly destination: string;
  readonly target: string | null;
  /** What consumers name the place by, where the vendor has a name of its own for it: an ARN. */
  readonly reference: string | null;
  readonly state: BindingState;
  readonly since: string;
  readonly wanted: number;
  readonly applied: number;
  readonly generation: number | null;
  readonly code: Code | null;
  readonly cause: string | null;
  readonly next: string | null;
  readonly warning: string | null;
  readonly names: readonly string[];
}

const selectBinding = sql`
  select n.id, r.name as rule, jsonb_build_object('id', b.id, 'name', b.name) as branch,
    d.name as destination, p.key as target, p.reference, n.state, ${iso(sql`n.since`)} as since,
    n.wanted::int as wanted, n.applied::int as applied,
    (select case when count(*) = 1 then max(l.generation)::int end
     from branchline.login l where l.id in (select value::uuid from jsonb_each_text(n.logins))) as generation,
    n.code, n.cause, n.next, n.warning,
    coalesce((select jsonb_agg(l.name order by l.name) from branchline.ledger l where l.binding_id = n.id),
      '[]'::jsonb) as names
  from branchline.binding n
  join branchline.rule r on r.id = n.rule_id
  join branchline.branch b on b.id = n.branch_id
  join branchline.source s on s.id = b.source_id
  join branchline.destination d on d.id = r.destination_id
  left join branchline.place p on p.id = n.place_id`;

export interface BindingFilter {
  readonly source?: Text;
  readonly rule?: Text;
  readonly destination?: Text;
  readonly branch?: Text;
  readonly state?: Text;
  readonly code?: Text;
}

export async function listBindings(
  db: Db,
  { limit, after, filter, visible = null }: PageQuery<BindingFilter>,
): Promise<PageOf<BindingItem> | null> {
  if (after !== null && !UUID.test(after)) return null;
  return await page<BindingItem>(
    db,
    selectBinding,
    [
      seesBinding(visible),
      is(sql`s.name`, filter.source),
      is(sql`r.name`, filter.rule),
      is(sql`d.name`, filter.destination),
      isBranch(filter.branch),
      is(sql`n.state`, filter.state),
      is(sql`n.code`, filter.code),
    ],
    { limit, after: after === null ? null : sql`n.id > ${after}::uuid`, order: sql`n.id` },
  );
}

export async function getBinding(
  db: Db,
  id: string,
  visible: Visible | null = null,
): Promise<BindingItem | null> {
  const found = await page<BindingItem>(db, selectBinding, [sql`n.id = ${id}`, seesBinding(visible)], {
    limit: 1,
    after: null,
    order: sql`n.id`,
  });
  return found.items[0] ?? null;
}

export const isBranch = (branch: Text): SQL | null =>
  branch === undefined ? null : sql`(b.id::text = ${branch} or b.name = ${branch})`;

/** How many bindings are in each state, for the gauges. */
export async function countStates(db: Db): Promise<Partial<Record<BindingState, number>>> {
  const { rows } = await db.execute<{ state: BindingState; n: number }>(
    sql`select state, count(*)::int as n from branchline.binding group by state`,
  );
  return Object.fromEntries(rows.map((row) => [row.state, row.n]));
}

// ---------------------------------------------------------------- events

export interface EventItem {
  readonly id: string;
  readonly origin: string;
  readonly kind: string;
  readonly source: string | null;
  readonly branch: string | null;
  readonly receivedAt: string;
  readonly outcome: EventOutcome;
  readonly reason: string | null;
  readonly processedAt: string | null;
}

const selectEvent = sql`
  select e.id::text as id, e.origin, e.kind, s.name as source, coalesce(b.name, e.subject->>'branch') as branch,
    ${iso(sql`e.received_at`)} as "receivedAt", e.outcome, e.reason,
    ${iso(sql`e.processed_at`)} as "processedAt"
  from branchline.event e
  left join branchline.source s on s.id = e.source_id
  left join branchline.branch b on b.id = e.branch_id`;

export interface EventFilter {
  readonly origin?: Text;
  readonly source?: Text;
  readonly branch?: Text;
  readonly state?: Text;
}

export async function listEvents(
  db: Db,
  { limit, after, filter, visible = null }: PageQuery<EventFilter>,
): Promise<PageOf<EventItem> | null> {
  if (after !== null && !/^\d{1,15}$/.test(after)) return null;
  return await page<EventItem>(
    db,
    selectEvent,
    [
      seesEvent(visible),
      is(sql`e.origin`, filter.origin),
      is(sql`s.name`, filter.source),
      isBranch(filter.branch),
      is(sql`e.outcome`, filter.state),
    ],
    { limit, after: after === null ? null : sql`e.id < ${after}::bigint`, order: sql`e.id desc` },
  );
}

export async function getEvent(
  db: Db,
  id: string,
  visible: Visible | null = null,
): Promise<EventItem | null> {
  const found = await page<EventItem>(db, selectEvent, [sql`e.id = ${id}::bigint`, seesEvent(visible)], {
    limit: 1,
    after: null,
    order: sql`e.id`,
  });
  return found.items[0] ?? null;
}
