/** Rule x branch: `wanted` rises when an input moves, `applied` follows. */
import { and, eq, inArray, isNull, ne, or, sql } from "drizzle-orm";
import { boolean, index, jsonb, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import type { Adoption, BindingState, Reason } from "../sync/model.ts";
import { type BranchRow, branch } from "./branch.ts";
import { answered, branchline, type Db } from "./db.ts";
import { destination } from "./destination.ts";
import { groupedBy } from "./grouped.ts";
import { place } from "./place.ts";
import { holdRules, type RuleRead, type RuleRow, rule } from "./rule.ts";
import { type SourceRow, source } from "./source.ts";
import { inherited, trail } from "./trail.ts";
import { counter, instant } from "./work.ts";

export const binding = branchline.table(
  "binding",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    ruleId: uuid("rule_id")
      .notNull()
      .references(() => rule.id),
    branchId: uuid("branch_id")
      .notNull()
      .references(() => branch.id),
    /** Null until the target could be worked out. */
    placeId: uuid("place_id").references(() => place.id),
    wanted: counter("wanted"),
    applied: counter("applied"),
    /** What `wanted` stands for: the logins' generations and the rule's revision. */
    inputs: text("inputs"),
    /** Alias to login row. */
    logins: jsonb("logins").$type<Record<string, string>>().notNull().default({}),
    /** Its names are to be taken away: the branch is gone and the rule says so. */
    leaving: boolean("leaving").notNull().default(false),
    state: text("state").$type<BindingState>().notNull().default("pending"),
    since: instant("since").notNull().defaultNow(),
    code: text("code").$type<Reason["code"]>(),
    cause: text("cause"),
    next: text("next"),
    /** Passwords that production branches still accept, in words; null: none. */
    warning: text("warning"),
    suspendedAt: instant("suspended_at"),
    /** Names that a person has handed over, until a push went well. */
    adopt: jsonb("adopt").$type<Adoption>(),
    appliedAt: instant("applied_at"),
    /** What it was told to want more for, since it last had all. */
    causes: trail("causes"),
  },
  (t) => [
    uniqueIndex("binding_identity").on(t.ruleId, t.branchId),
    index("binding_place").on(t.placeId),
    index("binding_branch").on(t.branchId),
    index("binding_since").on(t.since),
    // What a webhook wakes is found among the few that have something to say.
    index("binding_code").on(t.code).where(sql`code is not null`),
  ],
);

export type BindingRow = typeof binding.$inferSelect;

export interface BindingWithAll {
  readonly binding: BindingRow;
  readonly rule: RuleRow;
  readonly branch: BranchRow;
  readonly source: SourceRow;
  readonly destinationKind: string;
}

export async function bindingsOfBranch(db: Db, branchId: string): Promise<BindingRow[]> {
  return await db.select().from(binding).where(eq(binding.branchId, branchId));
}

/** All bindings that live at a place or own names there, with what they are made of. */
export async function bindingsAtPlace(db: Db, placeId: string): Promise<readonly BindingWithAll[]> {
  return (await bindingsAtPlaces(db, [placeId])).get(placeId) ?? [];
}

/** The same for several places. Those without bindings are left out. */
export async function bindingsAtPlaces(
  db: Db,
  placeIds: readonly string[],
): Promise<ReadonlyMap<string, readonly BindingWithAll[]>> {
  const ids = sql`${sql.param([...placeIds])}::uuid[]`;
  const rows = await db
    .select({ at: sql<string>`here.at`, binding, rule, branch, source, destinationKind: destination.kind })
    .from(binding)
    .innerJoin(
      sql`(
        select place_id as at, id from branchline.binding where place_id = any(${ids})
        union select place_id, binding_id from branchline.ledger where place_id = any(${ids})
      ) here`,
      sql`here.id = ${binding.id}`,
    )
    .innerJoin(rule, eq(rule.id, binding.ruleId))
    .innerJoin(branch, eq(branch.id, binding.branchId))
    .innerJoin(source, eq(source.id, rule.sourceId))
    .innerJoin(destination, eq(destination.id, rule.destinationId))
    .orderBy(rule.name, binding.id);
  return groupedBy(
    rows,
    ({ at }) => at,
    ({ at: _, ...all }) => all,
  );
}

