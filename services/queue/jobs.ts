import { z } from "zod";

/** Kinds of work, each with a queue of its own, so that a flood of one kind does not delay another. */
export const JOB_KINDS = ["watch", "reconcile", "push"] as const;
export type JobKind = (typeof JOB_KINDS)[number];

/** All that a job carries: the id of a row. Checked when it goes in and when it comes out. */
export const jobPayload = z.strictObject({ id: z.uuid() });

export type Enqueue = (kind: JobKind, ids: readonly string[]) => Promise<void>;
/** Each does the work of a row, and may resolve with false: it failed. */
export type Handlers = Readonly<Record<JobKind, (id: string) => Promise<unknown>>>;

/**
 * Jobs of one kind that a worker process runs at once. Pushes mostly wait for vendors: there is room for the
 * full share of several that do not answer, and for everybody else beside them.
 */
export const CONCURRENCY: Readonly<Record<JobKind, number>> = { watch: 4, reconcile: 8, push: 80 };
