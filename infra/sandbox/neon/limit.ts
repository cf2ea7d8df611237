/** Neon's rate limits: 700 requests a minute per key, and 40 a second per route. */
export interface RateLimit {
  readonly perMinute: number;
  readonly perSecondPerRoute: number;
}

export const NEON_LIMITS: RateLimit = { perMinute: 700, perSecondPerRoute: 40 };

export class Limiter {
  readonly #now: () => number;
  #limit: RateLimit | null = null;
  #windows = new Map<string, number[]>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Null (default): no limit. `{ perMinute: 7, ... }` makes a test fail soon enough. */
  set(limit: RateLimit | null): void {
    this.#limit = limit;
    this.#windows = new Map();
  }

  /** Counts one request; false: refuse it with 429. */
  admits(key: string, route: string): boolean {
    if (this.#limit === null) return true;
    const minute = this.#count(`minute ${key}`, 60_000);
    const second = this.#count(`second ${key} ${route}`, 1000);
    if (minute.length >= this.#limit.perMinute || second.length >= this.#limit.perSecondPerRoute)
      return false;
    minute.push(this.#now());
    second.push(this.#now());
    return true;
  }

  #count(name: string, lengthMs: number): number[] {
    const since = this.#now() - lengthMs;
    const kept = (this.#windows.get(name) ?? []).filter((at) => at > since);
    this.#windows.set(name, kept);
    return kept;
  }
}
