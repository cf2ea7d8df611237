/** One row, kept as it is until the transaction ends. */
import { sql } from "drizzle-orm";
import type { Db } from "./db.ts";

export type Lockable = "source" | "branch" | "destination" | "event" | "installation";

/** No stronger than an update: whoever only refers to the row does not wait. */
export async function lockRow(tx: Db, table: Lockable, id: string): Promise<void> {
  await tx.execute(sql`select 1 from branchline.${sql.raw(table)} where id::text = ${id} for no key update`);
}
