/** The names we own at a place. Written before the vendor is, and never deleted on a guess. */
import { and, eq, inArray, notInArray, type SQL, sql } from "drizzle-orm";
import { bigint, boolean, index, integer, primaryKey, text, uuid } from "drizzle-orm/pg-core";
import { SyncError } from "../sync/errors.ts";
import type { LedgerEntry } from "../sync/model.ts";
import type { Fingerprint } from "../sync/ports.ts";
import { binding } from "./binding.ts";
import { answered, branchline, type Db } from "./db.ts";
import { groupedBy } from "./grouped.ts";
import { login } from "./login.ts";
import { place } from "./place.ts";
import { instant } from "./work.ts";

export const ledger = branchline.table(
  "ledger",
  {
    placeId: uuid("place_id")
      .notNull()
      .references(() => place.id),
    name: text("name").notNull(),
    bindingId: uuid("binding_id")
      .notNull()
      .references(() => binding.id),
    fingerprint: text("fingerprint"),
    version: text("version"),
    claimedAt: instant("claimed_at").notNull().defaultNow(),
    /** Fingerprints of what was claimed since the last record. */
    claims: text("claims").array().notNull().default(sql`'{}'`),
    confirmed: boolean("confirmed").notNull().default(false),
    /** The last claim was to take it away. */
    deleting: boolean("deleting").notNull().default(false),
    /** A write was recorded, or the name was found to be ours: whatever a later claim becomes, it is. */
    writtenAt: instant("written_at"),
    /** Since `driftsSince`, which moves on when 24 hours have passed without one. */
    drifts: integer("drifts").notNull().default(0),
    driftsSince: instant("drifts_since"),
    /** Whose value it holds, in which generation, since when; null: nothing secret, or not known. */
    loginId: uuid("login_id").references(() => login.id),
    generation: bigint("generation", { mode: "number" }),
    valueSince: instant("value_since"),
  },
  (t) => [primaryKey({ columns: [t.placeId, t.name] }), index("ledger_binding").on(t.bindingId)],
);

/** A row of it as the core takes one. */
export const ledgerEntry = {
  name: ledger.name,
  bindingId: ledger.bindingId,
  fingerprint: ledger.fingerprint,
  version: ledger.version,
  claimedAt: ledger.claimedAt,
  claims: ledger.claims,
  confirmed: ledger.confirmed,
  deleting: ledger.deleting,
  written: sql<boolean>`${ledger.writtenAt} is not null`,
  drifts: sql<number>`case when ${ledger.driftsSince} > now() - interval '24 hours' then ${ledger.drifts} else 0 end`,
};

/** By place; those without names are left out. */
type Ledgers = ReadonlyMap<string, readonly LedgerEntry[]>;

/** The names that we own at each of these places, in the order of the names. */
export async function ledgersOf(db: Db, placeIds: readonly string[]): Promise<Ledgers> {
  const rows = await db
    .select({ ...ledgerEntry, placeId: ledger.placeId })
    .from(ledger)
    .where(sql`${ledger.placeId} = any(${sql.param([...placeIds])}::uuid[])`)
    .orderBy(ledger.placeId, ledger.name);
  return byPlace(rows);
}

const byPlace = (rows: readonly (LedgerEntry & { readonly placeId: string })[]) =>
  groupedBy(
    rows,
    ({ placeId }) => placeId,
    ({ placeId: _, ...kept }): LedgerEntry => kept,
  );

/** All names at all places. */
export async function wholeLedger(db: Db): Promise<(LedgerEntry & { readonly placeId: string })[]> {
  return await db
    .select({ ...ledgerEntry, placeId: ledger.placeId })
    .from(ledger)
    .orderBy(ledger.placeId, ledger.name);
}

export interface NameClaim {
  readonly bindingId: string;
  readonly name: string;
  /** Of what is to be written, or of what was seen and is to go; null: nobody knows. */
  readonly fingerprint: Fingerprint | null;
  /** It was there and ours, or handed over. */
  readonly seen: boolean;
  /** It was looked for and is not there: what was written before is gone. */
  readonly gone: boolean;
  readonly deleting: boolean;
}

/**
 * Before the first write: from now on these names are ours, and whatever becomes of this process, the
 * next push knows that their state at the vendor is in question, and what of ours may be there. A name that
 * was `seen` there has been found to be ours, or was handed over, and stays so. `since` is before the look that
 * the rest was not seen in. Throws `conflict` if a name has passed to another binding meanwhile.
 */
export async function claimNames(
  db: Db,
  placeId: string,
  names: readonly NameClaim[],
  since: Date,
): Promise<void> {
  const all = await answered([
    // That we wrote what is gone says nothing any more about what will be there next.
    claimAlike(db, placeId, { names: names.filter(({ gone }) => gone), since, written: sql`null` }),
    claimAlike(db, placeId, {
      names: names.filter(({ gone }) => !gone),
      since,
      written: sql`coalesce(l.written_at, excluded.written_at)`,
    }),
  ]);
  if (all.reduce((sum, claimed) => sum + claimed, 0) < names.length) {
    throw new SyncError("conflict", "a name has passed to another binding since this push began");
  }
}

interface Alike {
  readonly names: readonly NameClaim[];
  readonly since: Date;
  /** When it was written, of a name that is in the ledger already. */
  readonly written: SQL;
}

