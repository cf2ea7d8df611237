/** What people see of the state, page by page. Ids, names and states; there are no values to show. */
import { type SQL, sql } from "drizzle-orm";
import type { Code } from "../sync/errors.ts";
import type { BindingState } from "../sync/model.ts";
import type { Db } from "./db.ts";
import type { EventOutcome } from "./event.ts";
import { ledToPush, pushesOf } from "./links.ts";
import {
  is,
  isBranch,
  iso,
  one,
  oneCalled,
  type PageOf,
  type PageQuery,
  pageByNumber,
  pageByUuid,
  type Shown,
  type Text,
} from "./pages.ts";
import { countsOf, seesBinding, seesBranch, seesEvent, seesSource, type Visible } from "./visible.ts";

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

const selectSource = (visible: Visible | null): SQL => sql`
  select s.id, s.name, s.kind, s.identity,
    (select count(*)::int from branchline.branch b
      where b.source_id = s.id and b.gone_at is null and ${seesBranch(visible)}) as branches,
    ${iso(sql`s.listed_at`)} as "listedAt", ${iso(sql`s.held_since`)} as "heldSince", s.code, s.cause, s.next
  from branchline.source s`;

const shownSources = (visible: Visible | null): Shown => ({
  select: selectSource(visible),
  id: sql`s.id`,
  where: [sql`s.removed_at is null`, seesSource(visible)],
});

export async function listSources(
  db: Db,
  { filter, visible = null, ...position }: PageQuery<{ name?: Text; kind?: Text }>,
): Promise<PageOf<SourceItem> | null> {
  const { select, id, where } = shownSources(visible);
  const filters = [is(sql`s.name`, filter.name), is(sql`s.kind`, filter.kind)];
  return await pageByUuid<SourceItem>(db, { select, id, where: [...where, ...filters] }, position);
}

/** By id or name. */
export async function getSource(
  db: Db,
  idOrName: string,
  visible: Visible | null = null,
): Promise<SourceItem | null> {
  return await oneCalled<SourceItem>(db, shownSources(visible), { idOrName, name: sql`s.name` });
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
  { filter, visible = null, ...position }: PageQuery<{ source?: Text; state?: Text; name?: Text }>,
): Promise<PageOf<BranchItem> | null> {
  const state = filter.state;
  const states =
    state === undefined
      ? null
      : state === "gone"
        ? sql`b.gone_at is not null`
        : sql`b.gone_at is null and b.state = ${state}`;
  const where = [seesBranch(visible), is(sql`s.name`, filter.source), is(sql`b.name`, filter.name), states];
  return await pageByUuid<BranchItem>(db, { select: selectBranch(visible), id: sql`b.id`, where }, position);
}

export async function getBranch(
  db: Db,
  id: string,
  visible: Visible | null = null,
): Promise<BranchItem | null> {
  return await one<BranchItem>(
    db,
    selectBranch(visible),
    [sql`b.id = ${id}`, seesBranch(visible)],
    sql`b.id`,
  );
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
  { filter, visible = null, ...position }: PageQuery<BindingFilter>,
): Promise<PageOf<BindingItem> | null> {
  const where = [
    seesBinding(visible),
    is(sql`s.name`, filter.source),
    is(sql`r.name`, filter.rule),
    is(sql`d.name`, filter.destination),
    isBranch(filter.branch),
    is(sql`n.state`, filter.state),
    is(sql`n.code`, filter.code),
  ];
  return await pageByUuid<BindingItem>(db, { select: selectBinding, id: sql`n.id`, where }, position);
}

export async function getBinding(
  db: Db,
  id: string,
  visible: Visible | null = null,
): Promise<BindingItem | null> {
  return await one<BindingItem>(db, selectBinding, [sql`n.id = ${id}`, seesBinding(visible)], sql`n.id`);
}

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
  readonly pushes: readonly string[];
}

const selectEvent = (visible: Visible | null): SQL => sql`
  select e.id::text as id, e.origin, e.kind, s.name as source, coalesce(b.name, e.subject->>'branch') as branch,
    ${iso(sql`e.received_at`)} as "receivedAt", e.outcome, e.reason,
    ${iso(sql`e.processed_at`)} as "processedAt", ${pushesOf(visible)} as pushes
  from branchline.event e
  left join branchline.source s on s.id = e.source_id
  left join branchline.branch b on b.id = e.branch_id`;

export interface EventFilter {
  readonly origin?: Text;
  readonly source?: Text;
  readonly branch?: Text;
  readonly state?: Text;
  readonly push?: Text;
}

export async function listEvents(
  db: Db,
  { filter, visible = null, ...position }: PageQuery<EventFilter>,
): Promise<PageOf<EventItem> | null> {
  const where = [
    seesEvent(visible),
    is(sql`e.origin`, filter.origin),
    is(sql`s.name`, filter.source),
    isBranch(filter.branch),
    is(sql`e.outcome`, filter.state),
    ledToPush(filter.push, visible),
  ];
  return await pageByNumber<EventItem>(db, { select: selectEvent(visible), id: sql`e.id`, where }, position);
}

export async function getEvent(
  db: Db,
  id: string,
  visible: Visible | null = null,
): Promise<EventItem | null> {
  const where = [sql`e.id = ${id}::bigint`, seesEvent(visible)];
  return await one<EventItem>(db, selectEvent(visible), where, sql`e.id`);
}
