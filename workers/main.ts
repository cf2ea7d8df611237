/** The worker half of a process: the dispatcher, and a worker for each kind of job. */
import { setMaxListeners } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { type Logger, seldom } from "../services/log.ts";
import { openQueues, type QueueConnection, startWorkers } from "../services/queue/bullmq.ts";
import { type Dispatcher, startDispatcher } from "../services/queue/dispatcher.ts";
import { type Hands, openHands } from "../services/queue/hands.ts";
import type { Handlers } from "../services/queue/jobs.ts";
import { claimDue, takeDue } from "../services/store/due.ts";
import { claimSweeps, finishSweeps } from "../services/store/sweeping.ts";
import { type OnStep, pushPlace } from "./push.ts";
import { reconcile } from "./reconcile.ts";
import type { Runtime } from "./runtime.ts";
import { sweep } from "./sweep.ts";
import { openSweeper, type Sweeper } from "./sweeper.ts";
import { watch } from "./watch.ts";

export interface Running {
  readonly kick: Dispatcher["kick"];
  /** Of this process: idle until somebody works here. */
  readonly hands: Hands;
  readonly sweeper: Sweeper;
  /** Rejects if the queue cannot be had just now; then this is of no use and must be stopped. */
  ready(): Promise<void>;
  /**
   * No new work; what runs may finish within `graceMs`, then its requests are cut and its leases are left to
   * lapse for others to take over.
   */
  stop(graceMs?: number): Promise<void>;
}

/** Turns due rows into jobs. Every process does, workers or not, so that a commit here is seen at once. */
export function startDispatching(runtime: Omit<Runtime, "kick">, queue: QueueConnection): Running {
  const { database, settings, log } = runtime;
  const onError = unavailable(log);
  const queues = openQueues(queue, onError);
  const hands = openHands(queues.enqueue, onError);
  const sweeper = openSweeper(
    {
      claim: async (wanted) => await claimSweeps(database, { ...wanted, spanMs: settings.sweepEveryMs }),
      finish: async (sweeps) => await finishSweeps(database.db, sweeps, settings.sweepEveryMs),
    },
    onError,
  );
  const dispatcher: Dispatcher = startDispatcher(
    {
      take: async () => {
        const due = await takeDue(database.db);
        if (due.sweeps) sweeper.wake();
        return due;
      },
      claim: async (kind) => await claimDue(database.db, kind),
    },
    hands.enqueue,
    onError,
  );
  return {
    kick: dispatcher.kick,
    hands,
    sweeper,
    ready: queues.ready,
    stop: async () => {
      const stopped = dispatcher.stop();
      // What it is putting into a queue that is gone would be waited for without an end; closing it ends that.
      await Promise.race([stopped, pause(FAREWELL_MS, undefined, { ref: false })]);
      await queues.close();
      await stopped;
    },
  };
}

/** Every queue and worker complains for itself, many times a second, for as long as the server is gone. */
const unavailable = (log: Logger): ((error: unknown) => void) =>
  seldom((err, leftOut) => log.warn({ err, leftOut }, "queue or database unavailable"));

const GRACE_MS = 15_000;
/** For a last word to the queue. */
const FAREWELL_MS = 1_000;

/** Works on what comes by the queue, and on what this process itself finds to be due. */
export function startWorking(
  runtime: Runtime,
  queue: QueueConnection,
  { hands, sweeper }: Pick<Running, "hands" | "sweeper">,
  onStep?: OnStep,
): Pick<Running, "ready" | "stop"> {
  const stopping = new AbortController();
  // Each piece of work listens, and Node takes more than ten for a leak.
  setMaxListeners(0, stopping.signal);
  const handlers: Handlers = {
    watch: async (id) => await watch(runtime, id, stopping.signal),
    reconcile: async (id) => await reconcile(runtime, id, stopping.signal),
    push: async (id) => await pushPlace(runtime, id, stopping.signal, onStep),
  };
  const workers = startWorkers(queue, handlers, unavailable(runtime.log));
  hands.employ(handlers);
  sweeper.employ(async (container) => await sweep(runtime, container, stopping.signal));
  return {
    ready: workers.ready,
    stop: async (graceMs = GRACE_MS) => {
      const cut = setTimeout(() => stopping.abort(), graceMs);
      await Promise.all([hands.rest(), sweeper.rest(), workers.close()]);
      clearTimeout(cut);
    },
  };
}
