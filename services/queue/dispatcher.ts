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
  /** There may be something to do: look now. Cheap; calls that come together become one. */
  kick(): void;
  stop(): Promise<void>;
}

const TICK_MS = 1_000;
const SHORTEST_MS = 5;
/** After a look that found nothing: a flood of events on rows that are known to be due must not look with each. */
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

  const pass = async (): Promise<void> => {
    let wait = TICK_MS;
    try {
      const { claimed, kinds, nextInMs } = await rows.take();
      for (const [kind, ids] of claimed) await enqueue(kind, ids);
      for (const kind of kinds) {
        const ids = await rows.claim(kind);
        if (ids.length > 0) await enqueue(kind, ids);
      }
      if (claimed.size === 0 && kinds.length === 0) restUntil = performance.now() + REST_MS;
      if (nextInMs !== null) wait = Math.min(Math.max(nextInMs, SHORTEST_MS), TICK_MS);
    } catch (error) {
      onError(error);
    }
    running = null;
    if (stopped) return;
    if (again) kick();
    else timer = setTimeout(kick, wait);
  };

  const kick = (): void => {
    if (stopped) return;
    if (running !== null) {
      again = true;
      return;
    }
    clearTimeout(timer);
    const restMs = restUntil - performance.now();
    if (restMs > 0) {
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
