/** How far everything has come. */
import { sql } from "drizzle-orm";
import type { Code } from "../sync/errors.ts";
import type { Db } from "./db.ts";

export interface Parked {
  readonly rule: string;
  readonly branch: string;
  readonly code: Code | null;
  readonly cause: string | null;
  readonly next: string | null;
}

/** Rows that are due or worked on, bindings on their way, and those that stand still until something changes. */
export async function countProgress(db: Db): Promise<{ working: number; parked: readonly Parked[] }> {
  const { rows } = await db.execute<{ working: number }>(sql`
    select (
      (select count(*) from branchline.source
        where removed_at is null and (listed_at is null or due_at <= now() or lease_until > now()))
      + (select count(*) from branchline.branch b join branchline.source s on s.id = b.source_id
        where s.removed_at is null and (b.due_at <= now() or b.lease_until > now()))
      + (select count(*) from branchline.place p join branchline.destination d on d.id = p.destination_id
        where d.removed_at is null and d.suspended_at is null and (p.due_at <= now() or p.lease_until > now()))
      + (select count(*) from branchline.binding where state in ('pending', 'pushing', 'retrying'))
    )::int as working`);
  const parked = await db.execute(sql`
    select r.name as rule, b.name as branch, n.code, n.cause, n.next
    from branchline.binding n
    join branchline.rule r on r.id = n.rule_id
    join branchline.branch b on b.id = n.branch_id
    where n.state = 'parked' order by r.name, b.name`);
  // The select above is what gives the rows this shape.
  return { working: rows[0]?.working ?? 0, parked: parked.rows as unknown as Parked[] };
}
