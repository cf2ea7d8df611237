/** What was configured last, as a whole: by which revision, and what has no table of its own. */
import { sql } from "drizzle-orm";
import { bigint, boolean, jsonb, text } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { counter, instant } from "./work.ts";

export const configuration = branchline.table("configuration", {
  /** There is one. */
  one: boolean("one").primaryKey().default(true),
  /** As the document says it; null: it says none. */
  revision: bigint("revision", { mode: "number" }),
  /** Of everything that was declared: equal content is not taken in twice. */
  digest: text("digest").notNull(),
  /** +1 whenever something was taken in: a plan was made from one of them. */
  version: counter("version"),
  /** Webhook secrets as references, intervals: what every process goes by, and reads again when `version` moved. */
  settings: jsonb("settings").notNull(),
  appliedAt: instant("applied_at").notNull().defaultNow(),
});

export type ConfigurationRow = typeof configuration.$inferSelect;

/** Undefined before anything was configured. */
export async function configurationRow(db: Db): Promise<ConfigurationRow | undefined> {
  const [row] = await db.select().from(configuration);
  return row;
}

/** How often something was taken in; 0: never. Small enough to be asked every second. */
export async function configurationVersion(db: Db): Promise<number> {
  const [row] = await db.select({ version: configuration.version }).from(configuration);
  return row?.version ?? 0;
}

/** Notes what has just been taken in. In the transaction that takes it in. */
export async function noteConfiguration(
  tx: Db,
  told: { readonly revision: number | null; readonly digest: string; readonly settings: unknown },
): Promise<void> {
  await tx
    .insert(configuration)
    .values({ ...told, version: 1 })
    .onConflictDoUpdate({
      target: configuration.one,
      set: { ...told, version: sql`${configuration.version} + 1`, appliedAt: sql`now()` },
    });
}
