/** A branch under our own id. Its Neon id and name may change; the row stays. */
import { and, eq, inArray, isNull, sql } from "drizzle-orm";
import { boolean, index, integer, jsonb, text, uuid } from "drizzle-orm/pg-core";
import { chunks } from "./chunks.ts";
import { branchline, type Db } from "./db.ts";
import { type SourceRow, source } from "./source.ts";
import { marked, trail, without } from "./trail.ts";
import { instant, markDue, workColumns } from "./work.ts";

export const branch = branchline.table(
  "branch",
  {
    ...workColumns,
    sourceId: uuid("source_id")
      .notNull()
      .references(() => source.id),
    neonId: text("neon_id").notNull(),
    /** The read-write endpoint, which is what consumers' strings name; null: no compute yet. */
    endpointId: text("endpoint_id"),
    host: text("host"),
    name: text("name").notNull(),
    isDefault: boolean("is_default").notNull(),
    isProtected: boolean("is_protected").notNull(),
    parentNeonId: text("parent_neon_id"),
    state: text("state").notNull(),
    annotations: jsonb("annotations").$type<Record<string, string>>().notNull(),
    neonCreatedAt: instant("neon_created_at").notNull(),
    expiresAt: instant("expires_at"),
    /** Everything above that a rule or a string may depend on, hashed: a move makes the branch due. */
    facts: text("facts").notNull(),
    createdAt: instant("created_at").notNull().defaultNow(),
    /** Complete lists in a row without it. */
    missed: integer("missed").notNull().default(0),
    /** Two complete lists without it, then a 404 for it: the tombstone. */
    goneAt: instant("gone_at"),
    /** The last complete reading of its roles and passwords; null: not yet, or to be read anew. */
    readAt: instant("read_at"),
    /** Nothing of it is written until then. */
    heldUntil: instant("held_until"),
    heldReason: text("held_reason"),
    /** What made it due since it was read. */
    noticed: trail("noticed"),
  },
  (t) => [
    index("branch_source").on(t.sourceId).where(sql`gone_at is null`),
    index("branch_due").on(t.dueAt).where(sql`due_at is not null`),
  ],
);

export type BranchRow = typeof branch.$inferSelect;
export type BranchFacts = Pick<
  BranchRow,
  | "neonId"
  | "endpointId"
  | "host"
  | "name"
  | "isDefault"
  | "isProtected"
  | "parentNeonId"
  | "state"
  | "annotations"
  | "neonCreatedAt"
  | "expiresAt"
  | "facts"
>;

/** Neon is about to be asked what it has, or could not be asked so far. */
export const isUnread = sql<boolean>`(${branch.readAt} is null or coalesce(${branch.dueAt} <= now(), false) or ${branch.attempts} > 0)`;

export async function branchById(db: Db, id: string): Promise<BranchRow | undefined> {
  const [row] = await db.select().from(branch).where(eq(branch.id, id));
  return row;
}

export interface BranchInSource {
  readonly branch: BranchRow;
  readonly source: SourceRow;
  /** Null: it has none, or none that we know. */
  readonly parentName: string | null;
}

export async function branchInSource(db: Db, id: string): Promise<BranchInSource | undefined> {
  const [row] = await db
    .select({
      branch,
      source,
      parentName: sql<string | null>`(
        select p.name from branchline.branch p
        where p.source_id = ${branch.sourceId} and p.neon_id = ${branch.parentNeonId}
        order by p.gone_at desc nulls first limit 1)`,
    })
    .from(branch)
    .innerJoin(source, eq(source.id, branch.sourceId))
    .where(eq(branch.id, id));
  return row;
}

/** The live branch that we know under a name, or as the default one (null). As of the last watch. */
export async function branchByNameOrDefault(
  db: Db,
  sourceId: string,
  name: string | null,
): Promise<BranchRow | undefined> {
  const which = name === null ? eq(branch.isDefault, true) : eq(branch.name, name);
  const [row] = await db
    .select()
    .from(branch)
    .where(and(eq(branch.sourceId, sourceId), which, isNull(branch.goneAt)))
    .limit(1);
  return row;
}

/**
 * Whether a branch of the same name is there that may yet take over. "due": it is about to be looked at.
 * "unready": it could not be read so far, or lacks what its strings are made of.
 */
