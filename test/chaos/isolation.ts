/**
 * P6, tried out when the fire is over: passwords change everywhere, first in peace and then while one destination is down,
 * slow, throttled or hanging, and it is measured how long the others take to follow.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Fault } from "../../infra/sandbox/desk.ts";
import {
  DESTINATIONS,
  type DestinationName,
  type VendorAct,
  type VendorName,
  type WorldAct,
} from "./acts.ts";
import type { Finding } from "./after.ts";
import { STABLE } from "./schedule.ts";

/** Milliseconds from the new passwords until every place of a destination holds them; null: not while anybody looked. */
export type Times = Readonly<Partial<Record<DestinationName, number | null>>>;

export interface Trial {
  readonly ill: string;
  readonly destination: DestinationName;
  /** Of all destinations but that one. */
  readonly othersMs: Times;
}

export interface Isolation {
  /** When all are well; the slowest of some rounds. */
  readonly peaceMs: Times;
  readonly trials: readonly Trial[];
}

export interface Ground {
  readonly seed: number;
  act(act: WorldAct | VendorAct): Promise<void>;
  /** Every fault ends. */
  relent(): Promise<void>;
  /** Places that do not hold what Neon says: `vault p0`. */
  wrong(): Promise<ReadonlySet<string>>;
  /** Waits until nothing is left to do. False: that did not come. */
  rest(): Promise<boolean>;
  /** Waits until Neon allows enough: else everybody would wait for that, whoever is ill. */
  calm(): Promise<void>;
  note(what: string): void;
}

const ILLNESSES: Readonly<Record<string, Fault>> = {
  down: { kind: "status", status: 503 },
  slow: { kind: "latency", ms: 4_000 },
  throttled: { kind: "status", status: 429, retryAfter: "5" },
  hanging: { kind: "hang" },
};
const VENDOR_OF: Readonly<Record<DestinationName, VendorName>> = {
  web: "vercel",
  ci: "github",
  runtime: "aws",
  vault: "vault",
};

/**
 * The stated bound: twice what a destination takes in peace, and the time of a watch for a webhook that comes while one is
 * under way. Never as long as an ill one takes to be well again.
 */
export const boundMs = (peaceMs: number): number => 2 * peaceMs + MARGIN_MS;
const MARGIN_MS = 3_000;
const LOOK_MS = 50;
/** In peace nobody knows yet how long it takes. */
const PEACE_MS = 60_000;
const ROUNDS = 2;

export async function tryIsolation(ground: Ground): Promise<Isolation> {
  const rounds: Times[] = [];
  for (let n = 0; n < ROUNDS; n += 1) {
    await ground.calm();
    rounds.push(await follow(ground, DESTINATIONS, () => PEACE_MS));
    if (!(await ground.rest())) return { peaceMs: slowestOf(rounds), trials: [] };
  }
  const peaceMs = slowestOf(rounds);
  const trials: Trial[] = [];
  for (const [n, [ill, fault]] of Object.entries(ILLNESSES).entries()) {
    // Over the seeds each destination has each illness.
    const destination = DESTINATIONS[(n + ground.seed) % DESTINATIONS.length] ?? "web";
    const others = DESTINATIONS.filter((name) => name !== destination);
    await ground.calm();
    ground.note(`${destination} is ${ill}`);
    await ground.act({ kind: "fault", vendor: VENDOR_OF[destination], fault });
    // Twice the bound: what is late is told with how late it was.
    const patience = (name: DestinationName) => 2 * boundMs(peaceMs[name] ?? PEACE_MS);
    let othersMs = await follow(ground, others, patience);
    if (judgeIsolation({ peaceMs, trials: [{ ill, destination, othersMs }] }).length > 0) {
      ground.note("some were late: once more");
      othersMs = quickestOf(othersMs, await follow(ground, others, patience));
    }
    trials.push({ ill, destination, othersMs });
    await ground.relent();
    ground.note(`${destination} is well again`);
    if (!(await ground.rest())) break;
  }
  return { peaceMs, trials };
}

/** New passwords for the branches that always live, and how long these destinations take. */
async function follow(
  { act, wrong }: Ground,
  destinations: readonly DestinationName[],
  patienceMs: (name: DestinationName) => number,
): Promise<Times> {
  const began = performance.now();
  for (const branch of STABLE) {
    await act({ kind: "rotate", branch, roles: ["shop_app", "shop_owner"], hook: "once" });
  }
  const times: Partial<Record<DestinationName, number | null>> = {};
  const open = new Set(destinations);
  while (open.size > 0) {
    const places = [...(await wrong())];
    const ms = Math.round(performance.now() - began);
    for (const name of open) {
      const isThere = !places.some((place) => place.startsWith(`${name} `));
      if (!isThere && ms <= patienceMs(name)) continue;
      times[name] = isThere ? ms : null;
      open.delete(name);
    }
    if (open.size > 0) await pause(LOOK_MS);
  }
  return times;
}

/** Whoever is held up by another one is late each time; whoever was because the machine stood still is not. */
function quickestOf(once: Times, again: Times): Times {
  const ms = (times: Times, name: DestinationName) => times[name] ?? Number.POSITIVE_INFINITY;
  return Object.fromEntries(
    Object.keys(once).map((key) => {
      const name = key as DestinationName;
      const best = Math.min(ms(once, name), ms(again, name));
      return [name, Number.isFinite(best) ? best : null];
    }),
  );
}

function slowestOf(rounds: readonly Times[]): Times {
  const slowest = (name: DestinationName): number | null => {
    const all = rounds.map((times) => times[name] ?? null);
    return all.includes(null) ? null : Math.max(...all.map(Number));
  };
  return Object.fromEntries(DESTINATIONS.map((name) => [name, slowest(name)]));
}

/** Whoever took longer than is stated, while it was another one that was ill. */
export function judgeIsolation({ peaceMs, trials }: Isolation): Finding[] {
  const peace = (name: DestinationName): number => peaceMs[name] ?? PEACE_MS;
  const inTime = DESTINATIONS.filter((name) => peaceMs[name] === null).map((name) => ({
    promise: "P6",
    what: `${name} did not follow within ${PEACE_MS / 1000} s though nobody was ill`,
    place: null,
  }));
  const late = trials.flatMap(({ ill, destination, othersMs }) =>
    DESTINATIONS.flatMap((name) => {
      const ms = othersMs[name];
      const bound = boundMs(peace(name));
      if (ms === undefined || (ms !== null && ms <= bound)) return [];
      const took = ms === null ? "did not follow" : `took ${ms} ms`;
      const what = `${name} ${took} while ${destination} was ${ill}; in peace it takes ${peace(name)} ms, and ${bound} are stated`;
      return [{ promise: "P6", what, place: null }];
    }),
  );
  return [...inTime, ...late];
}
