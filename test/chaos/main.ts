/**
 * `npm run chaos -- --seed N --minutes M [--json]`: real processes on a real PostgreSQL, vendors that misbehave, and a
 * witness. Prints what happened in words, or with `--json` one object `{ seed, minutes, faults, pushes, violations }`.
 * Exit code 1 if a promise was broken; 70 if the run itself could not be made, and then nothing is known.
 *
 * The queue is in a Redis of its own where there is a redis-server, else in PostgreSQL; `--redis` insists on the one and
 * `--no-redis` on the other. `--quick`: settings of seconds. `--plan`: only print the schedule.
 * `--plant`: breaks a promise on purpose, to see that it is found.
 * `--no-computes`: no databases behind the branches, and no proof. `--keep`: leave the logs. `--follow`: tell what is done
 * as it is done.
 */
import { parseArgs } from "node:util";
import { tell } from "./acts.ts";
import { redisVersion } from "./redis.ts";
import { inWords } from "./report.ts";
import { run } from "./run.ts";
import { schedule } from "./schedule.ts";

const { values: flags } = parseArgs({
  allowNegative: true,
  options: {
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "1" },
    workers: { type: "string", default: "3" },
    apis: { type: "string", default: "2" },
    json: { type: "boolean", default: false },
    redis: { type: "boolean" },
    computes: { type: "boolean", default: true },
    quick: { type: "boolean", default: false },
    plan: { type: "boolean", default: false },
    plant: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    follow: { type: "boolean", default: false },
  },
});

const number = (flag: "seed" | "minutes" | "workers" | "apis"): number => {
  const value = Number(flags[flag]);
  if (Number.isFinite(value) && value > 0) return value;
  process.stderr.write(`--${flag} takes a number greater than 0.\n`);
  process.exit(64);
};
const options = {
  seed: number("seed"),
  minutes: number("minutes"),
  workers: number("workers"),
  apis: number("apis"),
};
const isRedisHere = redisVersion() !== null;
const redis = flags.redis ?? isRedisHere;

if (flags.plan) {
  const named = (role: string, count: number) => Array.from({ length: count }, (_, n) => `${role}-${n + 1}`);
  const processes = [...named("worker", options.workers), ...named("api", options.apis)];
  const forMs = options.minutes * 60_000;
  const plan = schedule({
    ...options,
    forMs,
    processes,
    redis,
    quick: flags.quick,
    leaseMs: 30_000,
  });
  for (const { atMs, act } of plan)
    process.stdout.write(`${(atMs / 1000).toFixed(2).padStart(8)} s  ${tell(act)}\n`);
  process.exit(0);
}
if (redis && !isRedisHere) {
  process.stderr.write("There is no redis-server on the PATH.\n");
  process.exit(69);
}

const say = flags.json ? () => {} : (line: string) => void process.stderr.write(`${line}\n`);
const { computes, quick, plant, keep, follow } = flags;
const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => interrupt.abort());
const report = await run(
  { ...options, computes, redis, quick, plant, keep, follow, say },
  interrupt.signal,
).catch((error: unknown): never => {
  // Nothing was found out: neither 0 nor 1.
  process.stderr.write(`chaos: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(interrupt.signal.aborted ? 130 : 70);
});
process.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : inWords(report));
process.exit(report.violations.length === 0 ? 0 : 1);