export async function successorOf(db: Db, row: BranchRow): Promise<"due" | "unready" | null> {
  const { rows } = await db.execute<{ due: boolean }>(sql`
    select due_at <= now() and attempts = 0 as due from branchline.branch b
    where source_id = ${row.sourceId} and name = ${row.name} and gone_at is null
      and (due_at <= now() or attempts > 0 or read_at is null or exists (
        select 1 from branchline.binding n
        where n.branch_id = b.id and n.state = 'parked' and n.code = 'source_unready'))
    order by due desc limit 1`);
  const [found] = rows;
  if (found === undefined) return null;
  return found.due ? "due" : "unready";
}

/** All its roles and passwords have been looked at, for what had been noticed by then. */
export async function markRead(db: Db, { id, noticed }: BranchRow): Promise<void> {
  await db
    .update(branch)
    .set({ readAt: sql`now()`, noticed: without(branch.noticed, noticed) })
    .where(eq(branch.id, id));
}

export async function liveBranches(db: Db, sourceId: string): Promise<BranchRow[]> {
  return await db
    .select()
    .from(branch)
    .where(and(eq(branch.sourceId, sourceId), isNull(branch.goneAt)));
}

export async function insertBranches(db: Db, sourceId: string, all: readonly BranchFacts[]): Promise<void> {
  for (const some of chunks(all)) {
    const rows = some.map((facts) => ({ sourceId, ...facts, dueAt: sql`now()`, noticed: sql`array[now()]` }));
    await db.insert(branch).values(rows);
  }
}

/** Takes in what a complete list said of a known branch, and makes it due if that matters to anyone. */
export async function updateBranch(db: Db, id: string, facts: BranchFacts, due: boolean): Promise<void> {
  await db
    .update(branch)
    .set({
      ...facts,
      missed: 0,
      // It has become production: from now on its passwords matter, and nobody has asked for them yet.
      readAt: sql`case when ${branch.isDefault} or ${branch.isProtected} or not ${facts.isDefault || facts.isProtected}
        then ${branch.readAt} end`,
      ...(due
        ? {
            dueAt: sql`least(coalesce(${branch.dueAt}, 'infinity'), now())`,
            revision: sql`${branch.revision} + 1`,
            noticed: marked(branch.noticed),
          }
        : // It was missing and is there: that came to nothing, unless something else waits.
          { noticed: sql`case when ${branch.dueAt} <= now() then ${branch.noticed} else '{}' end` }),
    })
    .where(eq(branch.id, id));
}

export async function countMissed(db: Db, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await db
    .update(branch)
    .set({ missed: sql`${branch.missed} + 1`, noticed: marked(branch.noticed) })
    .where(inArray(branch.id, [...ids]));
}

/** The tombstone. Makes due the branch itself and whoever took over its name. */
export async function buryBranch(db: Db, row: BranchRow): Promise<void> {
  await db.execute(sql`
    update branchline.branch set
      gone_at = case when id = ${row.id} then now() else gone_at end,
      due_at = now(), revision = revision + 1, noticed = ${marked(sql`noticed`)}
    where id = ${row.id}
       or (source_id = ${row.sourceId} and name = ${row.name} and gone_at is null)`);
}

/** From now on nothing of the branch is written, for so long. What is under way may still finish. */
export async function startHold(
  db: Db,
  id: string,
  { forSeconds, reason }: { forSeconds: number; reason: string },
): Promise<void> {
  await db
    .update(branch)
    .set({ heldUntil: sql`now() + ${forSeconds} * interval '1 second'`, heldReason: reason })
    .where(eq(branch.id, id));
}

/** Whatever waited for it is due at once. */
export async function endHold(db: Db, id: string): Promise<void> {
  await db.update(branch).set({ heldUntil: null, heldReason: null }).where(eq(branch.id, id));
  const { rows } = await db.execute<{ id: string }>(sql`
    select place_id as id from branchline.binding where branch_id = ${id} and place_id is not null
    union select l.place_id from branchline.ledger l join branchline.binding n on n.id = l.binding_id
      where n.branch_id = ${id}`);
  await markDue(
    db,
    "place",
    rows.map((row) => row.id),
  );
}

/** Milliseconds until the last hold of these branches ends; 0: none is held. By Postgres's clock. */
export async function heldForMs(db: Db, ids: readonly string[]): Promise<number> {
  if (ids.length === 0) return 0;
  const { rows } = await db.execute<{ ms: number | null }>(sql`
    select (extract(epoch from max(held_until) - now()) * 1000)::float8 as ms from branchline.branch
    where id = any(${sql.param([...new Set(ids)])}::uuid[]) and held_until > now()`);
  return rows[0]?.ms ?? 0;
}
