/** Intervals became shorter: what was put off by the longer ones comes sooner. */
import { sql } from "drizzle-orm";
import type { Db } from "./db.ts";

/** Milliseconds. Nothing is put off by it, and doing it twice does no harm. */
export async function hasten(
  db: Db,
  { watchEveryMs, sweepEveryMs }: { readonly watchEveryMs: number; readonly sweepEveryMs: number },
): Promise<void> {
  await db.execute(sql`
    update branchline.source set due_at = now() + ${watchEveryMs}::float8 * interval '1 ms'
    where removed_at is null and due_at > now() + ${watchEveryMs}::float8 * interval '1 ms'`);
  // Spread, so that not every place is looked at in the same moment.
  await db.execute(sql`
    update branchline.place set sweep_at = now() + random() * ${sweepEveryMs}::float8 * interval '1 ms'
    where sweep_at > now() + ${sweepEveryMs}::float8 * interval '1 ms'`);
}
