/** One run: everything up, a time of faults, then silence until all is as it should be, then the questions. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { packageRoot } from "../../services/paths.ts";
import { faultsIn, isWorldAct } from "./acts.ts";
import {
  type BindingAtRest,
  bindingsOf,
  type Finding,
  isBusy,
  leaks,
  lostEvents,
  parkedWithoutCause,
} from "./after.ts";
import { Fleet } from "./fleet.ts";
import { createHooks } from "./hooks.ts";
import { install } from "./installation.ts";
import { type Isolation, judgeIsolation, tryIsolation } from "./isolation.ts";
import { createPlayer, type Player, type Stage } from "./play.ts";
import { type Database, startDatabase } from "./postgres.ts";
import { startRedis } from "./redis.ts";
import { type Entry, type Report, timeline, type Violation } from "./report.ts";
import { PERMANENT, schedule } from "./schedule.ts";
import { startVendors, type Vendors } from "./stage.ts";
import type { Difference } from "./witness.ts";

export interface RunOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly workers: number;
  readonly apis: number;
  readonly redis: boolean;
  /** Real databases behind the branches, and proof by login. */
  readonly computes: boolean;
  /** Settings of seconds instead of the command's own. */
  readonly quick: boolean;
  /** Break a promise on purpose, to see that it is found. */
  readonly plant: boolean;
  /** Keep logs and configuration, and say where. */
  readonly keep: boolean;
  /** Tell what is done as it is done. */
  readonly follow: boolean;
  readonly say: (line: string) => void;
}

/** For a run of seconds: the same proportions as the defaults. */
const QUICK_SETTINGS = { leaseMs: 3_000, settleMs: 1_500, sweepEveryMs: 3_000, rereadEveryMs: 20_000 };
const LEASE_MS = 30_000;
/**
 * How long after the last fault everything must be as Neon says: the longest back-off is 5 minutes, then come a lease
 * and a sweep of a minute.
 */
const PATIENCE_MS = { real: 7 * 60_000, quick: 60_000 } as const;
/** Before the first fault nothing is promised but that it comes up; a machine may be busy with other things. */
const BEGIN_MS = 3 * 60_000;
const LOOK_MS = 100;
/** Half of what Neon allows in a minute is left for a trial, which takes a quarter. */
const CALM = { calls: 350, withinMs: 70_000, lookMs: 500 };
/** It must stay so, too. */
const STAY_MS = 1_500;
/** Lines of one message from one process within five seconds. */
const MOST_NOISE = 100;

/** `interrupted`: ends everything that was started, and rejects. */
export async function run(options: RunOptions, interrupted: AbortSignal): Promise<Report> {
  const closing: (() => Promise<unknown> | unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const stopped = new Promise<never>((_, reject) => {
      interrupted.addEventListener("abort", () => reject(new Error("interrupted")), { once: true });
    });
    return await Promise.race([play(options, (end) => void closing.push(end)), stopped]);
  } finally {
    await close();
  }
}

type OnClose = (end: () => Promise<unknown> | unknown) => void;

