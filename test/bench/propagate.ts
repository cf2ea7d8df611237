/**
 * From an accepted webhook to all four destinations written, with Branchline in a process of its own. Beside it the
 * critical path: what would have to be waited for if we took no time ourselves. What is beyond it is ours.
 */
import { setTimeout as pause } from "node:timers/promises";
import { request } from "undici";
import { agreeing, DESTINATIONS, expected, holdings } from "../../infra/demo/vendors.ts";
import type { Sandbox } from "../../infra/sandbox/index.ts";
import { BRANCH_PREFIX, deliver } from "./hooks.ts";
import { percentile, type Result, rounded, type Scale } from "./result.ts";
import { type Member, openStage } from "./stage.ts";

const ROUNDS = 30;
/** Rounds that only warm up. */
const COLD = 5;
/** Closer together, rounds would wait for their turn at Neon and GitHub: this one is about the time that we take. */
const APART_MS = 4_700;
const PATIENCE_MS = 60_000;
const LATENCY_MS = 40;
/** To look takes time of the process that the stand-ins are in. */
const POLL_MS = 10;
const BARE_CALLS = 60;

export async function run({ scale }: Scale): Promise<Result[]> {
  const rounds = Math.max(1, Math.round(ROUNDS * scale));
  const cold = scale < 1 ? 0 : COLD;
  const stage = await openStage({ sandbox: { latencyMs: LATENCY_MS } });
  try {
    const member = await stage.serve();
    const wireMs = await bareRoundTrip(stage.sandbox);
    const measured: Round[] = [];
    for (let n = 0; n < rounds + cold; n++) {
      const began = performance.now();
      measured.push(await round({ sandbox: stage.sandbox, member, wireMs }, n));
      if (n + 1 < rounds + cold && scale === 1) await pause(APART_MS - (performance.now() - began));
    }
    return results(measured.slice(cold));
  } finally {
    await stage.close();
  }
}

/** All in milliseconds. */
interface Round {
  readonly total: number;
  /** What nobody could have made shorter, in the order in which it has to be waited for. */
  readonly path: {
    /** Finding the branch at Neon, and reading it. */
    readonly find: number;
    /** Reading it again, once what the destinations hold is known. */
    readonly read: number;
    /** Logging in with the new string: there are no databases here. */
    readonly proof: number;
    /** The calls that must follow each other, of the destination that has most to do. */
    readonly write: number;
    /** Between writes, as a vendor demands it: the stand-ins demand none. */
    readonly spacing: number;
    /** What lies between a vendor and whoever calls it with nothing but a client, as often as one call follows another. */
    readonly wire: number;
  };
  readonly slowest: string;
  /** Processor time that Branchline took. */
  readonly cpu: number;
}

interface Course {
  readonly sandbox: Sandbox;
  readonly member: Member;
  readonly wireMs: number;
}

async function round({ sandbox, member, wireMs }: Course, n: number): Promise<Round> {
  const preview = `round-${n}`;
  sandbox.vercel.state.addBranch("shop-web", preview);
  sandbox.neon.state.createBranch({ name: `${BRANCH_PREFIX}${preview}` });
  await sandbox.neon.state.settled();
  const marks = vendorsOf(sandbox).map(({ log }) => log.length);
  const cpu = member.cpuMs();
  await deliver(sandbox, member.apiUrl, "create", preview);
  const accepted = now();
  const end = accepted + PATIENCE_MS;
  while (agreeing(holdings(sandbox, preview), expected(sandbox, `${BRANCH_PREFIX}${preview}`)).length < 4) {
    if (now() > end) throw new Error(`${preview} did not arrive at all of ${DESTINATIONS.join(", ")}`);
    await pause(POLL_MS);
  }
  // The answer to the last write is on its way.
  await pause(LATENCY_MS);
  const spent = member.cpuMs() - cpu;
  const [neon = [], ...written] = vendorsOf(sandbox).map(({ log }, index) =>
    log.slice(marks[index]).map(({ at, ms, method, operation }): Call => {
      return { start: at, end: at + ms, writes: WRITE.test(`${method} ${operation}`) };
    }),
  );
  return { ...pathOf({ neon, destinations: written, accepted, wireMs }), cpu: spent };
}

/** AWS tells reads and writes apart by name, everybody else by method. */
const WRITE = /^(PUT|PATCH|DELETE|POST (POST|PutSecretValue|CreateSecret|UpdateSecret|TagResource))\b/;

