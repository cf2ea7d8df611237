/** A hint that something may have changed, with what became of it. Only hints: nothing in them is believed. */
import { and, eq, lte, sql } from "drizzle-orm";
import { bigserial, index, jsonb, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { branch } from "./branch.ts";
import { chunks } from "./chunks.ts";
import { branchline, type Db } from "./db.ts";
import { source } from "./source.ts";
import { wakePlaces } from "./waiting.ts";
import { instant, markDue } from "./work.ts";

export type EventOutcome = "pending" | "processed" | "ignored";

export const event = branchline.table(
  "event",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    /** "github", "neon", "watch", "sweep", "manual". */
    origin: text("origin").notNull(),
    kind: text("kind").notNull(),
    /** The sender's id: a redelivery has the same. */
    deliveryId: text("delivery_id"),
    sourceId: uuid("source_id").references(() => source.id),
    branchId: uuid("branch_id").references(() => branch.id),
    /** What it was about, in identifiers: repository, git branch, Neon branch id. */
    subject: jsonb("subject").$type<Record<string, string>>().notNull().default({}),
    receivedAt: instant("received_at").notNull().defaultNow(),
    outcome: text("outcome").$type<EventOutcome>().notNull().default("pending"),
    reason: text("reason"),
    processedAt: instant("processed_at"),
  },
  (t) => [
    uniqueIndex("event_delivery").on(t.origin, t.deliveryId, t.sourceId).where(sql`delivery_id is not null`),
    index("event_pending").on(t.sourceId).where(sql`outcome = 'pending'`),
    index("event_received").on(t.receivedAt),
    index("event_commit").on(t.sourceId, sql`(subject->>'sha')`).where(sql`subject ? 'sha'`),
    index("event_processed").on(t.processedAt).where(sql`processed_at is not null`),
  ],
);

export type EventRow = typeof event.$inferSelect;
export type NewEvent = Pick<typeof event.$inferInsert, "origin" | "kind"> &
  Partial<
    Pick<typeof event.$inferInsert, "deliveryId" | "sourceId" | "branchId" | "subject" | "outcome" | "reason">
  >;

export async function recordEvent(db: Db, entry: NewEvent): Promise<number> {
  const [row] = await db.insert(event).values(entry).returning({ id: event.id });
  if (row === undefined) throw new Error("event insert returned no row");
  return row.id;
}

export async function recordEvents(db: Db, entries: readonly NewEvent[]): Promise<void> {
  for (const some of chunks(entries)) await db.insert(event).values([...some]);
}

/** The newest event: whatever a run reads from now on is newer than it. */
export async function lastEventId(db: Db): Promise<number> {
  const { rows } = await db.execute<{ id: string | null }>(sql`select max(id) as id from branchline.event`);
  return Number(rows[0]?.id ?? 0);
}

/** Events of a source (or a branch) up to `upTo` have been looked into. */
export async function settleEvents(
  db: Db,
  of: { sourceId: string } | { branchId: string },
  upTo: number,
  reason: string | null = null,
): Promise<void> {
  const owner =
    "sourceId" in of
      ? and(eq(event.sourceId, of.sourceId), sql`${event.branchId} is null`)
      : eq(event.branchId, of.branchId);
  await db
    .update(event)
    .set({ outcome: "processed", processedAt: sql`now()`, reason })
    .where(and(owner, eq(event.outcome, "pending"), lte(event.id, upTo)));
}

/** Whether a commit of a git branch was ever heard of, and Neon looked at since; null: it was not. */
export async function commitHeardOf(
  db: Db,
  sourceId: string,
  { gitBranch, sha }: { readonly gitBranch: string; readonly sha: string },
): Promise<"looked" | "waiting" | null> {
  const { rows } = await db.execute<{ looked: boolean | null }>(sql`
    select bool_or(outcome = 'processed') as looked from branchline.event
    where source_id = ${sourceId} and subject ? 'sha' and subject->>'sha' = ${sha}
      and subject->>'gitBranch' = ${gitBranch} and outcome <> 'ignored'`);
  const looked = rows[0]?.looked ?? null;
  if (looked === null) return null;
  return looked ? "looked" : "waiting";
}

export async function eventById(db: Db, id: number): Promise<EventRow | undefined> {
  const [row] = await db.select().from(event).where(eq(event.id, id));
  return row;
}

/**
 * Makes due again what an event points at, as if it had just come. One that pointed at nothing is resolved anew, by
 * the names of sources that its repository means now, or by its project; for each of them there is an event, as if it
 * had just come, and the one that is there is the first one's. Places that wait for their target look once more. False: it still
 * points at nothing.
 */
export async function reopenEvent(db: Db, row: EventRow, sources: readonly string[]): Promise<boolean> {
  const project = row.subject["project"] ?? null;
  const { rows } = await db.execute<{ id: string }>(sql`
    select id from branchline.source where removed_at is null and (
      id = ${row.sourceId} or (${row.sourceId}::uuid is null and (
        name = any(${sql.param([...sources])}::text[]) or block->>'project' = ${project})))
    order by name`);
  const sourceIds = rows.map((found) => found.id);
  const [first, ...others] = row.sourceId === null ? sourceIds : [row.sourceId];
  if (first === undefined && row.branchId === null) return false;
  await db
    .update(event)
    .set({ sourceId: row.sourceId ?? first ?? null, outcome: "pending", reason: null, processedAt: null })
    .where(eq(event.id, row.id));
  const { origin, kind, deliveryId, subject } = row;
  const more = others.map((sourceId) => ({ origin, kind, deliveryId, subject, sourceId }));
  if (more.length > 0) await db.insert(event).values(more).onConflictDoNothing();
  await markDue(db, "source", sourceIds);
  await wakePlaces(db, sourceIds);
  if (row.branchId !== null) await markDue(db, "branch", [row.branchId]);
  return true;
}
