/**
 * A look at everything that is in step: nothing may be written, every list is asked for once and every secret that
 * has no list read once, and time and memory grow no faster than the number of branches.
 */
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import type { LoggedRequest } from "../../infra/sandbox/desk.ts";
import { fileFor, layMany, seedsFor } from "./many.ts";
import { type Result, rounded, type Scale } from "./result.ts";
import { type Member, openStage, type Stage } from "./stage.ts";

const SIZES = [2_500, 10_000] as const;
const BRANCHES_AT_MOST_MB = 300;
/** Two runs of one size differ by so much. */
const NOISE = 1.15;
const LOOK_MS = 50;
/** Nobody asked anything for so long. */
const QUIET_MS = 3_000;

interface Swept {
  readonly branches: number;
  /** Lists to ask for, and secrets to read one by one. */
  readonly due: { readonly lists: number; readonly secrets: number };
  readonly lists: number;
  readonly reads: number;
  readonly writes: number;
  readonly pushes: number;
  readonly seconds: number;
  readonly peakMb: number;
}

export async function run({ scale }: Scale): Promise<Result[]> {
  const swept: Swept[] = [];
  for (const size of SIZES) swept.push(await sweep(Math.max(4, Math.round(size * scale))));
  const [small, large] = swept as [Swept, Swept];
  const count = large.branches / small.branches;
  const time = rounded(large.seconds / small.seconds / count);
  const memory = rounded(large.peakMb / small.peakMb / count);
  return [
    ...swept.flatMap(results),
    {
      name: "sweep.time-growth",
      value: time,
      unit: "times as much per branch, of many as of few",
      bar: NOISE,
      ok: time <= NOISE,
    },
    {
      name: "sweep.memory-growth",
      value: memory,
      unit: "times as much per branch, of many as of few",
      bar: NOISE,
      ok: memory <= NOISE,
    },
  ];
}

function results(one: Swept): Result[] {
  const { branches, due } = one;
  const name = `sweep.${branches}`;
  return [
    {
      name: `${name}.writes`,
      value: one.writes + one.pushes,
      unit: "writes and pushes",
      bar: 0,
      ok: one.writes + one.pushes === 0,
    },
    {
      name: `${name}.lists`,
      value: rounded(one.lists / due.lists, 3),
      unit: "calls per container and page",
      bar: 1,
      ok: one.lists === due.lists,
      detail: { lists: one.lists },
    },
    {
      name: `${name}.reads`,
      value: rounded(one.reads / due.secrets, 3),
      unit: "calls per Vault and AWS secret",
      bar: 1,
      ok: one.reads === due.secrets,
      detail: { reads: one.reads },
    },
    {
      name: `${name}.memory`,
      value: rounded(one.peakMb, 0),
      unit: "MB resident at most",
      bar: BRANCHES_AT_MOST_MB,
      ok: one.peakMb < BRANCHES_AT_MOST_MB,
    },
    {
      name: `${name}.time`,
      value: rounded(one.seconds, 1),
      unit: "s for all of it at once",
      bar: null,
      ok: true,
      detail: { bindingsPerSecond: Math.round((branches * 4) / one.seconds) },
    },
  ];
}

async function sweep(branches: number): Promise<Swept> {
  const stage = await openStage({ sandbox: seedsFor(branches), rewrite: fileFor(branches) });
  try {
    const member = await stage.serve();
    const due = await layMany(stage, branches);
    const client = new pg.Client({ connectionString: stage.postgres.url });
    await client.connect();
    try {
      const seen = watchCalls(stage);
      await client.query("update branchline.place set sweep_at = now()");
      const started = performance.now();
      const { peakMb, endedAt } = await untilQuiet(member, seen, due.lists + due.secrets);
      const { rows } = await client.query<{ n: number }>("select count(*)::int as n from branchline.push");
      const { lists, reads, writes } = seen.counts;
      const seconds = (endedAt - started) / 1_000;
      return { branches, due, lists, reads, writes, pushes: rows[0]?.n ?? 0, seconds, peakMb };
    } finally {
      await client.end();
    }
  } finally {
    await stage.close();
  }
}

interface Calls {
  readonly counts: { lists: number; reads: number; writes: number };
  /** Takes in what has been asked since; whether anything was. */
  look(): boolean;
}

/** The stand-ins keep only their last lines. */
function watchCalls({ sandbox: { vercel, github, aws, vault } }: Stage): Calls {
  const counts = { lists: 0, reads: 0, writes: 0 };
  const logs = [vercel, github, aws, vault].map(({ name, log }) => ({ name, log, n: log.at(-1)?.n ?? 0 }));
  return {
    counts,
    look: () => {
      let any = false;
      for (const entry of logs) {
        const fresh = entry.log.filter((line) => line.n > entry.n);
        entry.n = entry.log.at(-1)?.n ?? entry.n;
        for (const line of fresh) count(counts, entry.name, line);
        any ||= fresh.length > 0;
      }
      return any;
    },
  };
}

/** Logins and what is asked of an account once do not count. */
function count(counts: Calls["counts"], vendor: string, { method, operation, path }: LoggedRequest): void {
  if (/^STS$|^(GET|POST) \/v1\/(auth|sys)\//.test(operation) || path.startsWith("/v1/auth/")) return;
  if (vendor === "aws") {
    if (/^(Describe|Get|List)/.test(operation)) counts.reads += 1;
    else counts.writes += 1;
  } else if (method !== "GET") counts.writes += 1;
  else if (vendor === "vault") counts.reads += path.startsWith("/v1/sys/") ? 0 : 1;
  else if (/\/(env|secrets|variables)$/.test(path)) counts.lists += 1;
}

async function untilQuiet(
  member: Member,
  calls: Calls,
  expected: number,
): Promise<{ peakMb: number; endedAt: number }> {
  let peakMb = member.residentMb();
  let endedAt = performance.now();
  for (;;) {
    await pause(LOOK_MS);
    peakMb = Math.max(peakMb, member.residentMb());
    if (calls.look()) endedAt = performance.now();
    const enough = calls.counts.lists + calls.counts.reads >= expected;
    if (performance.now() - endedAt > (enough ? QUIET_MS : QUIET_MS * 10)) return { peakMb, endedAt };
  }
}
