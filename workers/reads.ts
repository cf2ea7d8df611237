/**
 * Pushes of one branch to many places come at the same moment and want the same passwords. A read of Neon
 * may serve several of them only if it started after each had finished its observe, so a read is joined
 * until it starts, and never afterwards: no cache, and no old value behind a new comparison.
 */
import type { SourceRow } from "../services/store/source.ts";
import type { BranchReading, Source } from "../services/sync/ports.ts";
import { openSource, type Runtime } from "./runtime.ts";

/** How long a read waits for others to join. */
const GATHER_MS = 5;

interface Gathering {
  readonly roles: Set<string>;
  readonly reading: Promise<BranchReading | null>;
}

const gatherings = new WeakMap<Runtime, Map<string, Gathering>>();

/** The source, with reads that are shared within this process. `signal` ends only this caller's waiting. */
export function openShared(runtime: Runtime, row: SourceRow, signal: AbortSignal): Source {
  const own = openSource(runtime, row, signal);
  return {
    check: () => own.check(),
    moved: (cursor) => own.moved(cursor),
    branches: () => own.branches(),
    branch: (id) => own.branch(id),
    read: async (id, roles) => await orAbort(join(runtime, row, id, roles), signal),
  };
}

function join(
  runtime: Runtime,
  row: SourceRow,
  id: string,
  roles: readonly string[],
): Promise<BranchReading | null> {
  const open = gatherings.get(runtime) ?? new Map<string, Gathering>();
  gatherings.set(runtime, open);
  const key = `${row.id}/${id}`;
  const joined = open.get(key) ?? gather(runtime, row, id, () => open.delete(key));
  open.set(key, joined);
  for (const role of roles) joined.roles.add(role);
  return joined.reading;
}

function gather(runtime: Runtime, row: SourceRow, id: string, close: () => void): Gathering {
  const roles = new Set<string>();
  const start = async (): Promise<BranchReading | null> => {
    await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
    close();
    // Nobody's own signal: the first who joined may give up while the others still wait.
    const limit = AbortSignal.timeout(runtime.settings.leaseMs);
    return await openSource(runtime, row, limit).read(id, [...roles]);
  };
  return { roles, reading: start() };
}

async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return await new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
