/**
 * From an accepted webhook to all four destinations written. The critical path is the time in which at
 * least one vendor was being waited for; what is left of the whole is ours.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CHAPTERS, PREVIEW } from "../../infra/demo/story.ts";
import { startWorld, type World } from "../../infra/demo/world.ts";
import { createLogger } from "../../services/log.ts";
import { percentile, type Result, rounded } from "./result.ts";

const ROUNDS = 12;
/** Rounds that only warm up. */
const COLD = 2;

export async function run(): Promise<Result[]> {
  return [...(await measure("propagate", 0)), ...(await measure("propagate-40ms", 40))];
}

async function measure(name: string, latencyMs: number): Promise<Result[]> {
  const folder = mkdtempSync(join(tmpdir(), "branchline-bench-"));
  const log = createLogger({ level: "silent" });
  const world = await startWorld({ log, folder, port: 0, latencyMs, computes: false });
  try {
    const rounds: Round[] = [];
    for (let n = 0; n < ROUNDS; n++) rounds.push(await round(world));
    const warm = rounds.slice(COLD);
    const ours = warm.map((one) => one.totalMs - one.waitedMs);
    const ratios = warm.map((one) => one.totalMs / one.waitedMs);
    const detail = {
      rounds: warm.map((one) => ({ total: rounded(one.totalMs), waited: rounded(one.waitedMs) })),
    };
    const p50 = rounded(percentile(ours, 0.5));
    const p99 = rounded(percentile(ours, 0.99));
    return [
      {
        name: `${name}.ratio`,
        value: rounded(percentile(ratios, 0.5)),
        unit: "whole / waiting for vendors",
        bar: null,
        ok: true,
        detail,
      },
      {
        name: `${name}.ours.p50`,
        value: p50,
        unit: "ms beyond the critical path",
        bar: latencyMs === 0 ? null : 30,
        ok: latencyMs === 0 || p50 <= 30,
      },
      {
        name: `${name}.ours.p99`,
        value: p99,
        unit: "ms beyond the critical path",
        bar: latencyMs === 0 ? null : 100,
        ok: latencyMs === 0 || p99 <= 100,
      },
    ];
  } finally {
    await world.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Round {
  readonly totalMs: number;
  readonly waitedMs: number;
}

async function round(world: World): Promise<Round> {
  const [, appears, , goes] = CHAPTERS;
  if (appears === undefined || goes === undefined) throw new Error(`the story of ${PREVIEW} has changed`);
  const from = Date.now();
  const step = await appears.play(world);
  if (!step.ok) throw new Error("a branch did not arrive");
  const began = performance.timeOrigin + step.startedAt;
  const spans = vendorSpans(world, Math.max(from, began), began + step.ms);
  const gone = await goes.play(world);
  if (!gone.ok) throw new Error("a branch did not go");
  return { totalMs: step.ms, waitedMs: covered(spans) };
}

type Span = readonly [number, number];

/** When vendors were busy with us, cut to the time that counts. */
function vendorSpans({ sandbox }: World, from: number, to: number): Span[] {
  const { neon, vercel, github, aws, vault } = sandbox;
  return [neon, vercel, github, aws, vault]
    .flatMap((vendor) => vendor.log.map((line): Span => [line.at, line.at + line.ms]))
    .filter(([start, end]) => end > from && start < to)
    .map(([start, end]) => [Math.max(start, from), Math.min(end, to)]);
}

/** Length of the union. */
function covered(spans: readonly Span[]): number {
  let total = 0;
  let reached = Number.NEGATIVE_INFINITY;
  for (const [start, end] of spans.toSorted((a, b) => a[0] - b[0])) {
    total += Math.max(0, end - Math.max(start, reached));
    reached = Math.max(reached, end);
  }
  return total;
}