/**
 * The bindings of a branch for these rules, made where `known` has none: all of the branch, as loaded under its lease, since
 * nobody else makes any. Throws `conflict` if a rule that is to get its first is not any more what it was when it was loaded.
 */
export async function ensureBindings(
  db: Db,
  branchId: string,
  rules: readonly RuleRead[],
  known: readonly Pick<BindingRow, "ruleId">[],
): Promise<BindingRow[]> {
  const has = ({ id }: RuleRead): boolean => known.some(({ ruleId }) => ruleId === id);
  const [there, missing] = [rules.filter(has), rules.filter((read) => !has(read))];
  const made = missing.map(({ id }) => ({ ruleId: id, branchId }));
  const ids = there.map(({ id }) => id);
  const mine = and(eq(binding.branchId, branchId), inArray(binding.ruleId, ids));
  const [, ...all] = await answered([
    holdRules(db, missing),
    there.length === 0 ? [] : db.select().from(binding).where(mine),
    made.length === 0 ? [] : db.insert(binding).values(made).returning(),
  ]);
  return all.flat();
}

/** New inputs: one more generation is wanted at these places. `noticed`: what led to it. */
export async function raiseWanted(
  db: Db,
  all: readonly {
    bindingId: string;
    placeId: string;
    inputs: string;
    logins: Readonly<Record<string, string>>;
  }[],
  noticed: readonly string[],
): Promise<void> {
  const rows = all.map(({ bindingId, placeId, inputs, logins }) => ({
    id: bindingId,
    place_id: placeId,
    inputs,
    logins,
  }));
  await db.execute(sql`
    update branchline.binding b set
      place_id = w.place_id, inputs = w.inputs, logins = w.logins, leaving = false,
      wanted = b.wanted + 1,
      causes = ${inherited(sql`b.causes`, noticed, sql`b.applied >= b.wanted`)},
      state = case when b.suspended_at is null then 'pending' else b.state end,
      since = case when b.suspended_at is null then now() else b.since end,
      code = case when b.suspended_at is null then null else b.code end,
      cause = case when b.suspended_at is null then null else b.cause end,
      next = case when b.suspended_at is null then null else b.next end
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      as w(id uuid, place_id uuid, inputs text, logins jsonb)
    where b.id = w.id`);
}

/** Its names are to be taken away from wherever it has any. `noticed`: what led to it. */
export async function setLeaving(db: Db, id: string, noticed: readonly string[] = []): Promise<void> {
  await db
    .update(binding)
    .set({
      leaving: true,
      wanted: sql`${binding.wanted} + 1`,
      causes: inherited(sql`${binding.causes}`, noticed, sql`${binding.applied} >= ${binding.wanted}`),
      inputs: null,
      state: sql`case when ${binding.suspendedAt} is null then 'pending' else ${binding.state} end`,
      since: sql`now()`,
    })
    .where(eq(binding.id, id));
}

/**
 * Moves bindings to a state; `since` is kept while the state stays. One that somebody has suspended stays so,
 * unless it ends.
 */
export async function setState(
  db: Db,
  ids: readonly string[],
  state: BindingState,
  reason: Reason | null = null,
): Promise<void> {
  if (ids.length === 0) return;
  const { code = null, cause = null, next = null } = reason ?? {};
  await db.execute(sql`
    update branchline.binding set
      since = case when state = ${state} and code is not distinct from ${code} then since else now() end,
      state = ${state}, code = ${code}, cause = ${cause}, next = ${next}
    where id = any(${sql.param([...ids])}::uuid[])
      and (suspended_at is null or ${state} in ('removed', 'retained'))`);
}

