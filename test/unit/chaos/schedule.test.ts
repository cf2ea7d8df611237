import { describe, expect, test } from "vitest";
import { faultsIn } from "../../chaos/acts.ts";
import { schedule } from "../../chaos/schedule.ts";

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const planOf = (seed: number, redis = false) =>
  schedule({
    seed,
    forMs: 60_000,
    processes: ["worker-1", "worker-2", "worker-3", "api-1", "api-2"],
    redis,
    quick: false,
    leaseMs: 30_000,
  });
const faultsOf = (seed: number, redis = false) =>
  new Set(planOf(seed, redis).flatMap(({ act }) => faultsIn(act)));

/** What a minute of any seed must have in it. */
const ALWAYS = [
  ...["kill worker", "kill api", "freeze worker", "clock worker"],
  ...["postgres-kill", "postgres-freeze", "postgres-cut listen", "postgres-cut any", "postgres-crowd"],
  ...["webhook lost", "webhook twice", "webhook late", "webhook forged: signature"],
  ...["webhook forged: nonsense", "webhook forged: replayed-body"],
  ...["vendor die-after-applying", "vendor hang-after-applying", "vendor fail-after-applying"],
  ...["vendor 429 with Retry-After", "vendor 429 without Retry-After", "vendor drip", "vendor reset"],
  ...["vendor latency", "vendor hang", "rotate-after-read"],
];
/** What all seeds together must have. */
const SOMETIMES = [
  ...["freeze api", "clock api", "term worker", "term api", "webhook reordered", "delete-after-read"],
  ...["list truncated", "list stale", "list empty", "seal", "throttle", "aws-refusal", "github-key"],
  ...["foreign change", "foreign lose", "foreign beside", "outage status", "outage reset", "outage hang"],
];

describe("the plan of a run", () => {
  test.each(SEEDS)("has every kind of fault in it: seed %d", (seed) => {
    const faults = faultsOf(seed);
    expect(ALWAYS.filter((kind) => !faults.has(kind))).toEqual([]);
  });

  test("leaves out none over ten seeds, and Redis only where there is none", () => {
    const faults = new Set(SEEDS.flatMap((seed) => [...faultsOf(seed)]));
    expect(SOMETIMES.filter((kind) => !faults.has(kind))).toEqual([]);
    expect([...faults].filter((kind) => kind.startsWith("redis"))).toEqual([]);
    const redis = [...faultsOf(1, true)].filter((kind) => kind.startsWith("redis"));
    expect(redis.sort()).toEqual(["redis-flush", "redis-freeze", "redis-kill"]);
  });

  test("is the same for the same seed, and another for another", () => {
    expect(planOf(3)).toEqual(planOf(3));
    expect(planOf(3)).not.toEqual(planOf(4));
  });

  test("sets no clock so far off that a process would refuse to start", () => {
    for (const { act } of SEEDS.flatMap((seed) => planOf(seed))) {
      if (act.kind === "clock") expect(Math.abs(act.offMs)).toBeLessThanOrEqual(4 * 60_000);
    }
  });
});
