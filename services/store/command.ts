/** What a person tells a binding to do. Each is one transaction, which holds the binding and its places. */
import { eq, inArray, sql } from "drizzle-orm";
import type { Adoption } from "../sync/model.ts";
import { type BindingRow, binding, lockBindings } from "./binding.ts";
import { type BranchRow, branch } from "./branch.ts";
import { type Db, withoutDeadlock } from "./db.ts";
import { type DestinationRow, destination } from "./destination.ts";
import { ledger, placesOf } from "./ledger.ts";
import { place } from "./place.ts";
import { type RuleRow, rule } from "./rule.ts";
import { forgiveDeaths, markDue } from "./work.ts";

/** A binding with what is needed to judge a command, locked until the transaction ends. */
export interface Held {
  readonly binding: BindingRow;
  readonly rule: RuleRow;
  readonly branch: BranchRow;
  readonly destination: DestinationRow;
  /** Where it lives and where it has left names behind. */
  readonly places: readonly string[];
}

/** Runs `body` with the binding in hand; null if there is none with this id. */
export async function withBinding<T>(
  db: Db,
  id: string,
  body: (tx: Db, held: Held) => Promise<T>,
): Promise<T | null> {
  return await withoutDeadlock(
    async () =>
      await db.transaction(async (tx) => {
        const held = await hold(tx, id);
        return held === null ? null : await body(tx, held);
      }),
  );
}

async function hold(tx: Db, id: string): Promise<Held | null> {
  const places = await placesOfBinding(tx, id);
  // Places before bindings, as a push does.
  await tx.select().from(place).where(inArray(place.id, places)).orderBy(place.id).for("update");
  const [locked] = await lockBindings(tx, [id]);
  const [found] = await tx
    .select({ rule, branch, destination })
    .from(binding)
    .innerJoin(rule, eq(rule.id, binding.ruleId))
    .innerJoin(branch, eq(branch.id, binding.branchId))
    .innerJoin(destination, eq(destination.id, rule.destinationId))
    .where(eq(binding.id, id));
  return locked === undefined || found === undefined ? null : { binding: locked, ...found, places };
}

async function placesOfBinding(tx: Db, id: string): Promise<string[]> {
  const [row] = await tx.select({ placeId: binding.placeId }).from(binding).where(eq(binding.id, id));
  return [...new Set([...(row?.placeId == null ? [] : [row.placeId]), ...(await placesOf(tx, id))])];
}

/**
 * One more generation of what is wanted anyway: everything is looked at again, and drift that waited is repaired.
 * Workers that died of it count no more; resolves with whether any had.
 */
export async function pushByHand(tx: Db, { binding: row, branch: of, places }: Held): Promise<boolean> {
  await tx.execute(sql`
    update branchline.binding set wanted = wanted + 1,
      causes = case when applied >= wanted then '{}' else causes end,
      state = case when suspended_at is null then 'pending' else state end, since = now(),
      code = null, cause = null, next = null
    where id = ${row.id} and suspended_at is null`);
  await markDue(tx, "place", places);
  await markDue(tx, "branch", [of.id]);
  const atPlaces = await forgiveDeaths(tx, "place", places);
  return (await forgiveDeaths(tx, "branch", [of.id])) || atPlaces;
}

export async function suspendBinding(tx: Db, { binding: row }: Held): Promise<void> {
  await tx.execute(sql`
    update branchline.binding set suspended_at = coalesce(suspended_at, now()), state = 'suspended',
      since = case when state = 'suspended' then since else now() end,
      code = null, cause = 'somebody stopped it', next = 'Resume it when it may be written again.'
    where id = ${row.id}`);
}

/** What others changed so far is forgotten, so that a fight that is over parks nothing any more. */
export async function resumeBinding(tx: Db, held: Held): Promise<boolean> {
  const { id } = held.binding;
  await tx.update(binding).set({ suspendedAt: null }).where(eq(binding.id, id));
  await tx.update(ledger).set({ drifts: 0, driftsSince: null }).where(eq(ledger.bindingId, id));
  return await pushByHand(tx, held);
}

/**
 * Its names are nobody's any more: they stay at the vendor as they are, and nothing of it is written. One whose
 * branch is gone has nothing left.
 */
export async function releaseBinding(tx: Db, { binding: row, branch: of }: Held): Promise<string[]> {
  const given = await tx.delete(ledger).where(eq(ledger.bindingId, row.id)).returning({ name: ledger.name });
  const over = row.leaving || row.state === "retained" || row.state === "removed" || of.goneAt !== null;
  await tx.execute(
    over
      ? sql`update branchline.binding set state = 'removed', leaving = false, since = now(),
          code = null, cause = null, next = null where id = ${row.id}`
      : sql`update branchline.binding set state = 'suspended', suspended_at = now(), since = now(), adopt = null,
          code = null, cause = 'released: its names were given back and stay as they are',
          next = 'Adopt the names and resume the binding to take them back.' where id = ${row.id}`,
  );
  return [...new Set(given.map(({ name }) => name))].sort();
}

/** Hands over names for the next pushes, until one goes well. */
export async function adoptNames(tx: Db, held: Held, adoption: Adoption): Promise<void> {
  await tx.update(binding).set({ adopt: adoption }).where(eq(binding.id, held.binding.id));
  await pushByHand(tx, held);
}
