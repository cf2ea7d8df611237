/** What the user wrote: which branches of a source go to which target of a destination. */
import { and, eq, isNull, type SQL, sql } from "drizzle-orm";
import { index, jsonb, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { SyncError } from "../sync/errors.ts";
import type { Rule } from "../sync/model.ts";
import { branchline, type Db } from "./db.ts";
import { type DestinationRow, destination } from "./destination.ts";
import { source } from "./source.ts";
import { counter, instant } from "./work.ts";

export const rule = branchline.table(
  "rule",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    name: text("name").notNull(),
    sourceId: uuid("source_id")
      .notNull()
      .references(() => source.id),
    destinationId: uuid("destination_id")
      .notNull()
      .references(() => destination.id),
    definition: jsonb("definition").$type<Rule>().notNull(),
    revision: counter("revision"),
    /** It left the file: what it wrote stays and is no longer kept in step by a new rule of that name. */
    orphanedAt: instant("orphaned_at"),
    /** Somebody has said that what it wrote need not be kept in step any longer. */
    prunedAt: instant("pruned_at"),
  },
  (t) => [
    uniqueIndex("rule_name").on(t.name).where(sql`orphaned_at is null`),
    index("rule_source").on(t.sourceId),
  ],
);

export type RuleRow = typeof rule.$inferSelect;
export interface RuleWithDestination {
  readonly rule: RuleRow;
  readonly destination: DestinationRow;
}

export async function ruleById(db: Db, id: string): Promise<RuleRow | undefined> {
  const [row] = await db.select().from(rule).where(eq(rule.id, id));
  return row;
}

/** The rule in force under a name, whatever its source: there is one or none. */
export async function ruleInForce(db: Db, name: string): Promise<RuleRow | undefined> {
  const [row] = await db
    .select()
    .from(rule)
    .where(and(eq(rule.name, name), isNull(rule.orphanedAt)));
  return row;
}

/** The rules of a branch's source, as `rulesOf`. */
export async function rulesAround(db: Db, branchId: string): Promise<RuleWithDestination[]> {
  return await rulesWhere(
    db,
    sql`${rule.sourceId} = (select source_id from branchline.branch where id = ${branchId})`,
  );
}

/** The rules of a source; those that left the file are marked and keep what they have, until they are pruned. */
export async function rulesOf(db: Db, sourceId: string): Promise<RuleWithDestination[]> {
  return await rulesWhere(db, eq(rule.sourceId, sourceId));
}

async function rulesWhere(db: Db, condition: SQL): Promise<RuleWithDestination[]> {
  return await db
    .select({ rule, destination })
    .from(rule)
    .innerJoin(destination, eq(destination.id, rule.destinationId))
    .where(and(condition, isNull(rule.prunedAt)))
    .orderBy(rule.name);
}

/** As it was when it was loaded. */
export type RuleRead = Pick<RuleRow, "id" | "revision">;

/**
 * Keeps rules as they were read for the rest of the transaction. Whoever changes one finds the binding that is made
 * of it meanwhile; whoever has just changed one, or is about to, is not waited for, since he waits for our branch: that
 * throws `conflict`.
 */
export async function holdRules(db: Db, rules: readonly RuleRead[]): Promise<void> {
  if (rules.length === 0) return;
  const { rowCount } = await db.execute(sql`
    select 1 from branchline.rule r
    join jsonb_to_recordset(${JSON.stringify(rules.map(({ id, revision }) => ({ id, revision })))}::jsonb)
      as n(id uuid, revision bigint) on n.id = r.id and n.revision = r.revision
    where r.orphaned_at is null
    for share of r skip locked`);
  if ((rowCount ?? 0) === rules.length) return;
  throw new SyncError("conflict", "a rule was changed while one of its branches was read");
}