async function play(options: RunOptions, onClose: OnClose): Promise<Report> {
  const { seed, minutes, quick, say } = options;
  const journal: Entry[] = [];
  const note = (what: string): void => {
    journal.push({ at: Date.now(), what });
    if (options.follow) say(what);
  };
  const found: (Finding & { readonly at: number })[] = [];
  const blame = (...findings: readonly Finding[]): void => {
    for (const finding of findings) found.push({ ...finding, at: Date.now() });
  };
  const { stage, folder, secrets } = await setUp(options, onClose, note, blame);
  const { vendors, database, redis, fleet, hooks } = stage;
  const player = createPlayer(stage);
  const plan = schedule({
    seed,
    forMs: minutes * 60_000,
    processes: fleet.names,
    redis: options.redis,
    quick,
    leaseMs: quick ? QUICK_SETTINGS.leaseMs : LEASE_MS,
  });

  for (const branch of PERMANENT) await player.perform({ kind: "create", branch, hook: "once" });
  const begun = await settle(vendors, database, BEGIN_MS);
  if (!begun.settled) throw new Error(`nothing was at rest before the first fault: ${tellRest(begun)}`);
  say(`Up and at rest after ${(begun.ms / 1000).toFixed(1)} s. Faults begin.`);

  const startedAt = Date.now();
  if (options.plant) await player.perform({ kind: "plant" });
  const kinds = await perform(plan, player, startedAt);
  await player.heal();
  await hooks.settled();
  note("the last fault has ended");
  const patience = quick ? PATIENCE_MS.quick : PATIENCE_MS.real;
  const rest = await settle(vendors, database, patience);
  if (!rest.settled) blame(...unsettled(rest, patience));
  else await stays(vendors, blame);
  const isolation = rest.settled ? await isolate(stage, options, blame) : null;

  blame(...(await lostEvents(database, hooks)), ...parkedWithoutCause(rest.bindings));
  const [{ pushes = 0 } = {}] = await database.query<{ pushes: number }>(
    "select count(*)::int as pushes from branchline.push",
  );
  const testimony = await vendors.testify();
  await fleet.stop();
  blame(...(await leaks({ database, folder, queue: redis }, [...secrets, ...testimony.passwords])));
  const { lines, worst } = fleet.noise();
  if (worst !== null && worst.lines > MOST_NOISE) {
    blame({
      promise: "log",
      what: `${worst.process} said "${worst.message}" ${worst.lines} times in 5 s`,
      place: null,
    });
  }
  const violations = [...testimony.breaches, ...found].map(({ promise, what, place, at }): Violation => {
    const around = timeline(journal, testimony.changes, { at, place }, startedAt);
    return { promise, what, place, at: (at - startedAt) / 1000, timeline: around };
  });
  if (options.keep) say(`Logs: ${folder}`);
  return {
    seed,
    minutes,
    faults: Object.values(kinds).reduce((sum, n) => sum + n, 0),
    pushes,
    violations,
    kinds,
    queue: options.redis ? "redis" : "postgres",
    processes: fleet.names.length,
    webhooks: { answers: hooks.answers, accepted: hooks.accepted.size, forged: hooks.forged.size },
    generations: testimony.generations,
    requests: testimony.requests,
    convergedSeconds: rest.settled ? rest.ms / 1000 : null,
    isolation,
    logLines: lines,
    notes:
      worst === null ? [] : [`Loudest: ${worst.process}, "${worst.message}", ${worst.lines} lines in 5 s.`],
  };
}

async function setUp(
  options: RunOptions,
  onClose: OnClose,
  note: (what: string) => void,
  blame: (finding: Finding) => void,
): Promise<{ stage: Stage; folder: string; secrets: readonly string[] }> {
  const folder = mkdtempSync(join(tmpdir(), "branchline-chaos-"));
  if (!options.keep) onClose(() => rmSync(folder, { recursive: true, force: true }));
  const vendors = startVendors((text) => note(`vendors: ${text.trim()}`));
  onClose(() => vendors.close());
  const runs = join(packageRoot(), ".branchline", "runs");
  mkdirSync(runs, { recursive: true });
  const [opened, database, redis] = await Promise.all([
    vendors.open(options.computes),
    startDatabase(runs),
    options.redis ? startRedis(folder) : null,
  ]);
  onClose(() => database.stop());
  if (redis !== null) onClose(() => redis.stop());
  const { members, apiUrls, secrets } = await install({
    folder,
    vendors: opened,
    databaseUrl: database.url,
    redisUrl: redis?.url ?? null,
    workers: options.workers,
    apis: options.apis,
    settings: options.quick ? QUICK_SETTINGS : null,
  });
  const fleet = new Fleet(members, folder, {
    died: (name, how) => blame({ promise: "alive", what: `${name} ended by itself: ${how}`, place: null }),
    lingered: (name) =>
      blame({ promise: "stop", what: `${name} did not end within 20 s of SIGTERM`, place: null }),
  });
  onClose(() => fleet.stop());
  fleet.start();
  const hooks = createHooks(apiUrls, opened.credentials.github.webhookSecret);
  return { stage: { vendors, database, redis, fleet, hooks, note }, folder, secrets };
}

