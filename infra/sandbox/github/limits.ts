/** Primary and secondary rate limits. https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api */
import { primaryLimit, secondaryLimit } from "./answers.ts";
import type { GitHubToken } from "./seeds.ts";
import type { GitHubState } from "./state.ts";

interface Window {
  ends: number;
  used: number;
}

/** Counts per token, and says so in the headers of every answer. */
export class Limiter {
  readonly #state: GitHubState;
  readonly #primary = new Map<GitHubToken, Window>();
  readonly #secondary = new Map<GitHubToken, Window>();

  constructor(state: GitHubState) {
    this.#state = state;
  }

  /** Counts one request and answers with its headers, or throws the limit's 403. */
  take(token: GitHubToken, method: string): Record<string, string> {
    const { rules, throttled } = this.#state;
    const { limit, windowMs } = rules.primary ?? { limit: 5000, windowMs: 3_600_000 };
    const primary = this.#window(this.#primary, token, windowMs);
    if (throttled !== null && throttled.times > 0) {
      throttled.times -= 1;
      if (throttled.kind === "secondary") throw secondaryLimit(throttled.retryAfterSeconds);
      primary.ends = this.#state.now() + throttled.retryAfterSeconds * 1000;
      throw primaryLimit(token.who, headersOf(limit, limit, primary.ends));
    }
    if (rules.primary !== null && primary.used >= limit) {
      throw primaryLimit(token.who, headersOf(limit, limit, primary.ends));
    }
    if (rules.secondary !== null) this.#takePoints(token, method, rules.secondary);
    primary.used += 1;
    return headersOf(limit, Math.min(primary.used, limit), primary.ends);
  }

  #takePoints(token: GitHubToken, method: string, rule: { points: number; windowMs: number }): void {
    const window = this.#window(this.#secondary, token, rule.windowMs);
    const cost = method === "GET" || method === "HEAD" ? 1 : 5;
    if (window.used + cost > rule.points) {
      throw secondaryLimit(Math.max(1, Math.ceil((window.ends - this.#state.now()) / 1000)));
    }
    window.used += cost;
  }

  #window(windows: Map<GitHubToken, Window>, token: GitHubToken, windowMs: number): Window {
    const now = this.#state.now();
    const known = windows.get(token);
    if (known !== undefined && known.ends > now) return known;
    const fresh = { ends: now + windowMs, used: 0 };
    windows.set(token, fresh);
    return fresh;
  }
}

function headersOf(limit: number, used: number, ends: number): Record<string, string> {
  return {
    "x-ratelimit-limit": String(limit),
    "x-ratelimit-remaining": String(limit - used),
    "x-ratelimit-used": String(used),
    "x-ratelimit-reset": String(Math.ceil(ends / 1000)),
    "x-ratelimit-resource": "core",
  };
}
