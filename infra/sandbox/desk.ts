/** What a stand-in is told to do wrong, and what it saw. */

/** What shall go wrong. The first fault that matches a request wins; `times` defaults to for ever. */
export interface Fault {
  /**
   * `status`: nothing is applied, answered with that vendor's error body. `hang`: nothing is applied, no
   * answer ever. `reset`: nothing is applied, the socket is destroyed. `die-after-applying`: the state
   * changes, then the socket is destroyed without an answer. `hang-after-applying`: the state changes, no
   * answer ever. `fail-after-applying`: the state changes, and `status` (500) is answered all the same.
   * `latency`: `ms` later, then as usual.
   * `drip`: applied, but the body of the answer comes byte by byte, one every `ms` (50).
   */
  readonly kind:
    | "status"
    | "hang"
    | "reset"
    | "die-after-applying"
    | "hang-after-applying"
    | "fail-after-applying"
    | "latency"
    | "drip";
  /** Upper case; absent: any. */
  readonly method?: string;
  /** Source of a regular expression over the path (without query); absent: any. */
  readonly path?: string;
  /** As `LoggedRequest.operation` says it: `PutSecretValue`, `GET /v10/projects/:id/env`; absent: any. */
  readonly operation?: string;
  /** For `status` and `fail-after-applying`; default 500. */
  readonly status?: number;
  /** Sent along as `Retry-After`. */
  readonly retryAfter?: string;
  readonly ms?: number;
  /** This many matching requests pass first. */
  readonly skip?: number;
  readonly times?: number;
}

/** One request as it was seen. Never holds header values, query values or bodies. */
export interface LoggedRequest {
  readonly n: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly method: string;
  readonly path: string;
  /** The route, `GET /v10/projects/:id/env`, or what the vendor calls the operation. */
  readonly operation: string;
  /** Null while there is no answer, and for ever if the socket died first. */
  readonly status: number | null;
  readonly ms: number;
  /** The kind of the fault that struck, if one did. */
  readonly fault: string | null;
}

const KINDS: readonly string[] = [
  "status",
  "hang",
  "reset",
  "die-after-applying",
  "hang-after-applying",
  "fail-after-applying",
  "latency",
  "drip",
];
const KEPT = 10_000;

interface Armed {
  readonly fault: Fault;
  readonly path: RegExp | null;
  skip: number;
  times: number;
}

export type LogLine = { -readonly [K in keyof LoggedRequest]: LoggedRequest[K] };

/** The mutable side of a vendor: armed faults, latency, log. */
export class Desk {
  readonly log: LogLine[] = [];
  latencyMs: number;
  #armed: Armed[] = [];
  #n = 0;

  constructor(latencyMs: number) {
    this.latencyMs = latencyMs;
  }

  addFault(fault: Fault): void {
    if (!KINDS.includes(fault.kind)) throw new TypeError(`unknown fault kind ${String(fault.kind)}`);
    const path = fault.path === undefined ? null : new RegExp(fault.path);
    this.#armed.push({ fault, path, skip: fault.skip ?? 0, times: fault.times ?? Number.POSITIVE_INFINITY });
  }

  clearFaults(): void {
    this.#armed = [];
  }

  /** The fault that strikes this request, with its counters moved on. */
  strike({ method, path, operation }: LogLine): Fault | null {
    for (const armed of this.#armed) {
      if (armed.times <= 0) continue;
      if (armed.fault.method !== undefined && armed.fault.method !== method) continue;
      if (armed.fault.operation !== undefined && armed.fault.operation !== operation) continue;
      if (armed.path !== null && !armed.path.test(path)) continue;
      if (armed.skip > 0) {
        armed.skip -= 1;
        continue;
      }
      armed.times -= 1;
      return armed.fault;
    }
    return null;
  }

  enter(method: string, path: string): LogLine {
    this.#n += 1;
    const line: LogLine = {
      n: this.#n,
      at: Date.now(),
      method,
      path,
      operation: `${method} ${path}`,
      status: null,
      ms: 0,
      fault: null,
    };
    this.log.push(line);
    if (this.log.length > KEPT) this.log.shift();
    return line;
  }
}
