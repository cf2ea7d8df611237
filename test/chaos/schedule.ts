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
import { createRandom, type Random } from "./random.ts";

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
  return (random) => {
    const hook = random.weighted<Hook>({ once: 5, twice: 2, late: 1, lost: 3 });
    const kind = random.weighted({ create: 4, delete: 1, expire: 0.3, recreate: 2, rotate: 6 });
    if (kind === "rotate") return rotation(random, [...PERMANENT, ...alive, "main"], hook);
    const branch = random.pick(CHURNING);
    if (!alive.has(branch)) {
      alive.add(branch);
      return { kind: "create", branch, hook };
    }
    if (kind === "create") return rotation(random, [branch], hook);
    if (kind !== "recreate") alive.delete(branch);
    return { kind, branch, hook };
  };
}

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
  const weights = {
    fault: 14,
    outage: 2,
    lie: 2,
    seal: 0.7,
    throttle: 0.7,
    "aws-refusal": 1,
    "github-key": 0.7,
    kill: 5,
    freeze: 3,
    term: 1,
    "postgres-kill": 0.8,
    "postgres-freeze": 0.8,
    "postgres-cut": 2.5,
    "postgres-crowd": 0.7,
    "redis-kill": redis ? 1 : 0,
    "redis-freeze": redis ? 1 : 0,
    "redis-flush": redis ? 1.5 : 0,
    forge: 2,
  };
  let longFreezes = 0;
  return (random) => {
    const kind = random.weighted(weights);
    switch (kind) {
      case "fault":
        return { kind, ...vendorFault(random, quick) };
      case "outage":
        return { kind, vendor: random.pick(VENDORS), ...outage(random, quick) };
      case "lie":
        return { kind, how: random.pick(["truncated", "empty", "stale"] as const), times: random.int(1, 4) };
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
        return { kind, process: random.pick(options.processes), downMs: random.int(50, 1_500) };
      case "freeze": {
        // Now and then longer than a lease, so that the sleeper wakes up as somebody who has lost it.
        const long = random.chance(0.3) && longFreezes < 3;
        if (long) longFreezes += 1;
        const forMs = long
          ? options.leaseMs + random.int(1_000, 6_000)
          : random.int(300, quick ? 1_500 : 5_000);
        return { kind, process: random.pick(options.processes), forMs };
      }
      case "postgres-kill":
        return { kind, downMs: random.int(50, quick ? 600 : 3_000) };
      case "postgres-freeze":
        return { kind, forMs: random.int(500, quick ? 1_500 : 8_000), whole: random.chance(0.7) };
      case "postgres-cut":
        return { kind, which: random.chance(0.5) ? "listen" : "any", share: random.pick([0.2, 0.5, 1]) };
      case "postgres-crowd":
        return { kind, forMs: random.int(500, quick ? 1_500 : 6_000) };
      case "redis-kill":
        return { kind, downMs: random.int(50, 2_000) };
      case "redis-freeze":
        return { kind, forMs: random.int(300, quick ? 1_500 : 5_000) };
      case "redis-flush":
        return { kind };
      case "forge":
        return { kind, how: random.pick(["signature", "nonsense", "replayed-body"] as const) };
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

function vendorFault(random: Random, quick: boolean): { vendor: VendorName; fault: Fault } {
  const vendor = random.pick(VENDORS);
  const where = random.chance(0.6) ? WRITES[vendor] : {};
  const times = random.int(1, 3);
  const kind = random.weighted({
    "die-after-applying": 4,
    "fail-after-applying": 3,
    status: 4,
    reset: 2,
    latency: 3,
    drip: 1,
    hang: quick ? 0 : 1,
  });
  switch (kind) {
    case "status":
      return { vendor, fault: { ...where, times, kind, ...badStatus(random, quick) } };
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
function badStatus(random: Random, quick: boolean): Pick<Fault, "status" | "retryAfter"> {
  const status = random.pick([500, 503, 502, 429, 429]);
  return random.chance(0.5) || (quick && status === 429)
    ? { status, retryAfter: String(random.int(1, 3)) }
    : { status };
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