interface Call {
  readonly start: number;
  readonly end: number;
  readonly writes: boolean;
}

const vendorsOf = ({ neon, vercel, github, aws, vault }: Sandbox) => [neon, vercel, github, aws, vault];
const now = (): number => performance.timeOrigin + performance.now();

/** Milliseconds that a call takes its caller beyond what the stand-in says that it took, half of the time or less. */
async function bareRoundTrip({ vault }: Sandbox): Promise<number> {
  const beyond: number[] = [];
  for (let n = 0; n < BARE_CALLS; n++) {
    const from = performance.now();
    const { body } = await request(`${vault.url}/v1/kv/data/none`);
    await body.dump();
    const ms = performance.now() - from;
    await pause(POLL_MS);
    beyond.push(ms - (vault.log.at(-1)?.ms ?? ms));
  }
  return Math.max(0, percentile(beyond, 0.5));
}

interface Calls {
  readonly neon: readonly Call[];
  readonly destinations: readonly (readonly Call[])[];
  readonly accepted: number;
  readonly wireMs: number;
}

function pathOf({ neon, destinations, accepted, wireMs }: Calls): Omit<Round, "cpu"> {
  const lastWrites = destinations.map((calls) =>
    Math.max(...calls.filter((c) => c.writes).map((c) => c.end)),
  );
  const asked = Math.min(...destinations.flat().map((call) => call.start));
  const before = neon.filter((call) => call.start < asked);
  const after = neon.filter((call) => call.start >= asked);
  const chains = destinations.map((calls, index) =>
    covered(calls.filter((call) => call.end <= (lastWrites[index] ?? 0))),
  );
  const [find, write] = [covered(before), chains.reduce((a, b) => (b.ms > a.ms ? b : a))];
  const longest = (calls: readonly Call[]): number => Math.max(0, ...calls.map((c) => c.end - c.start));
  // One read is one round of calls, whatever else was asked meanwhile.
  const read = longest(after);
  const wire = wireMs * (find.rounds + 1 + write.rounds);
  return {
    total: Math.max(...lastWrites) - accepted,
    path: { find: find.ms, read, proof: 0, write: write.ms, spacing: 0, wire },
    slowest: DESTINATIONS[chains.indexOf(write)] ?? "",
  };
}

/** Length of the union, and in how many pieces it comes: calls that waited for one another. */
function covered(calls: readonly Call[]): { readonly ms: number; readonly rounds: number } {
  let [ms, rounds] = [0, 0];
  let reached = Number.NEGATIVE_INFINITY;
  for (const { start, end } of calls.toSorted((a, b) => a.start - b.start)) {
    if (start >= reached) rounds += 1;
    ms += Math.max(0, end - Math.max(start, reached));
    reached = Math.max(reached, end);
  }
  return { ms, rounds };
}

const lengthOf = ({ path }: Round): number => Object.values(path).reduce((sum, ms) => sum + ms, 0);

function results(rounds: readonly Round[]): Result[] {
  const half = (of: (round: Round) => number) => rounded(percentile(rounds.map(of), 0.5), 1);
  const ours = rounds.map((one) => one.total - lengthOf(one));
  const [p50, p99] = [rounded(percentile(ours, 0.5), 1), rounded(percentile(ours, 0.99), 1)];
  const detail = {
    rounds: rounds.length,
    total: half((one) => one.total),
    path: {
      find: half(({ path }) => path.find),
      read: half(({ path }) => path.read),
      proof: 0,
      write: half(({ path }) => path.write),
      spacing: 0,
      wire: half(({ path }) => path.wire),
    },
    slowest: rounds[0]?.slowest,
    processorMs: half(({ cpu }) => cpu),
    ours: ours.map((ms) => rounded(ms, 0)).sort((a, b) => a - b),
  };
  const ratio = half((one) => one.total / lengthOf(one));
  const unit = "ms beyond the critical path";
  return [
    { name: "propagate.ratio", value: ratio, unit: "whole / critical path", bar: null, ok: true, detail },
    { name: "propagate.ours.p50", value: p50, unit, bar: 30, ok: p50 <= 30 },
    { name: "propagate.ours.p99", value: p99, unit, bar: 100, ok: p99 <= 100 },
  ];
}
