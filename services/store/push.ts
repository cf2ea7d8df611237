/** The history of pushes: one row per attempt at a place. */
import { sql } from "drizzle-orm";
import { index, integer, jsonb, text, uuid } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { place } from "./place.ts";
import { trail } from "./trail.ts";
import { counter, instant } from "./work.ts";

/** What one push did for one binding. */
export interface PushResult {
  readonly outcome: string;
  readonly code: string | null;
  readonly cause: string | null;
  readonly next: string | null;
}

export const push = branchline.table(
  "push",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    placeId: uuid("place_id")
      .notNull()
      .references(() => place.id),
    /** Kept over the repeats of one push; null if it never came to a claim. */
    intent: uuid("intent"),
    epoch: counter("epoch"),
    startedAt: instant("started_at").notNull(),
    finishedAt: instant("finished_at").notNull().defaultNow(),
    outcome: text("outcome").notNull(),
    code: text("code"),
    cause: text("cause"),
    next: text("next"),
    written: integer("written").notNull().default(0),
    deleted: integer("deleted").notNull().default(0),
    calls: integer("calls").notNull().default(0),
    /** Step name to milliseconds. */
    steps: jsonb("steps").$type<Record<string, number>>().notNull(),
    bindings: uuid("bindings").array().notNull(),
    /** Binding to what became of it. */
    results: jsonb("results").$type<Record<string, PushResult>>().notNull().default({}),
    /** What led to it, and itself. */
    causes: trail("causes"),
  },
  (t) => [
    index("push_place").on(t.placeId, t.startedAt),
    index("push_started").on(t.startedAt, t.id),
    index("push_bindings").using("gin", t.bindings),
    index("push_causes").using("gin", t.causes),
  ],
);

/** `causes`: of the place and of the bindings that wanted more, as they were when the push was loaded. */
export async function recordPush(
  db: Db,
  { causes, ...entry }: Omit<typeof push.$inferInsert, "causes"> & { causes: readonly string[] },
): Promise<void> {
  const known = sql`${sql.param([...new Set(causes)])}::timestamptz[]`;
  await db.insert(push).values({ ...entry, causes: sql`now() || ${known}` });
}
