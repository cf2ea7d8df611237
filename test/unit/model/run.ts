/** One run of the model: a schedule of what happens and what fails, and what was violated. */
import { Checker, type Scene, type Violation } from "./check.ts";
import { Clock, Process, randomOf } from "./clock.ts";
import { Neon, type SourceFault } from "./neon.ts";
import { fingerprinter, type Sim, type Switches } from "./sim.ts";
import { State } from "./state.ts";
import { Vendor, type VendorClass, type VendorFault } from "./vendor.ts";
import { Worker } from "./worker.ts";

export type Action =
  | { readonly kind: "add" | "inherit" | "remove" | "rotate" | "rotate by sql"; readonly branch: string }
  | { readonly kind: "foreign write" | "foreign delete"; readonly branch: string; readonly name: string };

/** What a process suffers at its n-th await, counted over all processes. */
export type Trouble =
  | { readonly kind: "crash" }
  | { readonly kind: "freeze" | "zombie"; readonly ms: number };

export interface Schedule {
  readonly vendor: VendorClass;
  readonly seed: number;
  /** What happens in the world, and whether an event tells us. */
  readonly actions: readonly { readonly at: number; readonly action: Action; readonly told: boolean }[];
  readonly troubles: readonly { readonly step: number; readonly trouble: Trouble }[];
  /** By the number of the call. */
  readonly sourceFaults: readonly { readonly call: number; readonly fault: SourceFault }[];
  readonly vendorFaults: readonly { readonly request: number; readonly fault: VendorFault }[];
  /** Places of another destination, all of them due and none of them ever answered. */
  readonly hanging: number;
}

const WORKERS = 3;
const RESTART_MS = 3_000;
/** Nothing happens and nothing fails from then on. */
const QUIET_FROM_MS = 150_000;
/** By then everything has been watched, read again and swept once more in peace. */
const LOOKED_MS = QUIET_FROM_MS + 150_000;
/** Until then everything is in step: the longest back-off, the drift interval and a reread fit in. */
const END_MS = QUIET_FROM_MS + 600_000;
/** What is looked at again now and then may be in somebody's hands at that very moment. */
const IN_HAND_MS = 5_000;

export async function run(schedule: Schedule, switches: Switches = {}): Promise<readonly Violation[]> {
  const clock = new Clock();
  const random = randomOf(schedule.seed);
  const now = () => clock.now;
  const quiet = () => clock.now >= QUIET_FROM_MS;
  const checker = new Checker(schedule.vendor, schedule.hanging > 0);
  const sourceFaults = new Map(schedule.sourceFaults.map(({ call, fault }) => [call, fault]));
  const vendorFaults = new Map(schedule.vendorFaults.map(({ request, fault }) => [request, fault]));
  const troubles = new Map(schedule.troubles.map(({ step, trouble }) => [step, trouble]));
  const neon = new Neon(now, (call) => (quiet() ? undefined : sourceFaults.get(call)));
  const state = new State(now, schedule.hanging);
  const vendor = new Vendor({
    kind: schedule.vendor,
    now,
    at: (time, happen) => clock.at(time, happen),
    faultOf: (request) => (quiet() ? undefined : vendorFaults.get(request)),
    random,
    fingerprint: (value) => fingerprinter({ switches })("value", value),
    compares: switches.noCompare !== true,
    onEffect: (effect) => checker.effect(effect, scene),
  });
  const scene: Scene = { neon, vendor, state, now };

  const workers = new Map<Process, Worker>();
  let steps = 0;
  let starts = 0;
  let armedFor = Number.POSITIVE_INFINITY;
  const kick = (): void => {
    for (const worker of workers.values()) worker.kick();
    arm();
  };
  /** Wakes everybody when the next row becomes due. */
  const arm = (): void => {
    const due = [
      ...state.rows.map((row) => row.dueAt),
      ...(switches.noSweep ? [] : state.places.map((p) => p.sweepAt)),
    ];
    const next = Math.min(...due.filter((at) => at !== null && at > clock.now).map(Number));
    if (next >= armedFor && armedFor > clock.now) return;
    armedFor = next;
    if (next <= END_MS) clock.at(next, kick);
  };
  const requests = new Set<Process>();
  const sim: Sim = { clock, neon, vendor, state, checker, switches, random, kick };
  const start = (): void => {
    const process = new Process(clock, `w${++starts}`, suffer);
    workers.set(process, new Worker(sim, process));
  };
  const suffer = (process: Process): void => {
    steps += 1;
    const trouble = troubles.get(steps);
    if (trouble?.kind === "crash" && requests.has(process)) process.alive = false;
    const worker = workers.get(process);
    if (trouble === undefined || worker === undefined || quiet() || clock.now < process.frozenUntil) return;
    if (trouble.kind === "crash") {
      worker.die();
      workers.delete(process);
      clock.in(RESTART_MS, start);
    } else {
      process.zombie = trouble.kind === "zombie";
      worker.freeze(trouble.ms);
    }
  };

  for (const [hint, { at, action, told }] of schedule.actions.entries()) {
    clock.at(at, () => {
      happen(action, neon, vendor);
      if (!told) return;
      const process = new Process(clock, `a${hint}`, suffer);
      requests.add(process);
      void ingest(sim, process, hint);
    });
  }
  for (let n = 0; n < WORKERS; n += 1) start();
  kick();
  await clock.run(LOOKED_MS);
  // Where all is in step and nothing is left to do, nothing more would happen.
  if (!state.isAtRest() || !checker.isInStep(scene)) await clock.run(END_MS);
  if (!checker.isInStep(scene)) await clock.run(END_MS + IN_HAND_MS);
  checker.end(scene);
  return checker.violations;
}

/** One request to the API: on disk, then answered (services/store/ingest.ts). */
async function ingest(
  { state, checker, switches, kick }: Sim,
  process: Process,
  hint: number,
): Promise<void> {
  await process.pause(1);
  if (switches.answerFirst) checker.answered(hint);
  await process.pause(1);
  state.hints.add(hint);
  state.markDue([state.source]);
  if (!switches.answerFirst) checker.answered(hint);
  kick();
}

function happen(action: Action, neon: Neon, vendor: Vendor): void {
  const { branch } = action;
  if (action.kind === "add") neon.add(branch);
  if (action.kind === "inherit") neon.inherit(branch);
  if (action.kind === "remove") neon.remove(branch);
  if (action.kind === "rotate") neon.rotate(branch, "api");
  if (action.kind === "rotate by sql") neon.rotate(branch, "sql");
  if (action.kind === "foreign write") vendor.putForeign(branch, action.name);
  if (action.kind === "foreign delete") vendor.removeForeign(branch, action.name);
}
