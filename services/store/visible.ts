/** What a token with limits may see, as conditions of a query: the rest is neither shown nor counted. */
import { type SQL, sql } from "drizzle-orm";
import { matchesGlob } from "../sync/patterns.ts";
import type { Db } from "./db.ts";
import type { TokenLimits } from "./token.ts";

/** Null in a member: all. */
export interface Visible {
  readonly sources: readonly string[] | null;
  readonly branchIds: readonly string[] | null;
  readonly destinations: readonly string[] | null;
}

/**
 * Which branches the globs mean is decided by the one matcher that rules use as well: a second one in SQL would
 * some day mean something else, and show what it must not.
 */
export async function visibleTo(db: Db, limits: TokenLimits | null): Promise<Visible | null> {
  if (limits === null) return null;
  const { sources, branches, destinations } = limits;
  if (branches === null) return { sources, branchIds: null, destinations };
  const { rows } = await db.execute<{ id: string; name: string }>(
    sql`select id, name from branchline.branch`,
  );
  const branchIds = rows.filter(({ name }) => meansBranch(branches, name)).map(({ id }) => id);
  return { sources, branchIds, destinations };
}

export const meansBranch = (globs: readonly string[] | null, name: string): boolean =>
  globs === null || globs.some((glob) => matchesGlob(glob, name));

export const among = (names: readonly string[] | null, name: string): boolean =>
  names === null || names.includes(name);

const inNames = (column: SQL, names: readonly string[] | null): SQL =>
  names === null ? sql`true` : sql`coalesce(${column} = any(${sql.param([...names])}::text[]), false)`;

const inIds = (column: SQL, ids: readonly string[] | null): SQL =>
  ids === null ? sql`true` : sql`coalesce(${column} = any(${sql.param([...ids])}::uuid[]), false)`;

/** Conditions over the usual aliases: `s` source, `b` branch, `d` destination. */
export const seesSource = (v: Visible | null): SQL =>
  v === null ? sql`true` : inNames(sql`s.name`, v.sources);

/** With the source's alias in scope too. A limit on destinations says nothing about branches. */
export const seesBranch = (v: Visible | null): SQL =>
  v === null ? sql`true` : sql`(${seesSource(v)} and ${inIds(sql`b.id`, v.branchIds)})`;

export const seesBinding = (v: Visible | null): SQL =>
  v === null ? sql`true` : sql`(${seesBranch(v)} and ${inNames(sql`d.name`, v.destinations)})`;

/** One that nothing visible is meant for is none of the caller's business either. */
export const seesDestination = (v: Visible | null): SQL =>
  v === null
    ? sql`true`
    : sql`(${inNames(sql`d.name`, v.destinations)} and ${
        v.sources === null
          ? sql`true`
          : sql`exists (
              select 1 from branchline.rule vr join branchline.source vs on vs.id = vr.source_id
              where vr.destination_id = d.id and ${inNames(sql`vs.name`, v.sources)})`
      })`;

export const seesRule = (v: Visible | null): SQL =>
  v === null ? sql`true` : sql`(${seesSource(v)} and ${inNames(sql`d.name`, v.destinations)})`;

/** An event about all branches, or about no source, is for those who see all of them. */
export const seesEvent = (v: Visible | null): SQL =>
  v === null
    ? sql`true`
    : sql`(${seesSource(v)} and ${inIds(sql`b.id`, v.branchIds)}
        and (e.subject->>'destination' is null or ${inNames(sql`e.subject->>'destination'`, v.destinations)}))`;

/** Only if all that it was about is visible: its words may name any of them. */
export const seesPush = (v: Visible | null): SQL =>
  v === null
    ? sql`true`
    : sql`(${inNames(sql`d.name`, v.destinations)} and cardinality(p.bindings) > 0 and not exists (
        select 1 from branchline.binding vn
        join branchline.branch b on b.id = vn.branch_id
        join branchline.source s on s.id = b.source_id
        where vn.id = any(p.bindings) and not ${seesBranch(v)}))`;

/** How many bindings are in each state, of those that `where` means and the caller may see. */
export const countsOf = (where: SQL, visible: Visible | null): SQL => sql`coalesce((
      select jsonb_object_agg(state, n) from (
        select cn.state, count(*)::int as n from branchline.binding cn
        join branchline.rule cr on cr.id = cn.rule_id
        join branchline.destination d on d.id = cr.destination_id
        join branchline.branch b on b.id = cn.branch_id
        join branchline.source s on s.id = b.source_id
        where ${where} and ${seesBinding(visible)} group by cn.state
      ) counted), '{}'::jsonb)`;
