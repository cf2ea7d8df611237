/** Places pass to a successor: a branch made again under its name, or a rule under a new name. */
import { sql } from "drizzle-orm";
import { setState } from "./binding.ts";
import type { Db } from "./db.ts";
import { passNames } from "./ledger.ts";

/**
 * Hands to `bindingId` the names it wants at the place whose owner is no longer in force: its branch is
 * gone, its rule has left the file, or it has been told to leave. A pending delete of these names is
 * thereby cancelled. An owner that has nothing left is removed.
 */
export async function takeOver(
  tx: Db,
  placeId: string,
  names: readonly string[],
  bindingId: string,
): Promise<void> {
  const { rows } = await tx.execute<{ name: string; owner: string }>(sql`
    select l.name, l.binding_id as owner
    from branchline.ledger l
    join branchline.binding b on b.id = l.binding_id
    join branchline.branch br on br.id = b.branch_id
    join branchline.rule r on r.id = b.rule_id
    where l.place_id = ${placeId} and l.binding_id <> ${bindingId}
      and l.name = any(${sql.param([...names])}::text[])
      and (br.gone_at is not null or r.orphaned_at is not null or b.leaving
           or b.place_id is distinct from l.place_id or b.state in ('removed', 'retained'))
    order by l.name for update of l, b`);
  await passNames(
    tx,
    placeId,
    rows.map((row) => row.name),
    bindingId,
  );
  for (const owner of new Set(rows.map((row) => row.owner))) {
    const left = await tx.execute(sql`select 1 from branchline.ledger where binding_id = ${owner} limit 1`);
    if (left.rows.length === 0) await setState(tx, [owner], "removed");
  }
}
