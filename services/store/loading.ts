/** What a push reads of our rows before it begins. */
import { and, eq, isNull, or, type SQL, sql } from "drizzle-orm";
import type { LedgerEntry } from "../sync/model.ts";
import { type BindingWithAll, binding, bindingsAtPlaces } from "./binding.ts";
import { branch, isUnread } from "./branch.ts";
import { answered, type Db } from "./db.ts";
import { type DestinationRow, destination } from "./destination.ts";
import { installation } from "./installation.ts";
import { ledger, ledgersOf } from "./ledger.ts";
import { type LoginRow, login } from "./login.ts";
import { type PlaceRow, place } from "./place.ts";
import { rule } from "./rule.ts";

/** All that is known of one place. */
export interface PlaceFacts extends PlaceAtDestination {
  readonly bindings: readonly BindingWithAll[];
  readonly ledger: readonly LedgerEntry[];
  /** All logins of the branches whose bindings are here. */
  readonly logins: readonly LoginRow[];
  /** Of the sources whose branches have bindings here. */
  readonly production: readonly Production[];
}

interface PlaceAtDestination {
  readonly place: PlaceRow;
  readonly destination: DestinationRow;
  /** Of the whole installation. */
  readonly suspendedAt: Date | null;
}

/** A default or protected branch, with the passwords that it accepted when it was last read: one for each login. */
export interface Production {
  readonly sourceId: string;
  readonly id: string;
  readonly neonId: string;
  readonly name: string;
  readonly isDefault: boolean;
  readonly isProtected: boolean;
  /** Never read, not since the rules changed, or announced to have moved and not looked at since. */
  readonly unread: boolean;
  /** Null: no login is known. */
  readonly role: string | null;
  readonly passwordFingerprint: string | null;
}

/** Everything of these places, by id; those that are not there are left out. Sends its statements together. */
export async function loadPlaces(db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, PlaceFacts>> {
  const [places, ledgers, bindings, logins, production] = await answered([
    placesAtDestinations(db, ids),
    ledgersOf(db, ids),
    bindingsAtPlaces(db, ids),
    loginsAround(db, ids),
    productionAround(db, ids),
  ]);
  return new Map(
    places.map((found) => {
      const { id } = found.place;
      const here = bindings.get(id) ?? [];
      const branches = new Set(here.map(({ branch }) => branch.id));
      const sources = new Set(here.map(({ source }) => source.id));
      const facts = {
        ...found,
        bindings: here,
        ledger: ledgers.get(id) ?? [],
        logins: logins.filter(({ branchId }) => branches.has(branchId)),
        production: production.filter(({ sourceId }) => sources.has(sourceId)),
      };
      return [id, facts];
    }),
  );
}

async function placesAtDestinations(db: Db, ids: readonly string[]): Promise<PlaceAtDestination[]> {
  return await db
    .select({ place, destination, suspendedAt: installation.suspendedAt })
    .from(place)
    .innerJoin(destination, eq(destination.id, place.destinationId))
    .innerJoin(installation, sql`true`)
    .where(sql`${place.id} = any(${anyOf(ids)})`);
}

const anyOf = (ids: readonly string[]): SQL => sql`${sql.param([...ids])}::uuid[]`;

/** The bindings that live at these places, and those that own names there. */
const bindingsAround = (placeIds: readonly string[]): SQL => sql`(
  select ${binding.id} from ${binding} where ${binding.placeId} = any(${anyOf(placeIds)})
  union select ${ledger.bindingId} from ${ledger} where ${ledger.placeId} = any(${anyOf(placeIds)}))`;

async function loginsAround(db: Db, placeIds: readonly string[]): Promise<LoginRow[]> {
  return await db
    .select()
    .from(login)
    .where(
      sql`${login.branchId} in (select ${binding.branchId} from ${binding} where ${binding.id} in ${bindingsAround(placeIds)})`,
    );
}

async function productionAround(db: Db, placeIds: readonly string[]): Promise<Production[]> {
  return await db
    .select({
      sourceId: branch.sourceId,
      id: branch.id,
      neonId: branch.neonId,
      name: branch.name,
      isDefault: branch.isDefault,
      isProtected: branch.isProtected,
      unread: isUnread,
      role: login.role,
      passwordFingerprint: login.passwordFingerprint,
    })
    .from(branch)
    .leftJoin(login, eq(login.branchId, branch.id))
    .where(
      and(
        isNull(branch.goneAt),
        or(eq(branch.isDefault, true), eq(branch.isProtected, true)),
        sql`${branch.sourceId} in (
          select ${rule.sourceId} from ${rule} join ${binding} on ${binding.ruleId} = ${rule.id}
          where ${binding.id} in ${bindingsAround(placeIds)})`,
      ),
    )
    .orderBy(branch.name, login.role);
}
