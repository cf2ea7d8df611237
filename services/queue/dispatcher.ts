import type { Enqueue, JobKind } from "./jobs.ts";

/** The rows that are due, as the store sees them. */
export interface DueRows {
  /**
   * Marks due rows as queued where that takes no more thought, and tells the other kinds of which there are some that
   * nobody has, and the milliseconds until another row becomes due; null: never.
   */
  take(): Promise<{
    readonly claimed: ReadonlyMap<JobKind, readonly string[]>;
    readonly kinds: readonly JobKind[];
    readonly nextInMs: number | null;
  }>;
  /** Marks due rows as queued, fairly and within the limits of their destinations, and returns their ids. */
  claim(kind: JobKind): Promise<readonly string[]>;
}

export interface Dispatcher {
  /**
   * There may be something to do: look now. Cheap; calls that come together become one. `known`: there is something of
   * this kind, and it comes before the look at everything.
   */
  kick(known?: JobKind): void;
  stop(): Promise<void>;
}

const TICK_MS = 1_000;
const SHORTEST_MS = 5;
/** After a look at little or that found nothing: a flood of events on rows that are known to be due must not look with each. */
const REST_MS = 4;

/**
 * Turns due rows into jobs: right after a commit (`kick`), when the next row is due, and at least every
 * second, so that a lost job, a lost kick or a lost queue costs time and nothing else.
 */
export function startDispatcher(
  rows: DueRows,
  enqueue: Enqueue,
  onError: (error: unknown) => void,
): Dispatcher {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | null = null;
  let again = false;
  let stopped = false;
  let restUntil = 0;
  const expected = new Set<JobKind>();
  /** Every second look is at everything, however much is known. */
  let looked = true;

  /** What cannot be given is due again by itself, and keeps nobody else from what is theirs. */
  const give = async (kind: JobKind, ids: readonly string[]): Promise<void> => {
    if (ids.length > 0) await enqueue(kind, ids).catch(onError);
  };
  const claim = async (kind: JobKind): Promise<void> => await give(kind, await rows.claim(kind));
  const rest = (): void => {
    restUntil = performance.now() + REST_MS;
  };
  /** Milliseconds until the next look. */
  const look = async (): Promise<number> => {
    const { claimed, kinds, nextInMs } = await rows.take();
    await Promise.all([...claimed].map(async ([kind, ids]) => await give(kind, ids)));
    for (const kind of kinds) await claim(kind);
    if (claimed.size === 0 && kinds.length === 0) rest();
    return nextInMs === null ? TICK_MS : Math.min(Math.max(nextInMs, SHORTEST_MS), TICK_MS);
  };
  const pass = async (): Promise<void> => {
    let wait = TICK_MS;
    try {
      const kinds = looked ? [...expected] : [];
      expected.clear();
      looked = kinds.length === 0;
      if (looked) wait = await look();
      else {
        // At everything soon, when what has just been begun is on its way.
        again = true;
        rest();
        for (const kind of kinds) await claim(kind);
      }
    } catch (error) {
      onError(error);
    }
    running = null;
    if (stopped) return;
    if (again) kick();
    else timer = setTimeout(kick, wait);
  };

  const kick = (known?: JobKind): void => {
    if (stopped) return;
    if (known !== undefined) expected.add(known);
    if (running !== null) {
      again = true;
      return;
    }
    clearTimeout(timer);
    const restMs = restUntil - performance.now();
    if (restMs > 0 && expected.size === 0) {
      timer = setTimeout(kick, restMs);
      return;
    }
    again = false;
    running = pass();
  };

  kick();
  return {
    kick,
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
