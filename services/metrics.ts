/**
 * What Branchline counts about itself, for `GET /metrics`. Labels come from short fixed sets or from the
 * configuration; never a branch, a variable's name, a path with ids in it, or a value.
 */
import { setTimeout as pause } from "node:timers/promises";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Code } from "./sync/errors.ts";
import type { BindingState } from "./sync/model.ts";

export interface Metrics {
  /** One push of one place. `outcome` is the word of the run: synced, unchanged, retry, snooze, park, supersede. */
  pushed(push: { destination: string; outcome: string; code: Code | null; seconds: number }): void;
  /** One request to a vendor. `operation` without ids; `status` null: no answer came. */
  called(call: { vendor: string; operation: string; status: number | null; seconds: number }): void;
  /** One event, by where it came from and what became of it. */
  received(event: { origin: string; outcome: string }): void;
  /** How late a due row was picked up. */
  picked(row: { kind: string; lagSeconds: number }): void;
  /** One answer of the API. `route` is the pattern, never the path. */
  answered(answer: { method: string; route: string; status: number; seconds: number }): void;
  /** How many bindings are in each state right now; states left out are 0. */
  bindings(counts: Readonly<Partial<Record<BindingState, number>>>): void;
  /** How far this machine's clock is ahead of the database's. */
  clock(skewSeconds: number): void;
  /** Called before every scrape, to set gauges from the database. A failure leaves them as they were. */
  beforeScrape(refresh: () => Promise<void>): void;
  /** The text exposition format of Prometheus. Always answers, also while the database does not. */
  scrape(): Promise<{ contentType: string; text: string }>;
}

export interface MetricsOptions {
  /** Adds memory, event loop and garbage collection of this process. Default false. */
  readonly process?: boolean;
  /** A scrape waits at most this long for the database, and then shows what was known. Default 2 seconds. */
  readonly refreshMs?: number;
}

/** Network calls and pushes: 5 ms to 30 s. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Lag of due rows: from "at once" to "an hour behind". */
const LAG_SECONDS = [0.05, 0.1, 0.5, 1, 2.5, 5, 15, 60, 300, 1_800, 3_600];

export function createMetrics({ process = false, refreshMs = 2_000 }: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (process) collectDefaultMetrics({ register: registry });

  const pushes = new Counter({
    name: "branchline_pushes_total",
    help: "Pushes by destination, outcome and error code.",
    labelNames: ["destination", "outcome", "code"] as const,
    registers,
  });
  const pushSeconds = new Histogram({
    name: "branchline_push_duration_seconds",
    help: "Duration of a push from lease to record.",
    labelNames: ["destination"] as const,
    buckets: SECONDS,
    registers,
  });
  const calls = new Counter({
    name: "branchline_vendor_calls_total",
    help: "Requests to vendors by documented operation and status; status none: no answer.",
    labelNames: ["vendor", "operation", "status"] as const,
    registers,
  });
  const callSeconds = new Histogram({
    name: "branchline_vendor_call_duration_seconds",
    help: "Duration of a request to a vendor.",
    labelNames: ["vendor"] as const,
    buckets: SECONDS,
    registers,
  });
  const events = new Counter({
    name: "branchline_events_total",
    help: "Events by origin and outcome.",
    labelNames: ["origin", "outcome"] as const,
    registers,
  });
  const lag = new Histogram({
    name: "branchline_due_lag_seconds",
    help: "How long a due row waited until somebody picked it up.",
    labelNames: ["kind"] as const,
    buckets: LAG_SECONDS,
    registers,
  });
  const answers = new Histogram({
    name: "branchline_http_request_duration_seconds",
    help: "Answers of the API by route pattern and status.",
    labelNames: ["method", "route", "status"] as const,
    buckets: SECONDS,
    registers,
  });
  const states = new Gauge({
    name: "branchline_bindings",
    help: "Bindings by state.",
    labelNames: ["state"] as const,
    registers,
  });

  const skew = new Gauge({
    name: "branchline_clock_skew_seconds",
    help: "How far this machine's clock is ahead of the database's; negative: behind.",
    registers,
  });

  const label = labelGuard();
  const refreshers: (() => Promise<void>)[] = [];

  return {
    pushed({ destination, outcome, code, seconds }) {
      const where = label("destination", destination);
      pushes.inc({ destination: where, outcome: label("outcome", outcome), code: code ?? "none" });
      pushSeconds.observe({ destination: where }, seconds);
    },
    called({ vendor, operation, status, seconds }) {
      const who = label("vendor", vendor);
      calls.inc({ vendor: who, operation: label("operation", operation), status: String(status ?? "none") });
      callSeconds.observe({ vendor: who }, seconds);
    },
    received({ origin, outcome }) {
      events.inc({ origin: label("origin", origin), outcome: label("outcome", outcome) });
    },
    picked({ kind, lagSeconds }) {
      lag.observe({ kind: label("kind", kind) }, Math.max(0, lagSeconds));
    },
    answered({ method, route, status, seconds }) {
      answers.observe({ method: label("method", method), route: label("route", route), status }, seconds);
    },
    bindings(counts) {
      states.reset();
      for (const [state, count] of Object.entries(counts)) states.set({ state }, count);
    },
    clock(skewSeconds) {
      skew.set(skewSeconds);
    },
    beforeScrape(refresh) {
      refreshers.push(refresh);
    },
    async scrape() {
      const refreshed = Promise.allSettled(refreshers.map((refresh) => refresh()));
      await Promise.race([refreshed, pause(refreshMs, undefined, { ref: false })]);
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

/** Distinct values per label, after which everything new is `other`: a scrape stays small whatever happens. */
const MAX_VALUES = 200;

function labelGuard(): (name: string, value: string) => string {
  const known = new Map<string, Set<string>>();
  return (name, value) => {
    const values = known.get(name) ?? new Set();
    known.set(name, values);
    if (values.has(value)) return value;
    if (values.size >= MAX_VALUES || !/^[\w .:*/{}-]{1,100}$/.test(value)) return "other";
    values.add(value);
    return value;
  };
}
