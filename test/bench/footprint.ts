/** What `serve` takes on a machine: memory and the time to start, at rest and while deliveries come in. */
import { setTimeout as pause } from "node:timers/promises";
import { deliver } from "./hooks.ts";
import { closedLoop } from "./load.ts";
import { percentile, type Result, rounded, type Scale } from "./result.ts";
import { type Member, openStage } from "./stage.ts";

const STARTS = 3;
const IDLE_MS = 10_000;
const BUSY_MS = 15_000;
const CALLERS = 32;
const LOOK_MS = 200;

export async function run({ scale }: Scale): Promise<Result[]> {
  const stage = await openStage({});
  try {
    // The first one also makes the tables.
    const first = await stage.serve();
    await first.end();
    const starts: number[] = [];
    for (let n = 0; n < STARTS - 1; n++) {
      const again = await stage.serve();
      starts.push(again.startMs);
      await again.end();
    }
    const member = await stage.serve();
    starts.push(member.startMs);
    await pause(IDLE_MS * scale);
    const idleMb = member.residentMb();
    const perSecond = closedLoop(CALLERS, BUSY_MS * scale, async (n) => {
      await deliver(stage.sandbox, member.apiUrl, "push", `busy-${n % 200}`);
    });
    const busyMb = await peakUntil(member, perSecond);
    return [
      printed("footprint.first-start", first.startMs, "ms until it is up, tables made"),
      printed("footprint.start", percentile(starts, 0.5), "ms until it is up"),
      printed("footprint.idle", idleMb, "MB resident"),
      {
        ...printed("footprint.ingest", busyMb, "MB resident at most"),
        detail: { perSecond: rounded(await perSecond, 0) },
      },
    ];
  } finally {
    await stage.close();
  }
}

const printed = (name: string, value: number, unit: string): Result => ({
  name,
  value: rounded(value, 0),
  unit,
  bar: null,
  ok: true,
});

async function peakUntil(member: Member, done: Promise<unknown>): Promise<number> {
  let peak = member.residentMb();
  let running = true;
  const ended = done.finally(() => {
    running = false;
  });
  while (running) {
    await Promise.race([pause(LOOK_MS), ended]);
    peak = Math.max(peak, member.residentMb());
  }
  return peak;
}
