/** What has happened, as people see it: pushes, who did what, and where each credential lives since when. */
import { sql } from "drizzle-orm";
import type { Code } from "../sync/errors.ts";
import type { BindingState } from "../sync/model.ts";
import type { AuditDetails } from "./audit.ts";
import type { Db } from "./db.ts";
import { cameOf } from "./links.ts";
import { is, iso, one, type PageOf, type PageQuery, page, pageByNumber, type Text } from "./pages.ts";
import { seesBinding, seesPush, type Visible } from "./visible.ts";

// ---------------------------------------------------------------- pushes

export interface PushItem {
  readonly id: string;
  readonly destination: string;
  readonly target: string;
  readonly outcome: string;
  readonly code: Code | null;
  readonly cause: string | null;
  readonly next: string | null;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly ms: number;
  readonly steps: Readonly<Record<string, number>>;
  readonly calls: number;
  readonly written: number;
  readonly deleted: number;
  readonly bindings: readonly {
    readonly id: string;
    readonly outcome: string;
    readonly code: Code | null;
    readonly cause: string | null;
    readonly next: string | null;
  }[];
}

const MICROSECONDS = sql.raw(`'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'`);

const selectPush = sql`
  select p.id, d.name as destination, pl.key as target, p.outcome, p.code, p.cause, p.next,
    ${iso(sql`p.started_at`)} as "startedAt", ${iso(sql`p.finished_at`)} as "finishedAt",
    greatest(0, round(extract(epoch from p.finished_at - p.started_at) * 1000))::float8 as ms,
    p.steps, p.calls, p.written, p.deleted,
    coalesce((
      select jsonb_agg(jsonb_build_object('id', one, 'outcome', coalesce(p.results->one::text->>'outcome', p.outcome),
        'code', p.results->one::text->>'code', 'cause', p.results->one::text->>'cause',
        'next', p.results->one::text->>'next') order by one) from unnest(p.bindings) as one), '[]'::jsonb) as bindings,
    to_char(p.started_at at time zone 'utc', ${MICROSECONDS}) || '/' || p.id as position
  from branchline.push p
  join branchline.place pl on pl.id = p.place_id
  join branchline.destination d on d.id = pl.destination_id`;

export interface PushFilter {
  readonly binding?: Text;
  readonly event?: Text;
  readonly destination?: Text;
  readonly outcome?: Text;
  readonly code?: Text;
}

const POSITION = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\/([0-9a-f-]{36})$/;

/** The newest first. */
export async function listPushes(
  db: Db,
  { limit, after, filter, visible = null }: PageQuery<PushFilter>,
): Promise<PageOf<PushItem> | null> {
  const [, at, id] = POSITION.exec(after ?? "") ?? [];
  if (after !== null && (at === undefined || id === undefined)) return null;
  const { binding } = filter;
  const where = [
    seesPush(visible),
    cameOf(filter.event, visible),
    binding === undefined ? null : sql`p.bindings @> array[${binding}::uuid]`,
    is(sql`d.name`, filter.destination),
    is(sql`p.outcome`, filter.outcome),
    is(sql`p.code`, filter.code),
  ];
  const found = await page<PushItem & { position: string }>(db, selectPush, where, {
    limit,
    after: after === null ? null : sql`(p.started_at, p.id) < (${at}::timestamptz, ${id}::uuid)`,
    order: sql`p.started_at desc, p.id desc`,
  });
  return { items: found.items, next: found.next === null ? null : (found.items.at(-1)?.position ?? null) };
}

export async function getPush(db: Db, id: string, visible: Visible | null = null): Promise<PushItem | null> {
  return await one<PushItem>(db, selectPush, [sql`p.id = ${id}`, seesPush(visible)], sql`p.id`);
}

// ---------------------------------------------------------------- custody

export interface CustodyRow {
  readonly role: string | null;
  readonly database: string | null;
  readonly generation: number | null;
  readonly current: boolean;
  readonly since: string | null;
  readonly destination: string;
  readonly target: string;
  readonly name: string;
  readonly rule: string;
  readonly binding: string;
  readonly state: BindingState;
  readonly confirmed: boolean;
}

/** Every name that holds something of this branch, also where it is no longer kept in step. */
export async function custodyOf(db: Db, branchId: string, visible: Visible | null): Promise<CustodyRow[]> {
  const { rows } = await db.execute(sql`
    select g.role, g.database, l.generation::int as generation,
      coalesce(l.generation = g.generation, false) as current, ${iso(sql`l.value_since`)} as since,
      pd.name as destination, p.key as target, l.name, r.name as rule, n.id as binding, n.state, l.confirmed
    from branchline.ledger l
    join branchline.binding n on n.id = l.binding_id
    join branchline.rule r on r.id = n.rule_id
    join branchline.destination d on d.id = r.destination_id
    join branchline.branch b on b.id = n.branch_id
    join branchline.source s on s.id = b.source_id
    join branchline.place p on p.id = l.place_id
    join branchline.destination pd on pd.id = p.destination_id
    left join branchline.login g on g.id = l.login_id
    where b.id = ${branchId} and ${seesBinding(visible)}
    order by g.role nulls last, g.database, pd.name, p.key, l.name`);
  // The select above is what gives the rows this shape.
  return rows as unknown as CustodyRow[];
}

// ---------------------------------------------------------------- audit

export interface AuditItem {
  readonly seq: number;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly object: string;
  readonly requestId: string | null;
  readonly sourceAddress: string | null;
  readonly details: AuditDetails;
  readonly previous: string;
  readonly hash: string;
}

const selectAudit = sql`
  select seq::float8 as seq, seq::text as id, to_char(at at time zone 'utc', ${MICROSECONDS}) as at, actor, action,
    object, request_id as "requestId", source_address as "sourceAddress", details, previous, hash
  from branchline.audit`;

export interface AuditFilter {
  readonly actor?: Text;
  readonly action?: Text;
  readonly object?: Text;
  readonly from?: Text;
  readonly to?: Text;
}

/** The newest first. */
export async function listAudit(
  db: Db,
  { filter, ...position }: PageQuery<AuditFilter>,
): Promise<PageOf<AuditItem> | null> {
  const { object, from, to } = filter;
  const where = [
    is(sql`actor`, filter.actor),
    is(sql`action`, filter.action),
    object === undefined ? null : sql`(object = ${object} or starts_with(object, ${`${object}/`}))`,
    from === undefined ? null : sql`at >= ${from}::timestamptz`,
    to === undefined ? null : sql`at < ${to}::timestamptz`,
  ];
  return await pageByNumber<AuditItem & { id: string }>(
    db,
    { select: selectAudit, id: sql`seq`, where },
    position,
  );
}

const EXPORTED_AT_ONCE = 500;

/** All rows after this number, in order, a page at a time. */
export async function* exportAudit(db: Db, after: number): AsyncGenerator<readonly AuditItem[]> {
  let last = after;
  for (;;) {
    const { rows } = await db.execute(
      sql`${selectAudit} where seq > ${last} order by seq limit ${EXPORTED_AT_ONCE}`,
    );
    const items = rows as unknown as AuditItem[];
    if (items.length > 0) yield items;
    last = items.at(-1)?.seq ?? last;
    if (items.length < EXPORTED_AT_ONCE) return;
  }
}
