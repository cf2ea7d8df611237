/** What people see of the configuration and of what came of it: destinations, rules, logins, page by page. */
import { type SQL, sql } from "drizzle-orm";
import type { BindingState } from "../sync/model.ts";
import type { Db } from "./db.ts";
import { is, isBranch, iso, type PageOf, type PageQuery, page, type Text, UUID } from "./views.ts";
import { countsOf, seesBranch, seesDestination, seesRule, type Visible } from "./visible.ts";

type Counts = Partial<Record<BindingState, number>>;

/** One of them, by what it is called. */
async function one<Item extends { id: string }>(
  db: Db,
  select: SQL,
  where: readonly SQL[],
  order: SQL,
): Promise<Item | null> {
  const found = await page<Item>(db, select, where, { limit: 1, after: null, order });
  return found.items[0] ?? null;
}

const afterId = (column: SQL, after: string | null): SQL | null =>
  after === null ? null : sql`${column} > ${after}::uuid`;
const possible = (after: string | null): boolean => after === null || UUID.test(after);

// ---------------------------------------------------------------- destinations

export interface DestinationItem {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly places: number;
  readonly bindings: Counts;
  readonly suspendedAt: string | null;
}

const selectDestination = (visible: Visible | null): SQL => sql`
  select d.id, d.name, d.kind,
    (select count(*)::int from branchline.place p where p.destination_id = d.id) as places,
    ${countsOf(sql`cr.destination_id = outer_destination.id`, visible)} as bindings,
    ${iso(sql`d.suspended_at`)} as "suspendedAt"
  from branchline.destination d
  join branchline.destination outer_destination on outer_destination.id = d.id`;

export async function listDestinations(
  db: Db,
  { limit, after, filter, visible = null }: PageQuery<{ name?: Text; kind?: Text }>,
): Promise<PageOf<DestinationItem> | null> {
  if (!possible(after)) return null;
  const where = [
    sql`d.removed_at is null`,
    seesDestination(visible),
    is(sql`d.name`, filter.name),
    is(sql`d.kind`, filter.kind),
  ];
  const order = sql`d.id`;
  return await page<DestinationItem>(db, selectDestination(visible), where, {
    limit,
    after: afterId(order, after),
    order,
  });
}

/** By id or name. */
export async function getDestination(
  db: Db,
  idOrName: string,
  visible: Visible | null = null,
): Promise<DestinationItem | null> {
  const which = sql`(d.id::text = ${idOrName} or d.name = ${idOrName}) and d.removed_at is null`;
  const order = sql`d.id::text = ${idOrName} desc, d.id`;
  return await one(db, selectDestination(visible), [which, seesDestination(visible)], order);
}

// ---------------------------------------------------------------- rules

export interface RuleItem {
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly destination: string;
  readonly revision: number;
  readonly orphanedAt: string | null;
  readonly bindings: Counts;
  readonly definition: Record<string, unknown>;
}

const selectRule = (visible: Visible | null): SQL => sql`
  select r.id, r.name, s.name as source, d.name as destination, r.revision::int as revision,
    ${iso(sql`r.orphaned_at`)} as "orphanedAt",
    ${countsOf(sql`cn.rule_id = r.id`, visible)} as bindings, r.definition
  from branchline.rule r
  join branchline.source s on s.id = r.source_id
  join branchline.destination d on d.id = r.destination_id`;

export interface RuleFilter {
  readonly source?: Text;
  readonly destination?: Text;
  readonly name?: Text;
  readonly orphaned?: Text;
}

export async function listRules(
  db: Db,
  { limit, after, filter, visible = null }: PageQuery<RuleFilter>,
): Promise<PageOf<RuleItem> | null> {
  if (!possible(after)) return null;
  const orphaned = filter.orphaned === "true" ? sql`r.orphaned_at is not null` : sql`r.orphaned_at is null`;
  const where = [
    seesRule(visible),
    is(sql`s.name`, filter.source),
    is(sql`d.name`, filter.destination),
    is(sql`r.name`, filter.name),
    filter.orphaned === undefined ? null : orphaned,
  ];
  const order = sql`r.id`;
  return await page<RuleItem>(db, selectRule(visible), where, { limit, after: afterId(order, after), order });
}

/** By id or name; of two that have had one name, the one in force. */
export async function getRule(
  db: Db,
  idOrName: string,
  visible: Visible | null = null,
): Promise<RuleItem | null> {
  const which = sql`(r.id::text = ${idOrName} or r.name = ${idOrName})`;
  const order = sql`r.id::text = ${idOrName} desc, r.orphaned_at desc nulls first, r.id`;
  return await one(db, selectRule(visible), [which, seesRule(visible)], order);
}

// ---------------------------------------------------------------- logins

export interface LoginItem {
  readonly id: string;
  readonly source: string;
  readonly branch: { readonly id: string; readonly name: string };
  readonly role: string;
  readonly database: string;
  readonly generation: number;
  readonly changedAt: string;
  readonly proven: boolean;
  readonly provenAt: string | null;
}

const selectLogin = sql`
  select l.id, s.name as source, jsonb_build_object('id', b.id, 'name', b.name) as branch, l.role, l.database,
    l.generation::int as generation, ${iso(sql`l.changed_at`)} as "changedAt",
    coalesce(l.proven_fingerprint = l.fingerprint, false) as proven, ${iso(sql`l.proven_at`)} as "provenAt"
  from branchline.login l
  join branchline.branch b on b.id = l.branch_id
  join branchline.source s on s.id = b.source_id`;

export interface LoginFilter {
  readonly source?: Text;
  readonly branch?: Text;
  readonly role?: Text;
  readonly database?: Text;
}

export async function listLogins(
  db: Db,
  { limit, after, filter, visible = null }: PageQuery<LoginFilter>,
): Promise<PageOf<LoginItem> | null> {
  if (!possible(after)) return null;
  const where = [
    seesBranch(visible),
    is(sql`s.name`, filter.source),
    isBranch(filter.branch),
    is(sql`l.role`, filter.role),
    is(sql`l.database`, filter.database),
  ];
  const order = sql`l.id`;
  return await page<LoginItem>(db, selectLogin, where, { limit, after: afterId(order, after), order });
}

export async function getLogin(
  db: Db,
  id: string,
  visible: Visible | null = null,
): Promise<LoginItem | null> {
  return await one(db, selectLogin, [sql`l.id = ${id}`, seesBranch(visible)], sql`l.id`);
}
