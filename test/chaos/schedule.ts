/**
 * The whole run, planned from its seed before anything begins: what the world does at Neon, who else writes at the
 * vendors, and every fault. The plan knows which branches live, so nothing in it depends on how the run goes.
 */
import type { Fault } from "../../infra/sandbox/desk.ts";
import {
  type Act,
  DESTINATIONS,
  type DestinationName,
  type Hook,
  type Planned,
  type Role,
  VENDORS,
  type VendorName,
} from "./acts.ts";
import { createRandom, deckOf, type Random } from "./random.ts";

/** Live from before the beginning to the end. */
export const STABLE = ["p0", "p1"] as const;
/** Come and go. */
export const CHURNING = ["p2", "p3", "p4"] as const;
/** Somebody else had the names at these places before we came. */
export const FOREIGN: Readonly<Record<string, readonly DestinationName[]>> = {
  p5: ["vault", "web"],
  p6: ["ci", "runtime"],
};
export const PERMANENT: readonly string[] = [...STABLE, ...Object.keys(FOREIGN)];

export interface ScheduleOptions {
  readonly seed: number;
  readonly forMs: number;
  readonly processes: readonly string[];
  readonly redis: boolean;
  /** Whole minutes of silence and calls that hang cost more than a short run has. */
  readonly quick: boolean;
  /** A holder that says nothing for so long is taken for dead. */
  readonly leaseMs: number;
}

export function schedule(options: ScheduleOptions): readonly Planned[] {
  const { seed, quick } = options;
  // Neon lets one account make 700 calls a minute, and every change costs about ten.
  const gap = quick ? 700 : 1_500;
  const world = fill(options, createRandom(seed * 3 + 1), gap, worldActs());
  const faults = fill(options, createRandom(seed * 3 + 2), quick ? 350 : 700, faultActs(options));
  const others = fill(options, createRandom(seed * 3 + 3), quick ? 900 : 2_500, foreignActs());
  return [...world, ...faults, ...others].sort((a, b) => a.atMs - b.atMs);
}

type Draw = (random: Random) => Act | null;

function fill({ forMs }: ScheduleOptions, random: Random, meanMs: number, draw: Draw): Planned[] {
  const planned: Planned[] = [];
  for (let atMs = 200; atMs < forMs; atMs += random.int(meanMs * 0.2, meanMs * 1.8)) {
    const act = draw(random);
    if (act !== null) planned.push({ atMs: Math.round(atMs), act });
  }
  return planned;
}

// ---------------------------------------------------------------- the world

function worldActs(): Draw {
  const alive = new Set<string>();
  const nextHook = deckOf<Hook>({ once: 5, twice: 2, late: 1, lost: 3 });
  const nextKind = deckOf({
    ...{ create: 6, delete: 2, expire: 1, recreate: 3, rotate: 9 },
    ...{ "rotate-after-read": 2, "delete-after-read": 1 },
  });
  return (random) => {
    const hook = nextHook(random);
    const kind = nextKind(random);
    if (kind === "rotate") return rotation(random, [...PERMANENT, ...alive, "main"], hook);
    if (kind === "rotate-after-read") {
      return { kind, branch: random.pick([...STABLE, ...alive]), reads: random.int(1, MOST_READS), hook };
    }
    const branch = random.pick(CHURNING);
    if (!alive.has(branch)) {
      alive.add(branch);
      return { kind: "create", branch, hook };
    }
    if (kind === "create") return rotation(random, [branch], hook);
    if (kind !== "recreate") alive.delete(branch);
    return kind === "delete-after-read"
      ? { kind, branch, reads: random.int(1, MOST_READS), hook }
      : { kind, branch, hook };
  };
}

/** The first readings after a rotation are those of a reconcile, the next those of pushes. */
const MOST_READS = 5;

function rotation(random: Random, among: readonly string[], hook: Hook): Act {
  const roles = random.pick<readonly Role[]>([["shop_app"], ["shop_owner"], ["shop_app", "shop_owner"]]);
  return { kind: "rotate", branch: random.pick(among), roles, hook };
}

/** Fewer than three changes of one name by others, else we are right to stop and say so. */
const MOST_DRIFTS = 2;

function foreignActs(): Draw {
  const drifts = new Map<string, number>();
  return (random) => {
    const what = random.weighted({ change: 3, lose: 2, beside: 1 });
    const branch = random.pick(STABLE);
    const destination = random.pick(DESTINATIONS);
    const key = `${destination} ${branch}`;
    const before = drifts.get(key) ?? 0;
    if (what !== "beside") {
      if (before >= MOST_DRIFTS) return null;
      drifts.set(key, before + 1);
    }
    return { kind: "foreign", what, destination, branch };
  };
}

// ---------------------------------------------------------------- faults

