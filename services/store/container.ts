/** What a sweep has to know of a container before it asks the vendor. */
import { and, eq, notInArray, sql } from "drizzle-orm";
import type { LedgerEntry } from "../sync/model.ts";
import { inBatches } from "./batch.ts";
import { binding } from "./binding.ts";
import type { Database, Db } from "./db.ts";
import { type DestinationRow, destination } from "./destination.ts";
import { groupedBy } from "./grouped.ts";
import { installation } from "./installation.ts";
import { ledger, ledgerEntry } from "./ledger.ts";

/** All places that one listing of the vendor covers. */
export interface Container {
  readonly destinationId: string;
  readonly container: string;
}

/** One place of a container. */
export interface SweptPlace {
  readonly id: string;
  readonly key: string;
  readonly target: unknown;
  /** Names that somebody keeps in step: what was left behind on purpose may change as it likes. */
  readonly ledger: readonly LedgerEntry[];
  /** Names whose drift has been reported and waits for a person. */
  readonly reported: ReadonlySet<string>;
  /** All that have names there are parked, and say why. */
  readonly parked: boolean;
}

export interface ContainerFacts {
  readonly destination: DestinationRow;
  /** Of the whole installation. */
  readonly suspendedAt: Date | null;
  readonly places: readonly SweptPlace[];
}

/** Everything of a container; null: its destination is not there. */
export type LoadContainer = (container: Container) => Promise<ContainerFacts | null>;

/** Containers that are loaded by one round of statements at most. */
const MOST = 32;

/** Sweeps run side by side: whoever asks while others ask is answered with them. */
export function openContainers(database: Database): LoadContainer {
  const load = inBatches<Container, { facts: ContainerFacts | null }>(
    async (asked) => {
      const facts = await loadContainers(database, asked);
      return asked.map((one) => ({ facts: facts.get(keyOf(one)) ?? null }));
    },
    { most: MOST, atOnce: 1 },
  );
  return async (container) => (await load(container)).facts;
}

const keyOf = ({ destinationId, container }: Container): string => `${destinationId}\n${container}`;

async function loadContainers(
  { together }: Database,
  asked: readonly Container[],
): Promise<ReadonlyMap<string, ContainerFacts>> {
  const [destinations, places, names] = await together(async (db) => {
    const [destinations, places] = await Promise.all([destinationsOf(db, asked), placesOf(db, asked)]);
    return [destinations, places, await namesAt(db, places)] as const;
  });
  const byPlace = groupedBy(
    names,
    ({ placeId }) => placeId,
    (row) => row,
  );
  const byContainer = groupedBy(places, keyOf, ({ id, key, target }): SweptPlace => {
    const here = byPlace.get(id) ?? [];
    const reported = new Set(here.filter(({ state }) => state === "drifted").map(({ name }) => name));
    const ledger = here.map(({ placeId: _, state: __, ...kept }) => kept);
    return { id, key, target, ledger, reported, parked: here.every(({ state }) => state === "parked") };
  });
  return new Map(
    asked.flatMap((one) => {
      const found = destinations.find(({ destination }) => destination.id === one.destinationId);
      const key = keyOf(one);
      return found === undefined ? [] : [[key, { ...found, places: byContainer.get(key) ?? [] }] as const];
    }),
  );
}

async function destinationsOf(db: Db, asked: readonly Container[]) {
  const ids = [...new Set(asked.map(({ destinationId }) => destinationId))];
  return await db
    .select({ destination, suspendedAt: installation.suspendedAt })
    .from(destination)
    .innerJoin(installation, sql`true`)
    .where(sql`${destination.id} = any(${sql.param(ids)}::uuid[])`);
}

interface PlaceOf extends Container {
  readonly id: string;
  readonly key: string;
  readonly target: unknown;
}

/** One look into the index each, whatever the planner thinks of the table's size: that is what the limit is for. */
async function placesOf(db: Db, asked: readonly Container[]): Promise<readonly PlaceOf[]> {
  const all = JSON.stringify(asked.map(({ destinationId, container }) => ({ destinationId, container })));
  const { rows } = await db.execute<{ [K in keyof PlaceOf]: PlaceOf[K] }>(sql`
    select p.id, p.key, p.target, a."destinationId", a.container
    from jsonb_to_recordset(${all}::jsonb) as a("destinationId" uuid, container text)
    cross join lateral (
      select id, key, target from branchline.place
      where destination_id = a."destinationId" and container = a.container limit 1000000
    ) p`);
  return rows;
}

async function namesAt(db: Db, places: readonly PlaceOf[]) {
  const ids = places.map(({ id }) => id);
  return await db
    .select({ ...ledgerEntry, placeId: ledger.placeId, state: binding.state })
    .from(ledger)
    .innerJoin(binding, eq(binding.id, ledger.bindingId))
    .where(
      and(
        sql`${ledger.placeId} = any(${sql.param(ids)}::uuid[])`,
        notInArray(binding.state, ["retained", "removed", "suspended"]),
      ),
    )
    .orderBy(ledger.placeId, ledger.name);
}
