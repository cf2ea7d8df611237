/**
 * How a piece of work begins: the row's lease, and what the work has to know, by one round trip. The rows are read after
 * the lease was taken, so whoever had it before changes them no more.
 */
import { inBatches } from "./batch.ts";
import { type BindingRow, bindingsOfBranch } from "./binding.ts";
import { type BranchInSource, type BranchRow, branchInSource, liveBranches } from "./branch.ts";
import { answered, type Database, type Db } from "./db.ts";
import { lastEventId } from "./event.ts";
import { type Lease, type LeaseTimes, takeLeases, waitForLease } from "./lease.ts";
import { loadPlaces, type PlaceFacts } from "./loading.ts";
import { type RuleWithDestination, rulesAround } from "./rule.ts";
import { type SourceRow, sourceById } from "./source.ts";
import type { WorkKind } from "./work.ts";

/** What each kind of work has to know. */
export interface Loads {
  readonly source: SourceLoaded;
  readonly branch: BranchLoaded;
  readonly place: PlaceFacts;
}

export interface SourceLoaded {
  readonly row: SourceRow;
  /** Events up to this one are answered by what is seen from now on. */
  readonly upTo: number;
  readonly known: readonly BranchRow[];
}

export interface BranchLoaded extends BranchInSource {
  /** Events up to this one are answered by what is read from now on. */
  readonly upTo: number;
  readonly bound: readonly BindingRow[];
  readonly rules: readonly RuleWithDestination[];
}

export interface Begun<L> {
  readonly lease: Lease;
  /** Usually there already. Null: the row is not there any more. Throws if the database cannot be asked. */
  load(): Promise<L | null>;
}

/** Takes the row's lease if it is due and free; null if somebody else has it or nothing is due any more. */
export type Begin = <K extends WorkKind>(kind: K, id: string) => Promise<Begun<Loads[K]> | null>;

type Load<L> = (db: Db, ids: readonly string[]) => Promise<ReadonlyMap<string, L>>;

/** Rows with which work begins by one packet at most. */
const MOST = 16;

/** Whoever begins while others begin does so with them. */
export function openBeginnings({ together }: Pick<Database, "together">, times: LeaseTimes): Begin {
  const open = <K extends WorkKind>(kind: K, loadAll: Load<Loads[K]>) => {
    const alone = (lease: Lease): Begun<Loads[K]> => ({
      lease,
      load: async () => (await together(async (db) => await loadAll(db, [lease.id]))).get(lease.id) ?? null,
    });
    /** Those whose leases could be taken. If only the rest fails, each loads for itself, and what fails is its own. */
    const beginAll = async (ids: readonly string[]): Promise<Map<string, Begun<Loads[K]>>> => {
      let leases: ReadonlyMap<string, Lease> = new Map();
      const taking = async (db: Db): Promise<void> => {
        leases = await takeLeases(db, kind, ids, times);
      };
      try {
        const [, loaded] = await together(
          async (db) => await answered([taking(db), loadAll(db, [...new Set(ids)])]),
        );
        const known = (lease: Lease) => ({ lease, load: async () => loaded.get(lease.id) ?? null });
        return new Map([...leases].map(([id, lease]) => [id, known(lease)]));
      } catch (error) {
        if (leases.size === 0) throw error;
        return new Map([...leases].map(([id, lease]) => [id, alone(lease)]));
      }
    };
    const batched = inBatches<string, { begun: Begun<Loads[K]> | null }>(
      async (ids) => {
        const all = await beginAll(ids);
        return ids.map((id) => {
          const begun = all.get(id) ?? null;
          all.delete(id); // should it be asked for twice, one has it
          return { begun };
        });
      },
      { most: MOST },
    );
    return async (id: string): Promise<Begun<Loads[K]> | null> => {
      const { begun } = await batched(id);
      if (begun !== null) return begun;
      // Somebody may just touch the row, and nobody else is to wait for that. To drop the job would lose it.
      const lease = await together(async (db) => await waitForLease(db, kind, id, times));
      return lease && alone(lease);
    };
  };
  const begin: { readonly [K in WorkKind]: (id: string) => Promise<Begun<Loads[K]> | null> } = {
    source: open("source", eachOf(loadSource)),
    branch: open("branch", eachOf(loadBranch)),
    place: open("place", loadPlaces),
  };
  return async (kind, id) => await begin[kind](id);
}

const eachOf =
  <L>(load: (db: Db, id: string) => Promise<L | null>): Load<L> =>
  async (db, ids) => {
    const all = await answered(ids.map(async (id) => [id, await load(db, id)] as const));
    return new Map(all.flatMap(([id, loaded]) => (loaded === null ? [] : [[id, loaded] as const])));
  };

async function loadSource(db: Db, id: string): Promise<SourceLoaded | null> {
  const [row, upTo, known] = await answered([sourceById(db, id), lastEventId(db), liveBranches(db, id)]);
  return row === undefined ? null : { row, upTo, known };
}

async function loadBranch(db: Db, id: string): Promise<BranchLoaded | null> {
  const [found, upTo, bound, rules] = await answered([
    branchInSource(db, id),
    lastEventId(db),
    bindingsOfBranch(db, id),
    rulesAround(db, id),
  ]);
  return found === undefined ? null : { ...found, upTo, bound, rules };
}
