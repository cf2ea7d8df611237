/** Turns of this process that were booked ahead: most calls come a few together, and need not ask for each. */
import { type Asking, type Books, bookSpare, type Spare } from "../sync/limits.ts";

export interface Booked {
  readonly booked: Spare;
  left: number;
  /** By our clock. */
  readonly until: number;
}

type Kind = Pick<Asking, "shares">;

const kindOf = ({ shares }: Kind): string => shares.map(({ limit, cost }) => `${limit} ${cost}`).join("\n");

/** Turns in advance for each kind of these calls that has room for some, and that `have` has none of. */
export function bookAhead(
  before: Books,
  calls: readonly Kind[],
  now: number,
  have: Pick<SpareTurns, "has">,
): { readonly books: Books; readonly ahead: readonly Booked[] } {
  const from = performance.now();
  const kinds = new Map(calls.map((call) => [kindOf(call), call]));
  let books = before;
  const ahead: Booked[] = [];
  for (const kind of kinds.values()) {
    const extra = have.has(kind) ? null : bookSpare(books, kind.shares, now);
    if (extra === null) continue;
    books = extra.books;
    const { spare } = extra;
    ahead.push({ booked: spare, left: spare.calls, until: from + spare.at - now });
  }
  return { books, ahead };
}

export interface SpareTurns {
  /** Another one each time that a vendor asks to stop: what was booked before is of no use after. */
  readonly era: number;
  /** Nothing, if the era has passed in which they were booked. */
  put(ahead: readonly Booked[], since: number): void;
  has(kind: Kind): boolean;
  /** Uses one up, if there is one. */
  take(kind: Kind): boolean;
  /** Those that can be used no more, once: they are to be given back. */
  unused(): readonly Spare[];
  /** The vendor has asked to stop. */
  drop(): void;
}

export function openSpareTurns(): SpareTurns {
  const turns = new Map<string, Booked>();
  let replaced: Booked[] = [];
  let era = 0;
  const there = (kind: Kind): Booked | null => {
    const mine = turns.get(kindOf(kind));
    return mine === undefined || mine.left === 0 || performance.now() >= mine.until ? null : mine;
  };
  return {
    get era(): number {
      return era;
    },
    put: (ahead, since) => {
      if (since !== era) return;
      for (const one of ahead) {
        const kind = kindOf(one.booked);
        const before = turns.get(kind);
        if (before !== undefined) replaced.push(before);
        turns.set(kind, one);
      }
    },
    has: (kind) => there(kind) !== null,
    take: (kind) => {
      const mine = there(kind);
      if (mine !== null) mine.left -= 1;
      return mine !== null;
    },
    unused: () => {
      const now = performance.now();
      const late = [...turns].filter(([, { until }]) => now >= until);
      for (const [kind] of late) turns.delete(kind);
      const gone = [...replaced, ...late.map(([, one]) => one)];
      replaced = [];
      return gone.map(({ booked, left }) => ({ ...booked, calls: left })).filter(({ calls }) => calls > 0);
    },
    drop: () => {
      era += 1;
      turns.clear();
      replaced = [];
    },
  };
}
