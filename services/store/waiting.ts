/** Places whose target was missing when somebody last looked: what has just happened may have made it. */
import { type SQL, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { marked } from "./trail.ts";
import { makingDue } from "./work.ts";

/** The statement that makes those of these sources due, `sources` being a list or a query of their ids. */
export const wakingPlaces = (sources: SQL): SQL =>
  makingDue(
    "place",
    sql`array(
      select distinct b.place_id from branchline.binding b join branchline.rule r on r.id = b.rule_id
      where b.code = 'target_missing' and b.state <> 'removed' and r.source_id in (${sources}))`,
    sql`now()`,
    sql`, causes = ${marked(sql`t.causes`)}`,
  );

export async function wakePlaces(db: Db, sourceIds: readonly string[]): Promise<void> {
  await db.execute(wakingPlaces(sql`select unnest(${sql.param([...sourceIds])}::uuid[])`));
}
