/** Places pass to a successor: a branch made again under its name, or a rule under a new name. */
import { sql } from "drizzle-orm";
import { setState } from "./binding.ts";
import type { Db } from "./db.ts";
import { passNames } from "./ledger.ts";

export interface Claimant {
  readonly placeId: string;
  readonly bindingId: string;
  /** What it wants there. */
  readonly names: readonly string[];
}

/**
 * Hands to each claimant the names it wants whose owner is no longer in force: its branch or its rule is
 * gone, or it has been told to leave, or to leave behind what it has. A pending delete of these names is
 * thereby cancelled. Owners that have nothing left are removed.
 */
export async function takeOver(
  tx: Db,
  claimants: readonly Claimant[],
): Promise<{ readonly heirs: ReadonlySet<string>; readonly removed: ReadonlySet<string> }> {
  if (claimants.length === 0) return { heirs: new Set(), removed: new Set() };
  const wishes = claimants.map(({ placeId, bindingId, names }) => ({
    place_id: placeId,
    heir: bindingId,
    names,
  }));
  const { rows } = await tx.execute<{ place_id: string; name: string; owner: string; heir: string }>(sql`
    select l.place_id, l.name, l.binding_id as owner, w.heir
    from jsonb_to_recordset(${JSON.stringify(wishes)}::jsonb) as w(place_id uuid, heir uuid, names jsonb)
    join branchline.ledger l on l.place_id = w.place_id and l.binding_id <> w.heir
      and jsonb_exists(w.names, l.name)
    join branchline.binding b on b.id = l.binding_id
    join branchline.branch br on br.id = b.branch_id
    join branchline.rule r on r.id = b.rule_id
    where br.gone_at is not null or r.orphaned_at is not null or b.leaving
       or b.place_id is distinct from l.place_id or b.state in ('removed', 'retained')
    order by l.place_id, l.name for no key update of l, b`);
  for (const { placeId, bindingId } of claimants) {
    const mine = rows.filter((row) => row.place_id === placeId && row.heir === bindingId);
    await passNames(
      tx,
      placeId,
      mine.map((row) => row.name),
      bindingId,
    );
  }
  const removed = new Set<string>();
  for (const owner of new Set(rows.map((row) => row.owner))) {
    const left = await tx.execute(sql`select 1 from branchline.ledger where binding_id = ${owner} limit 1`);
    if (left.rows.length > 0) continue;
    await setState(tx, [owner], "removed");
    removed.add(owner);
  }
  return { heirs: new Set(rows.map((row) => row.heir)), removed };
}
