/**
 * Pushes of one branch to many places come at the same moment and want the same passwords. A read of Neon
 * may serve several of them only if it started after each had finished its observe, so a read is joined
 * until its first call leaves, and never afterwards: no cache, and no old value behind a new comparison. The more
 * calls wait for their turn at Neon, the longer that takes, and the more share one.
 */
import type { SourceRow } from "../services/store/source.ts";
import type { LoginReading, Source } from "../services/sync/ports.ts";
import { announce, type Coming, gathered } from "./coming.ts";
import { type OneByOne, oneByOne } from "./one-by-one.ts";
import { orAbort } from "./or-abort.ts";
import { openSource, type Runtime } from "./runtime.ts";

/** How long a read waits at most for those who are about to ask for the same. */
const GATHER_MS = 5;

interface Gathering {
  readonly roles: Set<string>;
  /** Its calls wait for their turn: who joins now gets what is asked for already. */
  begun: boolean;
  /** Those who wait for it go on in the order in which they began: the one with the longest way was first. */
  readonly reading: OneByOne<LoginReading | null>;
  /** Those who still want it. When the last one gives up, so does the read. */
  waiting: number;
  readonly abandoned: AbortController;
}

const gatherings = new WeakMap<Runtime, Map<string, Gathering>>();

/** Says that somebody is about to read these branches, once they have looked at what they will write to. */
export const announceReads = (
  runtime: Runtime,
  branches: readonly { readonly sourceId: string; readonly neonId: string }[],
): Coming =>
  announce(
    runtime,
    branches.map(({ sourceId, neonId }) => keyOf(sourceId, neonId)),
  );

const keyOf = (sourceId: string, neonId: string): string => `${sourceId}/${neonId}`;

export interface Sharing {
  /** Roles that are read of a branch whoever asks, by its id, so that others may share what one reads. */
  readonly always?: ReadonlyMap<string, readonly string[]>;
  /** Who has been announced, and is it. */
  readonly coming?: Coming;
}

/** The source, with reads that are shared within this process. `signal` ends only this caller's waiting. */
export function openShared(
  runtime: Runtime,
  row: SourceRow,
  signal: AbortSignal,
  { always = new Map(), coming }: Sharing = {},
): Source {
  const own = openSource(runtime, row, signal);
  return {
    check: () => own.check(),
    moved: (cursor, listed) => own.moved(cursor, listed),
    branches: () => own.branches(),
    branch: (id) => own.branch(id),
    read: (id, roles) => own.read(id, roles),
    reread: async (id, roles) => {
      signal.throwIfAborted();
      const joined = join(runtime, row, id, [...new Set([...roles, ...(always.get(id) ?? [])])]);
      joined.waiting += 1;
      coming?.arrive(keyOf(row.id, id));
      try {
        return await orAbort(joined.reading.wait(coming?.rank ?? 0), signal);
      } finally {
        joined.waiting -= 1;
        if (joined.waiting === 0) joined.abandoned.abort();
      }
    },
  };
}

function join(runtime: Runtime, row: SourceRow, id: string, roles: readonly string[]): Gathering {
  const open = gatherings.get(runtime) ?? new Map<string, Gathering>();
  gatherings.set(runtime, open);
  const key = keyOf(row.id, id);
  const there = open.get(key);
  const serves =
    there !== undefined &&
    !there.abandoned.signal.aborted &&
    (!there.begun || roles.every((role) => there.roles.has(role)));
  const joined = serves
    ? there
    : gather(runtime, row, id, (mine) => {
        if (open.get(key) === mine) open.delete(key);
      });
  open.set(key, joined);
  for (const role of roles) joined.roles.add(role);
  return joined;
}

function gather(
  runtime: Runtime,
  row: SourceRow,
  id: string,
  close: (gathering: Gathering) => void,
): Gathering {
  // Nobody's own signal: the first who joined may give up while the others still wait. And no deadline, for a
  // read may have to wait for its turn at Neon for longer than any: given up in the middle, it would only have
  // used up what the next one has to wait for.
  const abandoned = new AbortController();
  const roles = new Set<string>();
  const start = async (): Promise<LoginReading | null> => {
    await gathered(runtime, keyOf(row.id, id), GATHER_MS);
    gathering.begun = true;
    // Whose calls wait for no turn has started already.
    if (runtime.sources.get(row.kind)?.limits === undefined) close(gathering);
    const onTurn = (): void => close(gathering);
    try {
      return await openSource(runtime, row, abandoned.signal, { onTurn, begun: true }).reread(id, [...roles]);
    } finally {
      close(gathering);
    }
  };
  // Its failure is told to those who wait for it; there may be nobody left.
  const gathering: Gathering = { roles, begun: false, reading: oneByOne(start()), waiting: 0, abandoned };
  return gathering;
}
