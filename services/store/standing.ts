/** How a branch stands, and which bindings have changed lately. */
import { eq, sql } from "drizzle-orm";
import { branch, isUnread } from "./branch.ts";
import type { Db } from "./db.ts";
import { type BindingItem, getBinding, getBranch, listBindings } from "./views.ts";
import { seesBinding, type Visible } from "./visible.ts";

export interface Stand {
  readonly branch: { readonly id: string; readonly name: string; readonly source: string };
  readonly unread: boolean;
  readonly heldUntil: string | null;
  readonly bindings: readonly BindingItem[];
}

/** Of the destinations that are named, or of all; what is over counts no more. Null: no such branch. */
export async function standOf(
  db: Db,
  branchId: string,
  destinations: readonly string[] | null,
  visible: Visible | null,
): Promise<Stand | null> {
  const found = await getBranch(db, branchId, visible);
  if (found === null) return null;
  const [row] = await db
    .select({
      unread: sql<boolean>`${branch.leaseUntil} is not null or ${branch.goneAt} is null and ${isUnread}`,
    })
    .from(branch)
    .where(eq(branch.id, branchId));
  const filter = { branch: branchId };
  const all = await listBindings(db, { limit: 1_000, after: null, filter, visible });
  const bindings = (all?.items ?? []).filter(
    ({ state, destination }) =>
      state !== "removed" && state !== "retained" && (destinations?.includes(destination) ?? true),
  );
  const { id, name, source, heldUntil } = found;
  return { branch: { id, name, source }, unread: row?.unread ?? false, heldUntil, bindings };
}

export interface ChangedBinding {
  readonly id: string;
  readonly at: Date;
  /** Everything about it that counts as a change, in one word. */
  readonly state: string;
}

/** Bindings that came into their state since then, the oldest change first. */
export async function bindingsChangedSince(
  db: Db,
  since: Date,
  visible: Visible | null,
): Promise<ChangedBinding[]> {
  const { rows } = await db.execute<{ id: string; at: string; state: string }>(sql`
    select n.id, n.since as at, concat_ws('/', n.state, n.code, n.wanted, n.applied, n.since) as state
    from branchline.binding n
    join branchline.rule r on r.id = n.rule_id
    join branchline.destination d on d.id = r.destination_id
    join branchline.branch b on b.id = n.branch_id
    join branchline.source s on s.id = b.source_id
    where n.since > ${since.toISOString()}::timestamptz and ${seesBinding(visible)}
    order by n.since, n.id`);
  return rows.map((row) => ({ ...row, at: new Date(row.at) }));
}

/** As they are now; in no order, and without those that are not there. */
export async function bindingItems(
  db: Db,
  ids: readonly string[],
): Promise<ReadonlyMap<string, BindingItem>> {
  const items = await Promise.all(ids.map(async (id) => await getBinding(db, id)));
  return new Map(items.flatMap((item) => (item === null ? [] : [[item.id, item]])));
}
