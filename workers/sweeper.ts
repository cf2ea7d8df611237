/**
 * Which containers this process looks at, side by side. It takes them from the rows by itself, as many as it has room for: a
 * sweep is nobody's errand and needs no queue. No account gets more than its share, so that one that does not answer holds up
 * nobody else's.
 */
import { inBatches } from "../services/store/batch.ts";
import type { Sweep, Wanted } from "../services/store/sweeping.ts";

/** The containers that are due, as the store sees them. */
export interface DueSweeps {
  /** Takes some, until their time is up. */
  claim(wanted: Omit<Wanted, "spanMs">): Promise<readonly Sweep[]>;
  /** They have been looked at, and are due again when their span is over. */
  finish(sweeps: readonly Sweep[]): Promise<void>;
}

export interface Sweeper {
  /** There may be something to look at. Cheap; nothing happens while there is no room, or nobody employed. */
  wake(): void;
  /** From now on somebody looks; resolves with false if that came to nothing. */
  employ(look: (sweep: Sweep) => Promise<boolean>): void;
  /** Takes nothing more; resolves when what runs has ended. What was taken and not begun is due again by itself. */
  rest(): Promise<void>;
}

/** Sweeps at once. */
const AT_ONCE = 16;
/** Of one account. */
const SHARE = 4;
/** Taken ahead, since to take many costs no more than to take one: of one account, and of all. */
const AHEAD = { share: 16, most: 64 };

export function openSweeper(due: DueSweeps, onError: (error: unknown) => void): Sweeper {
  let employed: ((sweep: Sweep) => Promise<boolean>) | null = null;
  let waiting: readonly Sweep[] = [];
  const running = new Map<Sweep, Promise<void>>();
  let more = false;
  /** Accounts of which there may be more than could be taken. */
  const full = new Set<string>();
  let claiming: Promise<void> | null = null;

  const finish = inBatches<Sweep, true>(
    async (sweeps) => {
      await due.finish(sweeps);
      return sweeps.map(() => true);
    },
    { atOnce: 1 },
  );
  const begin = (sweep: Sweep, look: (sweep: Sweep) => Promise<boolean>): void => {
    const run = look(sweep)
      .then(async (well) => {
        if (well) await finish(sweep);
      })
      .catch(onError)
      .finally(() => {
        running.delete(sweep);
        // Not for each one: a claim for many costs no more than one for few.
        more ||= full.has(sweep.account) && !waiting.some(({ account }) => account === sweep.account);
        go();
      });
    running.set(sweep, run);
  };
  const next = (): Sweep | undefined => {
    if (running.size >= AT_ONCE) return undefined;
    const busy = countBy([...running.keys()], ({ account }) => account);
    return waiting.find(({ account }) => (busy.get(account) ?? 0) < SHARE);
  };
  const inHand = (): readonly Sweep[] => [...running.keys(), ...waiting];
  const claim = async (): Promise<void> => {
    more = false;
    const before = inHand();
    const held = countBy(before, ({ destinationId }) => destinationId);
    const most = AHEAD.most - before.length;
    const claimed = await due.claim({ held, share: AHEAD.share, most });
    waiting = [...waiting, ...claimed];
    full.clear();
    for (const [account, n] of countBy([...before, ...claimed], ({ account }) => account))
      if (n >= AHEAD.share || claimed.length >= most) full.add(account);
  };
  const go = (): void => {
    if (employed === null) return;
    for (let sweep = next(); sweep !== undefined; sweep = next()) {
      const begun = sweep;
      waiting = waiting.filter((one) => one !== begun);
      begin(begun, employed);
    }
    if (!more || claiming !== null || inHand().length >= AHEAD.most) return;
    claiming = claim()
      .catch(onError)
      .finally(() => {
        claiming = null;
        go();
      });
  };

  return {
    wake: () => {
      more = true;
      go();
    },
    employ: (look) => {
      employed = look;
      go();
    },
    rest: async () => {
      employed = null;
      waiting = [];
      await claiming;
      await Promise.all(running.values());
    },
  };
}

function countBy(sweeps: readonly Sweep[], key: (sweep: Sweep) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const sweep of sweeps) counts.set(key(sweep), (counts.get(key(sweep)) ?? 0) + 1);
  return counts;
}
