/** How fast one token may ask. Each process counts for itself, which is enough to keep one caller from taking it all. */
export interface RateLimit {
  /** At once, after a while of silence. */
  readonly burst: number;
  readonly perSecond: number;
}

export const DEFAULT_RATE: RateLimit = { burst: 200, perSecond: 20 };

/** Counts one request; 0 if it may go on, else the milliseconds until one more may. */
export type Rate = (id: string) => number;

/** Tokens that have been silent long enough to have their whole burst again are forgotten. */
export function createRate(
  { burst, perSecond }: RateLimit,
  now: () => number = () => performance.now(),
): Rate {
  const spent = new Map<string, { readonly level: number; readonly at: number }>();
  const fullMs = (burst / perSecond) * 1_000;
  return (id) => {
    const at = now();
    for (const [other, was] of spent) {
      if (at - was.at < fullMs) break;
      spent.delete(other);
    }
    const before = spent.get(id);
    const level = Math.max(0, (before?.level ?? 0) - ((at - (before?.at ?? at)) / 1_000) * perSecond);
    const allowed = level + 1 <= burst;
    // Deleted first, so that the longest silent stand first.
    spent.delete(id);
    spent.set(id, { level: allowed ? level + 1 : level, at });
    return allowed ? 0 : Math.max(1, ((level + 1 - burst) / perSecond) * 1_000);
  };
}
