import { sql } from "drizzle-orm";
import { openDatabase } from "../../services/store/db.ts";
import { until } from "./until.ts";

/** Whatever `sessions` of the database say to the places in `work` waits until all of them have said it. */
export async function allAtOnce<T>(url: string, sessions: number, work: () => Promise<T>): Promise<T> {
  const { db, transaction, close } = openDatabase({ url, max: 2 });
  try {
    const done = await transaction(async (tx) => {
      await tx.execute(sql`select 1 from branchline.place for update`);
      const working = work();
      await until(
        async () => {
          const { rows } = await db.execute(sql`
            select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`);
          return rows.length === sessions;
        },
        { what: `${sessions} sessions to wait for the places` },
      );
      return { working };
    });
    return await done.working;
  } finally {
    await close();
  }
}