function faultActs(options: ScheduleOptions): Draw {
  const { redis, quick } = options;
  const nextKind = deckOf({
    fault: 16,
    outage: 2,
    lie: 2,
    seal: 1,
    throttle: 1,
    "aws-refusal": 1,
    "github-key": 1,
    kill: 5,
    freeze: 3,
    term: 1,
    clock: 2,
    "postgres-kill": 1,
    "postgres-freeze": 1,
    "postgres-cut": 3,
    "postgres-crowd": 1,
    "redis-kill": redis ? 1 : 0,
    "redis-freeze": redis ? 1 : 0,
    "redis-flush": redis ? 2 : 0,
    forge: 3,
  });
  const nextFault = vendorFaults(quick);
  const nextLie = deckOf({ truncated: 1, empty: 1, stale: 1 });
  const nextForgery = deckOf({ signature: 1, nonsense: 1, "replayed-body": 1 });
  const nextCut = deckOf({ listen: 2, any: 1 });
  const [workers, apis] = ["worker", "api"].map((role) =>
    options.processes.filter((name) => name.startsWith(role)),
  );
  const nextRole = deckOf({ worker: 3, api: 2 });
  const someProcess = (random: Random): string =>
    random.pick((nextRole(random) === "worker" ? workers : apis) ?? options.processes);
  let longFreezes = 0;
  return (random) => {
    const kind = nextKind(random);
    switch (kind) {
      case "fault":
        return { kind, ...nextFault(random) };
      case "outage":
        return { kind, vendor: random.pick(VENDORS), ...outage(random, quick) };
      case "lie":
        return { kind, how: nextLie(random), times: random.int(1, 4) };
      case "seal":
        return { kind, forMs: random.int(300, quick ? 1_500 : 5_000) };
      case "throttle":
        return { kind, limit: random.pick(["primary", "secondary"] as const), seconds: random.int(1, 3) };
      case "aws-refusal":
        return { kind, ...awsRefusal(random) };
      case "github-key":
        return { kind, branch: random.pick([...STABLE, ...CHURNING]) };
      case "kill":
      case "term":
        return { kind, process: someProcess(random), downMs: random.int(50, 1_500) };
      case "clock": {
        // Further off than five minutes no process starts.
        const offMs = random.int(500, 4 * 60_000) * (random.chance(0.5) ? 1 : -1);
        return { kind, process: someProcess(random), offMs };
      }
      case "freeze": {
        // Now and then longer than a lease, so that the sleeper wakes up as somebody who has lost it.
        const long = random.chance(0.3) && longFreezes < 3;
        if (long) longFreezes += 1;
        const forMs = long
          ? options.leaseMs + random.int(1_000, 6_000)
          : random.int(300, quick ? 1_500 : 5_000);
        return { kind, process: someProcess(random), forMs };
      }
      case "postgres-kill":
        return { kind, downMs: random.int(50, quick ? 600 : 3_000) };
      case "postgres-freeze":
        return { kind, forMs: random.int(500, quick ? 1_500 : 8_000), whole: random.chance(0.7) };
      case "postgres-cut":
        return { kind, which: nextCut(random), share: random.pick([0.2, 0.5, 1]) };
      case "postgres-crowd":
        return { kind, forMs: random.int(500, quick ? 1_500 : 6_000) };
      case "redis-kill":
        return { kind, downMs: random.int(50, 2_000) };
      case "redis-freeze":
        return { kind, forMs: random.int(300, quick ? 1_500 : 5_000) };
      case "redis-flush":
        return { kind };
      case "forge":
        return { kind, how: nextForgery(random) };
    }
  };
}

/** Where only writes are worth a fault, so that it does not go off on the next look around. */
const WRITES: Readonly<Record<VendorName, Pick<Fault, "method" | "path" | "operation">>> = {
  neon: { path: "reveal_password" },
  vercel: { method: "POST" },
  github: { method: "PUT" },
  aws: { operation: "PutSecretValue" },
  vault: { method: "POST", path: "/data/" },
};

function vendorFaults(quick: boolean): (random: Random) => { vendor: VendorName; fault: Fault } {
  const nextKind = deckOf({
    "die-after-applying": 3,
    "hang-after-applying": quick ? 0 : 1,
    "fail-after-applying": 3,
    status: 5,
    reset: 2,
    latency: 3,
    drip: 1,
    hang: quick ? 0 : 1,
  });
  const nextStatus = deckOf({ "500": 1, "502": 1, "503": 1, "429 with": 1, "429 without": quick ? 0 : 1 });
  return (random) => vendorFault(random, nextKind(random), () => nextStatus(random), quick);
}

function vendorFault(
  random: Random,
  kind: Fault["kind"],
  nextStatus: () => string,
  quick: boolean,
): { vendor: VendorName; fault: Fault } {
  const vendor = random.pick(VENDORS);
  const where = random.chance(0.6) ? WRITES[vendor] : {};
  // What never answers costs a deadline each time.
  const times = kind.startsWith("hang") ? 1 : random.int(1, 3);
  switch (kind) {
    case "status":
      return { vendor, fault: { ...where, times, kind, ...badStatus(random, nextStatus()) } };
    case "fail-after-applying":
      return { vendor, fault: { ...where, times, kind, status: random.pick([500, 502, 504]) } };
    case "latency":
      return { vendor, fault: { ...where, times, kind, ms: random.int(100, quick ? 800 : 4_000) } };
    case "drip":
      return { vendor, fault: { ...where, times, kind, ms: random.int(1, 10) } };
    default:
      return { vendor, fault: { ...where, times, kind } };
  }
}

/** A vendor that asks to slow down and does not say for how long is left alone for a minute. */
function badStatus(random: Random, which: string): Pick<Fault, "status" | "retryAfter"> {
  const status = Number.parseInt(which, 10);
  const told = status === 429 ? which.endsWith("with") : random.chance(0.5);
  return told ? { status, retryAfter: String(random.int(1, 3)) } : { status };
}

function outage(random: Random, quick: boolean): { fault: Fault; forMs: number } {
  const forMs = random.int(500, quick ? 2_000 : 8_000);
  const kind = random.pick(quick ? (["status", "reset"] as const) : (["status", "reset", "hang"] as const));
  return { fault: kind === "status" ? { kind, status: 503 } : { kind }, forMs };
}

function awsRefusal(random: Random): { operation: string; code: string; status: number } {
  const operation = random.pick(["PutSecretValue", "DescribeSecret", "CreateSecret", "BatchGetSecretValue"]);
  const [code, status] = random.pick([
    ["ThrottlingException", 400],
    ["InternalServiceError", 500],
  ] as const);
  return { operation, code, status };
}
