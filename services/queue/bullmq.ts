/**
 * BullMQ distributes work and does nothing else: no delays, no attempts, no deduplication. What is to be
 * done is in the rows, so this queue may be lost whole. PostgreSQL by default; Redis or Valkey by URL.
 */
import { setTimeout as pause } from "node:timers/promises";
import {
  createPostgresBackend,
  type PostgresConnectionOptions,
  Queue,
  type QueueOptions,
  Worker,
  type WorkerOptions,
} from "bullmq";
import { Redis } from "ioredis";
import type pg from "pg";
import { CONCURRENCY, type Enqueue, type Handlers, JOB_KINDS, type JobKind, jobPayload } from "./jobs.ts";

/** Where the queue lives: the pool of our own database, or another server. */
export type QueueConnection = { readonly postgres: pg.Pool } | { readonly redisUrl: string };

export interface JobQueues {
  readonly enqueue: Enqueue;
  /** See `JobWorkers`. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

export interface JobWorkers {
  /**
   * Rejects if PostgreSQL fails us just now: BullMQ then never tries again, so nobody may go on with these.
   * Redis is waited for by BullMQ itself, for as long as it takes, and nobody has to wait with it.
   */
  ready(): Promise<void>;
  /** Running jobs finish, waiting ones stay for others. */
  close(): Promise<void>;
}

/** Jobs are gone once they ran; a failed one is kept for nobody, since the row knows. */
const FORGET = { removeOnComplete: true, removeOnFail: true, attempts: 1 };

const queueName = (kind: JobKind): string => `branchline-${kind}`;

/** BullMQ makes two temporary tables for each bulk, which takes longer than a few jobs one by one. */
const FEW = 4;

/** What both kinds of queue take. */
interface Taking {
  add(name: string, data: unknown): Promise<unknown>;
  addBulk(jobs: { name: string; data: unknown }[]): Promise<unknown>;
}

async function add(queue: Taking | undefined, kind: JobKind, ids: readonly string[]): Promise<void> {
  const jobs = ids.map((id) => ({ name: kind, data: jobPayload.parse({ id }) }));
  if (jobs.length > FEW) await queue?.addBulk(jobs);
  else await Promise.all(jobs.map(async ({ name, data }) => await queue?.add(name, data)));
}

export function openQueues(connection: QueueConnection, onError: (error: Error) => void): JobQueues {
  const link = connect(connection);
  const queues = new Map(
    JOB_KINDS.map((kind) => {
      const queue = link.queue(queueName(kind), { defaultJobOptions: FORGET });
      queue.on("error", onError);
      return [kind, queue] as const;
    }),
  );
  // What waits for a server that is gone is told of the end by nobody else.
  let end: (why: Error) => void = () => {};
  const closed = new Promise<never>((_, reject) => {
    end = reject;
  });
  closed.catch(() => undefined);
  return {
    enqueue: async (kind, ids) => {
      await Promise.race([add(queues.get(kind), kind, ids), closed]);
    },
    ready: async () => await link.ready([...queues.values()]),
    close: async () => {
      await link.close([...queues.values()]);
      end(new Error("the queue was closed"));
    },
  };
}

export function startWorkers(
  connection: QueueConnection,
  handlers: Handlers,
  onError: (error: Error) => void,
): JobWorkers {
  const link = connect(connection);
  const busy = new Set<Promise<unknown>>();
  const workers = JOB_KINDS.map((kind) => {
    const run = async (job: { data: unknown }): Promise<void> => {
      const work: Promise<unknown> = handlers[kind](jobPayload.parse(job.data).id).finally(() =>
        busy.delete(work),
      );
      busy.add(work);
      await work;
    };
    const worker = link.worker(queueName(kind), run, {
      concurrency: CONCURRENCY[kind],
      // A worker that dies is noticed after 15 seconds; the row's own lease decides what happens then.
      lockDuration: 15_000,
      stalledInterval: 5_000,
      maxStalledCount: 10,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    worker.on("error", onError);
    return worker;
  });
  return {
    ready: async () => await link.ready(workers),
    close: async () => await link.close(workers, busy),
  };
}

/** A server that is gone would be waited for without an end: what is left to say to it is worth so much time. */
const FAREWELL_MS = 1_000;

interface Opening {
  close(): Promise<void>;
  waitUntilReady(): Promise<unknown>;
}

type Run = (job: { data: unknown }) => Promise<void>;

/** The two backends behind one shape. */
function connect(connection: QueueConnection) {
  if ("postgres" in connection) {
    // The very pool that BullMQ documents; its narrow type of one does not admit pg's overloads.
    const pool = connection.postgres as unknown as Extract<PostgresConnectionOptions, { connect: unknown }>;
    return {
      queue: (name: string, options: Omit<QueueOptions, "connection">) =>
        new Queue(name, { ...options, connection: pool }, createPostgresBackend),
      worker: (name: string, run: Run, options: Omit<WorkerOptions, "connection">) =>
        new Worker(name, run, { ...options, connection: pool }, createPostgresBackend),
      ready: async (all: readonly Opening[]) => {
        await Promise.all(all.map(async (one) => await one.waitUntilReady()));
      },
      close: async (all: readonly Opening[]) => {
        await Promise.all(all.map(async (one) => await one.close()));
      },
    };
  }
  // BullMQ blocks on this connection and wants no limit on its retries.
  const redis = new Redis(connection.redisUrl, { maxRetriesPerRequest: null });
  // Each worker blocks on a copy, which tries to connect again for as long as nobody ends it.
  const clients: Redis[] = [redis];
  const duplicate = redis.duplicate.bind(redis);
  redis.duplicate = (override) => {
    const copy = duplicate(override);
    clients.push(copy);
    return copy;
  };
  return {
    queue: (name: string, options: Omit<QueueOptions, "connection">) =>
      new Queue(name, { ...options, connection: redis }),
    worker: (name: string, run: Run, options: Omit<WorkerOptions, "connection">) =>
      new Worker(name, run, { ...options, connection: redis }),
    ready: async () => {},
    close: async (all: readonly Opening[], busy: ReadonlySet<Promise<unknown>> = new Set()) => {
      const closed = Promise.allSettled(all.map(async (one) => await one.close()));
      // Nothing new begins; what runs is not cut off.
      while (busy.size > 0) await Promise.allSettled(busy);
      await Promise.race([closed, pause(FAREWELL_MS, undefined, { ref: false })]);
      for (const client of clients) client.disconnect();
    },
  };
}
