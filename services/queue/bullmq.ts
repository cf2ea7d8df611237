/**
 * BullMQ distributes work and does nothing else: no delays, no attempts, no deduplication. What is to be
 * done is in the rows, so this queue may be lost whole. PostgreSQL by default; Redis or Valkey by URL.
 */
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

export function openQueues(connection: QueueConnection, onError: (error: Error) => void): JobQueues {
  const link = connect(connection);
  const queues = new Map(
    JOB_KINDS.map((kind) => {
      const queue = link.queue(queueName(kind), { defaultJobOptions: FORGET });
      queue.on("error", onError);
      return [kind, queue] as const;
    }),
  );
  return {
    enqueue: async (kind, ids) => {
      await queues.get(kind)?.addBulk(ids.map((id) => ({ name: kind, data: jobPayload.parse({ id }) })));
    },
    ready: async () => await link.ready([...queues.values()]),
    close: async () => {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
      link.close();
    },
  };
}

export function startWorkers(
  connection: QueueConnection,
  handlers: Handlers,
  onError: (error: Error) => void,
): JobWorkers {
  const link = connect(connection);
  const workers = JOB_KINDS.map((kind) => {
    const run = async (job: { data: unknown }): Promise<void> => {
      await handlers[kind](jobPayload.parse(job.data).id);
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
    close: async () => {
      await Promise.all(workers.map((worker) => worker.close()));
      link.close();
    },
  };
}

interface Opening {
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
      close: () => {},
    };
  }
  // BullMQ blocks on this connection and wants no limit on its retries.
  const redis = new Redis(connection.redisUrl, { maxRetriesPerRequest: null });
  return {
    queue: (name: string, options: Omit<QueueOptions, "connection">) =>
      new Queue(name, { ...options, connection: redis }),
    worker: (name: string, run: Run, options: Omit<WorkerOptions, "connection">) =>
      new Worker(name, run, { ...options, connection: redis }),
    ready: async () => {},
    close: () => redis.disconnect(),
  };
}