/** How many were claimed. */
async function claimAlike(db: Db, placeId: string, { names, since, written }: Alike): Promise<number> {
  if (names.length === 0) return 0;
  const rows = names.map(({ name, bindingId, fingerprint, seen, deleting }) => {
    return { name, binding_id: bindingId, seen, deleting, claims: fingerprint === null ? [] : [fingerprint] };
  });
  // What an earlier request of ours makes, it makes after the last look that showed nothing; what we take away was
  // made before.
  const { rowCount } = await db.execute(sql`
    insert into branchline.ledger as l (place_id, name, binding_id, written_at, deleting, claims)
    select ${placeId}::uuid, n.name, n.binding_id, case when n.seen then now() end, n.deleting, n.claims
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      as n(name text, binding_id uuid, seen boolean, deleting boolean, claims text[])
    on conflict (place_id, name) do update set
      confirmed = false,
      deleting = excluded.deleting,
      written_at = ${written},
      claimed_at = case when excluded.deleting then now()
        when excluded.written_at is null then ${since.toISOString()}::timestamptz else l.claimed_at end,
      claims = array(select distinct unnest(l.claims || excluded.claims))
    where l.binding_id = excluded.binding_id`);
  return rowCount ?? 0;
}

/** Which generation of which login a value is made of. */
export interface Holding {
  readonly loginId: string;
  readonly generation: number;
}

/** What a name holds for sure: it was written, or found to be so. */
export interface Held {
  readonly name: string;
  readonly fingerprint: string;
  readonly version: string | null;
  /** Null: nothing secret. */
  readonly holds: Holding | null;
}

/** Settles what was claimed. Names that are not in the ledger any more stay out of it. */
export async function recordNames(db: Db, placeId: string, names: readonly Held[]): Promise<void> {
  if (names.length === 0) return;
  const rows = names.map(({ name, fingerprint, version, holds }) => ({
    name,
    fingerprint,
    version,
    login_id: holds?.loginId ?? null,
    generation: holds?.generation ?? null,
  }));
  await db.execute(sql`
    update branchline.ledger l set
      fingerprint = n.fingerprint, version = n.version, login_id = n.login_id, generation = n.generation,
      value_since = case when l.fingerprint is distinct from n.fingerprint then now() else coalesce(l.value_since, now()) end,
      confirmed = true, deleting = false, written_at = now(), claims = '{}'
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      as n(name text, fingerprint text, version text, login_id uuid, generation bigint)
    where l.place_id = ${placeId} and l.name = n.name`);
}

/** Somebody else changed or took away these names. */
export async function countDrift(db: Db, placeId: string, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const recent = sql`${ledger.driftsSince} > now() - interval '24 hours'`;
  await db
    .update(ledger)
    .set({
      drifts: sql`case when ${recent} then ${ledger.drifts} + 1 else 1 end`,
      driftsSince: sql`case when ${recent} then ${ledger.driftsSince} else now() end`,
    })
    .where(and(eq(ledger.placeId, placeId), inArray(ledger.name, [...names])));
}

/** What could not be written again although it may have been overtaken: from now on nothing there is taken for granted. */
export async function doubtNames(db: Db, placeId: string, exceptOf: readonly string[]): Promise<void> {
  const others = exceptOf.length === 0 ? undefined : notInArray(ledger.bindingId, [...exceptOf]);
  await db
    .update(ledger)
    .set({ confirmed: false })
    .where(and(eq(ledger.placeId, placeId), others));
}

/** Names that are gone at the vendor; only those that still belong to `bindingId`, if one is given. */
export async function forgetNames(
  db: Db,
  placeId: string,
  names: readonly string[],
  bindingId?: string,
): Promise<void> {
  if (names.length === 0) return;
  const owner = bindingId === undefined ? undefined : eq(ledger.bindingId, bindingId);
  await db.delete(ledger).where(and(eq(ledger.placeId, placeId), inArray(ledger.name, [...names]), owner));
}

/** Hands names over to the successor; what was to be deleted for the old owner no longer is. */
export async function passNames(
  db: Db,
  placeId: string,
  names: readonly string[],
  toBindingId: string,
): Promise<void> {
  if (names.length === 0) return;
  await db
    .update(ledger)
    .set({ bindingId: toBindingId })
    .where(and(eq(ledger.placeId, placeId), inArray(ledger.name, [...names])));
}

/** Places where a binding owns names. */
export async function placesOf(db: Db, bindingId: string): Promise<string[]> {
  const rows = await db
    .selectDistinct({ id: ledger.placeId })
    .from(ledger)
    .where(eq(ledger.bindingId, bindingId));
  return rows.map((row) => row.id);
}

/** Places where these bindings still own names although they live at another one: they have moved away. */
export async function formerPlaces(
  db: Db,
  homes: readonly { bindingId: string; placeId: string }[],
): Promise<string[]> {
  if (homes.length === 0) return [];
  const rows = await db
    .selectDistinct({ placeId: ledger.placeId, bindingId: ledger.bindingId })
    .from(ledger)
    .where(
      inArray(
        ledger.bindingId,
        homes.map((home) => home.bindingId),
      ),
    );
  return rows
    .filter((row) => homes.some((home) => home.bindingId === row.bindingId && home.placeId !== row.placeId))
    .map((row) => row.placeId);
}
