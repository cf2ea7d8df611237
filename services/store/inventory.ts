/** What people see of the configuration and of what came of it: destinations, rules, logins, page by page. */
import { type SQL, sql } from "drizzle-orm";
import type { BindingState } from "../sync/model.ts";
import type { Db } from "./db.ts";
import {
  is,
  isBranch,
  iso,
  one,
  oneCalled,
  type PageOf,
  type PageQuery,
  pageByUuid,
  type Shown,
  type Text,
} from "./pages.ts";
import { countsOf, seesBranch, seesDestination, seesRule, type Visible } from "./visible.ts";

type Counts = Partial<Record<BindingState, number>>;

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

const shownDestinations = (visible: Visible | null): Shown => ({
  select: selectDestination(visible),
  id: sql`d.id`,
  where: [sql`d.removed_at is null`, seesDestination(visible)],
});

export async function listDestinations(
  db: Db,
  { filter, visible = null, ...position }: PageQuery<{ name?: Text; kind?: Text }>,
): Promise<PageOf<DestinationItem> | null> {
  const { select, id, where } = shownDestinations(visible);
  const filters = [is(sql`d.name`, filter.name), is(sql`d.kind`, filter.kind)];
  return await pageByUuid<DestinationItem>(db, { select, id, where: [...where, ...filters] }, position);
}

/** By id or name. */
export async function getDestination(
  db: Db,
  idOrName: string,
  visible: Visible | null = null,
): Promise<DestinationItem | null> {
  return await oneCalled<DestinationItem>(db, shownDestinations(visible), { idOrName, name: sql`d.name` });
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

const shownRules = (visible: Visible | null): Shown => ({
  select: selectRule(visible),
  id: sql`r.id`,
  where: [seesRule(visible)],
});

export async function listRules(
  db: Db,
  { filter, visible = null, ...position }: PageQuery<RuleFilter>,
): Promise<PageOf<RuleItem> | null> {
  const orphaned = filter.orphaned === "true" ? sql`r.orphaned_at is not null` : sql`r.orphaned_at is null`;
  const { select, id, where } = shownRules(visible);
  const filters = [
    is(sql`s.name`, filter.source),
    is(sql`d.name`, filter.destination),
    is(sql`r.name`, filter.name),
    filter.orphaned === undefined ? null : orphaned,
  ];
  return await pageByUuid<RuleItem>(db, { select, id, where: [...where, ...filters] }, position);
}

/** By id or name; of two that have had one name, the one in force. */
export async function getRule(
  db: Db,
  idOrName: string,
  visible: Visible | null = null,
): Promise<RuleItem | null> {
  const rather = sql`r.orphaned_at desc nulls first`;
  return await oneCalled<RuleItem>(db, shownRules(visible), { idOrName, name: sql`r.name`, rather });
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
  { filter, visible = null, ...position }: PageQuery<LoginFilter>,
): Promise<PageOf<LoginItem> | null> {
  const where = [
    seesBranch(visible),
    is(sql`s.name`, filter.source),
    isBranch(filter.branch),
    is(sql`l.role`, filter.role),
    is(sql`l.database`, filter.database),
  ];
  return await pageByUuid<LoginItem>(db, { select: selectLogin, id: sql`l.id`, where }, position);
}

export async function getLogin(
  db: Db,
  id: string,
  visible: Visible | null = null,
): Promise<LoginItem | null> {
  return await one<LoginItem>(db, selectLogin, [sql`l.id = ${id}`, seesBranch(visible)], sql`l.id`);
}
