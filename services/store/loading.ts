/**
 * What a push reads of our rows before it begins. Each of these goes by the place alone, so that they are asked for at
 * once: a push is mostly round trips.
 */
import { and, eq, isNull, or, sql } from "drizzle-orm";
import { binding } from "./binding.ts";
import { branch } from "./branch.ts";
import type { Db } from "./db.ts";
import { type DestinationRow, destination } from "./destination.ts";
import { installation } from "./installation.ts";
import { ledger } from "./ledger.ts";
import { type LoginRow, login } from "./login.ts";
import { type PlaceRow, place } from "./place.ts";
import { rule } from "./rule.ts";

export interface PlaceAtDestination {
  readonly place: PlaceRow;
  readonly destination: DestinationRow;
  /** Of the whole installation. */
  readonly suspendedAt: Date | null;
}

export async function placeAtDestination(db: Db, id: string): Promise<PlaceAtDestination | undefined> {
  const [row] = await db
    .select({ place, destination, suspendedAt: installation.suspendedAt })
    .from(place)
    .innerJoin(destination, eq(destination.id, place.destinationId))
    .innerJoin(installation, sql`true`)
    .where(eq(place.id, id));
  return row;
}

/** The bindings that live at a place, and those that own names there. */
const bindingsHere = (placeId: string) => sql`(
  select ${binding.id} from ${binding} where ${binding.placeId} = ${placeId}
  union select ${ledger.bindingId} from ${ledger} where ${ledger.placeId} = ${placeId})`;

/** All logins of the branches whose bindings are here. */
export async function loginsHere(db: Db, placeId: string): Promise<LoginRow[]> {
  return await db
    .select()
    .from(login)
    .where(
      sql`${login.branchId} in (select ${binding.branchId} from ${binding} where ${binding.id} in ${bindingsHere(placeId)})`,
    );
}

/** A default or protected branch, with the passwords that it accepted when it was last read. */
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

/** Those of the sources whose branches have bindings here: a row for each login. */
export async function productionHere(db: Db, placeId: string): Promise<Production[]> {
  return await db
    .select({
      sourceId: branch.sourceId,
      id: branch.id,
      neonId: branch.neonId,
      name: branch.name,
      isDefault: branch.isDefault,
      isProtected: branch.isProtected,
      unread: sql<boolean>`${branch.readAt} is null or coalesce(${branch.dueAt} <= now(), false) or ${branch.attempts} > 0`,
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
          where ${binding.id} in ${bindingsHere(placeId)})`,
      ),
    )
    .orderBy(branch.name, login.role);
}
