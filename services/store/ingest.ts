/**
 * Takes in what webhooks say, many at a time: one transaction writes the events and makes due what they
 * point at. When it returns, they are on disk.
 */
import { sql } from "drizzle-orm";
import { placesParkedFor } from "./binding.ts";
import { type Db, withoutDeadlock } from "./db.ts";
import { type EventOutcome, event, eventsByDelivery } from "./event.ts";
import { markDue } from "./work.ts";

/** One delivery, worked out as far as it goes without the database. */
export interface Incoming {
  readonly origin: string;
  readonly deliveryId: string;
  readonly kind: string;
  /** Names of sources that it points at. */
  readonly sources: readonly string[];
  /** Or the project that it points at, in the vendor's terms. */
  readonly project: string | null;
  /** A branch of that project; null: all of it. */
  readonly neonBranchId: string | null;
  /** A git branch may have appeared: wake what waits for one. */
  readonly wakes: boolean;
  readonly subject: Readonly<Record<string, string>>;
  /** Set: it is only recorded. */
  readonly ignored: string | null;
}

export interface Taken {
  readonly id: string;
  readonly outcome: "accepted" | "duplicate" | "ignored";
  readonly reason: string | null;
}

interface Resolved {
  readonly incoming: Incoming;
  readonly sourceIds: readonly string[];
  readonly branchIds: readonly string[];
  readonly reason: string | null;
}

const keyOf = (one: { origin: string; deliveryId: string | null }): string =>
  `${one.origin}\n${one.deliveryId}`;

/** One answer per delivery, in order. */
export async function ingest(db: Db, batch: readonly Incoming[]): Promise<Taken[]> {
  // Two batches that hold the same deliveries in another order would wait for each other.
  return await withoutDeadlock(async () => await db.transaction(async (tx) => await take(tx, batch)));
}

async function take(tx: Db, batch: readonly Incoming[]): Promise<Taken[]> {
  const known = await seenBefore(tx, batch);
  const resolve = await resolver(tx, batch);
  const fresh = new Map<string, Resolved>();
  const again: Resolved[] = [];
  for (const incoming of batch) {
    const before = known.get(keyOf(incoming));
    if (before === undefined) fresh.set(keyOf(incoming), resolve(incoming));
    // Received but not handled: it counts anew, under the number it has.
    else if (before.outcome === "pending") again.push(resolve(incoming));
  }
  const ids = await write(tx, [...fresh.values()]);
  await wake(tx, [...fresh.values(), ...again]);
  return batch.map((incoming): Taken => {
    const before = known.get(keyOf(incoming));
    const reason = fresh.get(keyOf(incoming))?.reason ?? null;
    const id = String(before?.id ?? ids.get(keyOf(incoming)) ?? 0);
    if (before === undefined) return { id, outcome: reason === null ? "accepted" : "ignored", reason };
    if (before.outcome === "pending") return { id, outcome: "accepted", reason: null };
    const outcome = before.outcome === "ignored" ? "ignored" : "duplicate";
    return { id, outcome, reason: "this delivery was handled before" };
  });
}

async function wake(tx: Db, all: readonly Resolved[]): Promise<void> {
  const distinct = (ids: readonly string[]): string[] => [...new Set(ids)];
  const waking = all.filter(({ incoming }) => incoming.wakes).flatMap((one) => one.sourceIds);
  await markDue(tx, "source", distinct(all.flatMap((one) => one.sourceIds)));
  await markDue(tx, "branch", distinct(all.flatMap((one) => one.branchIds)));
  await markDue(tx, "place", await placesParkedFor(tx, distinct(waking), "target_missing"));
}

async function seenBefore(tx: Db, batch: readonly Incoming[]) {
  const known = new Map<string, { id: number; outcome: EventOutcome }>();
  for (const origin of new Set(batch.map((one) => one.origin))) {
    const ids = batch.filter((one) => one.origin === origin).map((one) => one.deliveryId);
    for (const row of await eventsByDelivery(tx, origin, ids)) {
      known.set(keyOf({ origin, deliveryId: row.deliveryId }), { id: row.id, outcome: row.outcome });
    }
  }
  return known;
}

/** Looks up all sources and branches that the batch names, in two queries. */
async function resolver(tx: Db, batch: readonly Incoming[]): Promise<(incoming: Incoming) => Resolved> {
  const { rows: sources } = await tx.execute<{ id: string; name: string; project: string | null }>(sql`
    select id, name, block->>'project' as project from branchline.source where removed_at is null`);
  const wanted = batch.flatMap((one) => one.neonBranchId ?? []);
  const { rows: branches } =
    wanted.length === 0
      ? { rows: [] }
      : await tx.execute<{ id: string; source_id: string; neon_id: string }>(sql`
          select id, source_id, neon_id from branchline.branch
          where neon_id = any(${sql.param(wanted)}::text[]) and gone_at is null`);
  return (incoming) => {
    const nothing = (reason: string): Resolved => ({ incoming, sourceIds: [], branchIds: [], reason });
    if (incoming.ignored !== null) return nothing(incoming.ignored);
    const meant = sources.filter((row) =>
      incoming.project === null ? incoming.sources.includes(row.name) : row.project === incoming.project,
    );
    if (meant.length === 0) {
      return nothing(
        incoming.project === null ? "no source is configured for it" : "no such project is configured",
      );
    }
    const sourceIds = meant.map((row) => row.id);
    if (incoming.neonBranchId === null) return { incoming, sourceIds, branchIds: [], reason: null };
    const branchIds = branches
      .filter((row) => row.neon_id === incoming.neonBranchId && sourceIds.includes(row.source_id))
      .map((row) => row.id);
    if (branchIds.length === 0 && incoming.kind !== "branch.created")
      return nothing("no such branch is known");
    return { incoming, sourceIds, branchIds, reason: null };
  };
}

/** One row per delivery and source; the first one's id stands for the delivery. */
async function write(tx: Db, all: readonly Resolved[]): Promise<Map<string, number>> {
  if (all.length === 0) return new Map();
  const rows = all.flatMap(({ incoming, sourceIds, reason }) =>
    (sourceIds.length === 0 ? [null] : sourceIds).map((sourceId) => ({
      origin: incoming.origin,
      kind: incoming.kind,
      deliveryId: incoming.deliveryId,
      sourceId,
      subject: { ...incoming.subject },
      outcome: reason === null ? ("pending" as const) : ("ignored" as const),
      reason,
    })),
  );
  const { id, origin, deliveryId } = event;
  const written = await tx
    .insert(event)
    .values(rows)
    .onConflictDoNothing()
    .returning({ id, origin, deliveryId });
  const ids = new Map<string, number>();
  for (const row of written.toReversed()) ids.set(keyOf(row), row.id);
  return ids;
}