/**
 * What became of a push, for bindings that are still in force: one that was told to stay as it is or that
 * is gone meanwhile keeps that state.
 */
export async function setOutcome(
  db: Db,
  ids: readonly string[],
  state: BindingState,
  reason: Reason | null = null,
): Promise<void> {
  if (ids.length === 0) return;
  const { rows } = await db.execute<{ id: string }>(sql`
    select id from branchline.binding
    where id = any(${sql.param([...ids])}::uuid[]) and state not in ('removed', 'retained')
    order by id for no key update`);
  await setState(
    db,
    rows.map((row) => row.id),
    state,
    reason,
  );
}

/**
 * Locks the bindings for the rest of the transaction. True if all of them are to be written at the destination as they
 * were when they were loaded: nobody has told one to leave, to move, to stay or to stop since, nor holds its branch, nor
 * has suspended the destination or everything.
 */
export async function holdBindings(
  db: Db,
  loaded: readonly BindingRow[],
  destinationId: string,
): Promise<boolean> {
  if (loaded.length === 0) return true;
  const { rows } = await db.execute<{
    id: string;
    leaving: boolean;
    place_id: string | null;
    state: BindingState;
    stopped: boolean;
  }>(sql`
    select id, leaving, place_id, state, suspended_at is not null
      or exists (select from branchline.installation where suspended_at is not null)
      or exists (select from branchline.destination where id = ${destinationId} and suspended_at is not null)
      or exists (select from branchline.branch h where h.id = b.branch_id and h.held_until > now()) as stopped
    from branchline.binding b where id = any(${sql.param(loaded.map((row) => row.id))}::uuid[])
    order by id for update`);
  return loaded.every((was) => {
    const is = rows.find((row) => row.id === was.id);
    if (is === undefined || is.stopped || is.leaving !== was.leaving || is.place_id !== was.placeId)
      return false;
    const kept = is.state !== "removed" && is.state !== "retained";
    return kept || is.state === was.state;
  });
}

/** The rows as they are now, locked for the rest of the transaction. */
export async function lockBindings(db: Db, ids: readonly string[]): Promise<BindingRow[]> {
  if (ids.length === 0) return [];
  return await db
    .select()
    .from(binding)
    .where(inArray(binding.id, [...ids]))
    .orderBy(binding.id)
    .for("update");
}

/** The generation that was just written is applied; a higher one may be wanted already. `warning` in words, or none. */
export async function recordApplied(
  db: Db,
  id: string,
  generation: number,
  state: BindingState,
  warning: string | null = null,
): Promise<void> {
  // Suspended while it was being written; what ends all the same ends.
  const stopped = state === "removed" ? sql`false` : sql`suspended_at is not null`;
  await db.execute(sql`
    update branchline.binding set
      applied = greatest(applied, ${generation}),
      applied_at = now(),
      adopt = case when wanted > ${generation} then adopt end,
      state = case when state in ('removed', 'retained') or ${stopped} then state
        when wanted > ${generation} then 'pending' else ${state} end,
      since = case when state = ${state} or ${stopped} then since else now() end,
      code = case when ${stopped} then code end,
      cause = case when ${stopped} then cause end,
      next = case when ${stopped} then next end,
      warning = ${warning}
    where id = ${id}`);
}

/** Still in force: neither taken away nor of a rule that left or a branch that went. */
export const isLive = (row: Pick<BindingWithAll, "binding" | "rule" | "branch">): boolean =>
  !row.binding.leaving &&
  row.binding.state !== "removed" &&
  row.binding.state !== "retained" &&
  row.rule.orphanedAt === null &&
  row.branch.goneAt === null;

export const liveBinding = and(
  eq(binding.leaving, false),
  ne(binding.state, "removed"),
  ne(binding.state, "retained"),
  isNull(rule.orphanedAt),
  isNull(branch.goneAt),
);

export const waiting = or(ne(binding.wanted, binding.applied), eq(binding.leaving, true));