/** Faults that were really done, by kind. */
async function perform(
  plan: ReturnType<typeof schedule>,
  player: Player,
  startedAt: number,
): Promise<Record<string, number>> {
  const kinds: Record<string, number> = {};
  for (const { atMs, act } of plan) {
    await pause(Math.max(0, startedAt + atMs - Date.now()));
    const done = await player.perform(act);
    if (!done) continue;
    for (const kind of faultsIn(act)) kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

interface Rest {
  readonly settled: boolean;
  readonly ms: number;
  readonly differences: readonly Difference[];
  readonly bindings: readonly BindingAtRest[];
}

/** Waits until every place is as Neon says and no binding is on its way. */
async function settle(vendors: Vendors, database: Database, patienceMs: number): Promise<Rest> {
  const started = performance.now();
  for (;;) {
    const differences = await vendors.differences();
    const bindings = await bindingsOf(database).catch(() => null);
    const settled =
      differences.length === 0 && bindings !== null && !bindings.some(isBusy) && bindings.length > 0;
    const ms = Math.round(performance.now() - started);
    if (settled || ms > patienceMs) return { settled, ms, differences, bindings: bindings ?? [] };
    await pause(LOOK_MS);
  }
}

/** One finding per place, with what its binding says of itself. */
function unsettled({ differences, bindings }: Rest, patienceMs: number): Finding[] {
  const wrong = new Map<string, string[]>();
  const say = (place: string, what: string): void => {
    wrong.set(place, [...(wrong.get(place) ?? []), what]);
  };
  for (const { place, name, want, have } of differences) say(place, `${name} holds ${have} and not ${want}`);
  for (const binding of bindings.filter(isBusy)) {
    const { branch, destination, state, code, cause } = binding;
    say(`${destination} ${branch.replace(/^preview\//, "")}`, `${state} ${code ?? ""} ${cause ?? ""}`.trim());
  }
  const within = `${patienceMs / 1000} s after the last fault`;
  return [...wrong].map(([place, what]) => ({ promise: "P3", what: `${within}: ${what.join("; ")}`, place }));
}

/** P6, when all is at rest; afterwards all has to come to rest once more. */
async function isolate(
  { vendors, database, hooks, note }: Stage,
  { seed, quick }: RunOptions,
  blame: (...findings: readonly Finding[]) => void,
): Promise<Isolation> {
  const patienceMs = quick ? PATIENCE_MS.quick : PATIENCE_MS.real;
  const isolation = await tryIsolation({
    seed,
    note,
    act: async (act) => {
      await vendors.act(act);
      if (isWorldAct(act)) hooks.announce(act);
    },
    relent: async () => await vendors.relent(),
    wrong: async () => new Set((await vendors.differences()).map(({ place }) => place)),
    calm: async () => {
      const until = performance.now() + CALM.withinMs;
      while ((await vendors.callsAtNeon()) > CALM.calls && performance.now() < until)
        await pause(CALM.lookMs);
    },
    rest: async () => {
      const rest = await settle(vendors, database, patienceMs);
      if (!rest.settled) blame(...unsettled(rest, patienceMs));
      return rest.settled;
    },
  });
  await hooks.settled();
  blame(...judgeIsolation(isolation));
  return isolation;
}

async function stays(vendors: Vendors, blame: (...findings: readonly Finding[]) => void): Promise<void> {
  await pause(STAY_MS);
  for (const { place, name, want, have } of await vendors.differences()) {
    blame({
      promise: "P3",
      what: `${name} was as it should be and then held ${have} and not ${want}`,
      place,
    });
  }
}

function tellRest({ differences, bindings }: Rest): string {
  const wrong = differences.map(({ place, name, want, have }) => `${place} ${name}: ${have}, not ${want}`);
  const busy = bindings
    .filter(isBusy)
    .map(({ branch, destination, state, cause }) => `${destination} ${branch}: ${state} ${cause ?? ""}`);
  const all = [...busy, ...wrong];
  return `${all.slice(0, 8).join("; ")}${all.length > 8 ? ` and ${all.length - 8} more` : ""}`;
}
