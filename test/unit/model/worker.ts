/** A worker process: takes what is due under a lease, does it, and writes down how it ended (workers/run.ts). */
import { asSyncError, SyncError } from "../../../services/sync/errors.ts";
import { verdict } from "../../../services/sync/outcome.ts";
import type { Process } from "./clock.ts";
import { reconcile, sweep, watch } from "./look.ts";
import { pushPlace } from "./push.ts";
import { giveUp } from "./record.ts";
import { type Job, LEASE_MS, LostLease, type Outcome, type Sim } from "./sim.ts";
import type { BranchRow, Lease, PlaceRow } from "./state.ts";

const MOST_DEATHS = 5;
/** Pieces of work at once. */
const LANES = 2;
/** Of one account, over all processes: services/store/due.ts. */
const IN_FLIGHT = 2;
/** So long it takes to find out that a vendor does not answer. */
const TIMEOUT_MS = 10_000;

/** While its process runs, a lease is renewed in time; `until` is when it lapses otherwise. */
interface Held {
  readonly lease: Lease;
  lost: boolean;
}

export class Worker {
  readonly process: Process;
  readonly #sim: Sim;
  readonly #held = new Set<Held>();
  #waiting: (() => void)[] = [];

  constructor(sim: Sim, process: Process) {
    this.#sim = sim;
    this.process = process;
    for (let lane = 0; lane < LANES; lane += 1) void this.#work();
  }

  kick(): void {
    if (this.#waiting.length === 0 || !this.#isSomethingDue()) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) this.#sim.clock.in(1, wake);
  }

  /** Whoever would only look and lie down again is left in peace. */
  #isSomethingDue(): boolean {
    const { state, clock } = this.#sim;
    const isDue = (at: number | null) => at !== null && at <= clock.now + 1;
    return (
      state.rows.some((row) => isDue(row.dueAt) && state.isFree(row)) ||
      state.places.some(({ sweepAt }) => isDue(sweepAt))
    );
  }

  die(): void {
    this.process.alive = false;
    this.#stopRenewing();
  }

  freeze(ms: number): void {
    const { clock } = this.#sim;
    this.process.frozenUntil = clock.now + ms;
    clock.at(this.process.frozenUntil, () => this.#thaw());
    this.#stopRenewing();
  }

  /** The last renewal was up to a third of the lease ago. */
  #stopRenewing(): void {
    const { clock, random } = this.#sim;
    for (const { lease } of this.#held) {
      if (lease.row.epoch !== lease.epoch) continue;
      lease.row.leaseUntil = clock.now + LEASE_MS - random() * (LEASE_MS / 3);
      clock.at(lease.row.leaseUntil + 1, () => this.#sim.kick());
    }
  }

  /** The first thing it does is to ask for its leases; what it has lost it gives up. */
  #thaw(): void {
    if (!this.process.alive) return;
    for (const held of this.#held) {
      const { row, epoch } = held.lease;
      if (row.epoch === epoch && !this.#sim.state.isFree(row)) row.leaseUntil = Number.POSITIVE_INFINITY;
      else held.lost = true;
    }
  }

  async #work(): Promise<void> {
    for (;;) {
      const sweeps = this.#sim.state.places.some((place) => place.sweepAt <= this.#sim.clock.now);
      if (sweeps && !this.#sim.switches.noSweep) await sweep(this.#sim, this.process);
      const lease = this.#take();
      if (lease === null) await this.process.idle((wake) => this.#waiting.push(wake));
      else await this.#run(lease);
    }
  }

  #take(): Lease | null {
    const { state, clock } = this.#sim;
    const busy = state.hanging.filter((row) => !state.isFree(row)).length;
    const full = busy >= IN_FLIGHT && this.#sim.switches.noCap !== true;
    const due = state.rows.filter(
      (row) =>
        row.dueAt !== null &&
        row.dueAt <= clock.now &&
        state.isFree(row) &&
        !(full && row.kind === "hanging"),
    );
    const [row] = due.sort((one, other) => (one.dueAt ?? 0) - (other.dueAt ?? 0));
    if (row === undefined) return null;
    if (row.kind !== "hanging") this.#sim.checker.picked(row, clock.now - (row.dueAt ?? 0));
    return state.takeLease(row, Number.POSITIVE_INFINITY);
  }

  async #run(lease: Lease): Promise<void> {
    const { state, random, kick, switches } = this.#sim;
    const fenced = switches.noFence !== true;
    const held: Held = { lease, lost: false };
    this.#held.add(held);
    const job = this.#job(held);
    try {
      const deadly = lease.deaths >= MOST_DEATHS;
      const outcome = deadly ? await this.#tooDeadly(job) : await perform(job).catch(failure);
      await this.process.pause(1);
      if ("error" in outcome) {
        const { dueInMs, attempts } = verdict(outcome.error, lease, random);
        const deaths = deadly ? MOST_DEATHS - 1 : 0;
        state.releaseLease(lease, { dueInMs, attempts, code: outcome.error.code, deaths }, fenced);
      } else {
        state.releaseLease(lease, { dueInMs: outcome.dueInMs, attempts: 0, code: null, deaths: 0 }, fenced);
      }
    } catch (thrown) {
      if (!(thrown instanceof LostLease)) throw thrown;
      await this.process.pause(1);
      state.markDue([lease.row]);
    }
    this.#held.delete(held);
    kick();
  }

  #job(held: Held): Job {
    const { lease } = held;
    const ignore = this.#sim.switches.noFence === true;
    return {
      sim: this.#sim,
      process: this.process,
      lease,
      tag: { process: this.process.name, observedAt: 0, foreign: new Set() },
      aborted: () => held.lost && !ignore,
      record: async (body) => {
        await this.process.pause(1);
        if (lease.row.epoch !== lease.epoch && !ignore) throw new LostLease();
        return body();
      },
    };
  }

  async #tooDeadly(job: Job): Promise<Outcome> {
    const error = new SyncError("unsafe", "workers died");
    await job.record(() => {
      if (job.lease.row.kind === "place") giveUp(job, job.lease.row as PlaceRow, error);
    });
    return { error };
  }
}

async function perform(job: Job): Promise<Outcome> {
  const { row } = job.lease;
  if (row.kind === "hanging") {
    await job.process.pause(TIMEOUT_MS);
    return { error: new SyncError("unavailable", "no answer") };
  }
  if (row.kind === "source") return await watch(job);
  if (row.kind === "branch") return await reconcile(job, row as BranchRow);
  return await pushPlace(job, row as PlaceRow);
}

function failure(thrown: unknown): Outcome {
  if (thrown instanceof LostLease) throw thrown;
  if (!(thrown instanceof SyncError)) throw thrown;
  return { error: asSyncError(thrown) };
}
