import { type Enqueue, JOB_KINDS, type JobKind } from "./jobs.ts";

/** The rows that are due, as the store sees them. */
export interface DueRows {
  /** Marks due rows as queued, fairly and within the limits of their destinations, and returns their ids. */
  claim(kind: JobKind): Promise<readonly string[]>;
  /** Milliseconds until the next row becomes due, 0 if one is; null if none ever does. */
  nextInMs(): Promise<number | null>;
}

export interface Dispatcher {
  /** There may be something to do: look now. Cheap; calls that come together become one. */
  kick(): void;
  stop(): Promise<void>;
}

const TICK_MS = 1_000;
const SHORTEST_MS = 5;

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

  const pass = async (): Promise<void> => {
    let wait = TICK_MS;
    try {
      for (const kind of JOB_KINDS) {
        const ids = await rows.claim(kind);
        await Promise.all(ids.map(async (id) => await enqueue(kind, id)));
      }
      const next = await rows.nextInMs();
      if (next !== null) wait = Math.min(Math.max(next, SHORTEST_MS), TICK_MS);
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
