/** One target of a destination, unique in SQL. Lease, epoch and ledger belong to it. */
import { eq, inArray, sql } from "drizzle-orm";
import { boolean, index, integer, jsonb, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { destination } from "./destination.ts";
import { trail, without } from "./trail.ts";
import { instant, workColumns } from "./work.ts";

export const place = branchline.table(
  "place",
  {
    ...workColumns,
    destinationId: uuid("destination_id")
      .notNull()
      .references(() => destination.id),
    /** From the adapter: the same place always gives the same string. */
    key: text("key").notNull(),
    container: text("container").notNull(),
    target: jsonb("target").notNull(),
    /** An answer was ambiguous or a lease was taken over: from then on everything is written again, once. */
    settleAt: instant("settle_at"),
    /** The vendor's secret holds names that are not ours: contents must be read before a write. */
    shared: boolean("shared").notNull().default(false),
    /** What consumers name it by, where the vendor has a name of its own for it: an ARN. */
    reference: text("reference"),
    /** Of the claim in progress: kept over repeats of the same push. */
    intent: uuid("intent"),
    intentFingerprint: text("intent_fingerprint"),
    token: uuid("token"),
    /** When the sweep looks at it next, at the latest; null: it had no names of ours when it was looked at. */
    sweepAt: instant("sweep_at"),
    /** Sweeps in a row that came to nothing. */
    sweepTries: integer("sweep_tries").notNull().default(0),
    /** What made it due without any binding wanting more. */
    causes: trail("causes"),
  },
  (t) => [
    uniqueIndex("place_key").on(t.destinationId, t.key),
    index("place_due").on(t.dueAt).where(sql`due_at is not null`),
    index("place_waiting").on(t.destinationId, t.dueAt).where(sql`due_at is not null`),
    index("place_busy").on(t.destinationId).where(sql`lease_until is not null or queued_until is not null`),
    index("place_sweep").on(t.destinationId, t.sweepAt),
    index("place_container").on(t.destinationId, t.container),
  ],
);

export type PlaceRow = typeof place.$inferSelect;

export async function placeById(db: Db, id: string): Promise<PlaceRow | undefined> {
  const [row] = await db.select().from(place).where(eq(place.id, id));
  return row;
}

export interface NewPlace {
  readonly destinationId: string;
  readonly key: string;
  readonly container: string;
  readonly target: unknown;
}

/** Finds or makes the rows of places; their ids in order. */
export async function ensurePlaces(
  db: Db,
  places: readonly NewPlace[],
  sweepEveryMs: number,
): Promise<(string | undefined)[]> {
  if (places.length === 0) return [];
  const keyOf = (one: { destinationId: string; key: string }): string => `${one.destinationId}\n${one.key}`;
  // Two rules may aim at one place; in a fixed order, so that two callers cannot deadlock.
  const distinct = [...new Map(places.map((one) => [keyOf(one), one])).values()];
  const sweepAt = sql`now() + random() * ${sweepEveryMs} * interval '1 ms'`;
  const rows = await db
    .insert(place)
    .values(
      distinct
        .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
        .map(({ destinationId, key, container, target }) => ({
          destinationId,
          key,
          container,
          target,
          sweepAt,
        })),
    )
    .onConflictDoUpdate({
      target: [place.destinationId, place.key],
      set: { target: sql`excluded.target`, container: sql`excluded.container` },
    })
    .returning({ id: place.id, destinationId: place.destinationId, key: place.key });
  const ids = new Map(rows.map((row) => [keyOf(row), row.id]));
  return places.map((one) => ids.get(keyOf(one)));
}

/** What the last push saw and did: foreign names in the secret, and whether all is settled again. */
export async function setPlaceSeen(
  db: Db,
  id: string,
  seen: {
    shared: boolean;
    settled: boolean;
    finished: boolean;
    reference: string | null | undefined;
    /** It may have names again, and is swept within so long. */
    sweepEveryMs: number;
  },
): Promise<void> {
  await db
    .update(place)
    .set({
      shared: seen.shared,
      sweepAt: sql`coalesce(${place.sweepAt}, now() + ${seen.sweepEveryMs} * interval '1 ms')`,
      ...(seen.reference === undefined ? {} : { reference: seen.reference }),
      ...(seen.finished ? { intent: null } : {}),
      // What was put in doubt while this push ran stays so.
      ...(seen.settled
        ? { settleAt: sql`case when ${place.settleAt} > now() then ${place.settleAt} end` }
        : {}),
    })
    .where(eq(place.id, id));
}

export interface Intent {
  readonly intent: string;
  readonly token: string;
}

/**
 * The intent of a push, kept while it is repeated: its id until it is recorded, its token as long as the
 * desired values stay the same. A value that changed gets a new token, since a vendor that has seen a
 * token before takes the second call for a repeat of the first.
 */
export async function openIntent(db: Db, id: string, desired: string): Promise<Intent> {
  const { rows } = await db.execute<{ intent: string; token: string }>(sql`
    update branchline.place set
      intent = coalesce(intent, gen_random_uuid()),
      token = case when intent_fingerprint = ${desired} and intent is not null then token else gen_random_uuid() end,
      intent_fingerprint = ${desired}
    where id = ${id}
    returning intent, token`);
  const [row] = rows;
  if (row === undefined) throw new Error("intent was not stored");
  return row;
}

/** Everything at the place is written again after `delayMs`, unconditionally. */
export async function unsettle(db: Db, id: string, delayMs: number): Promise<void> {
  await db
    .update(place)
    .set({ settleAt: sql`greatest(${place.settleAt}, now() + ${delayMs} * interval '1 ms')` })
    .where(eq(place.id, id));
}

/** What is due at the place is due because of this event. */
export async function noteCause(db: Db, id: string, eventId: number): Promise<void> {
  await db.execute(sql`
    update branchline.place p set causes = (e.received_at || p.causes)[1:32]
    from branchline.event e where p.id = ${id} and e.id = ${eventId}`);
}

/** These marks have led to a push. */
export async function forgetCauses(db: Db, id: string, causes: readonly string[]): Promise<void> {
  if (causes.length === 0) return;
  await db
    .update(place)
    .set({ causes: without(place.causes, causes) })
    .where(eq(place.id, id));
}

/** The next sweep is now: what the vendor shows is compared with the ledger, without a push unless they differ. */
export async function sweepPlaces(db: Db, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await db
    .update(place)
    .set({ sweepAt: sql`now()` })
    .where(inArray(place.id, [...ids]));
}
