/**
 * Neon's operations: every mutation that touches a compute or storage leaves rows, and they take
 * time. Statuses are computed from the clock, so a test moves time and nothing runs behind its back.
 */
import { newOperationId } from "./model.ts";

export type OperationStatus =
  | "scheduling"
  | "running"
  | "finished"
  | "failed"
  | "error"
  | "cancelling"
  | "cancelled"
  | "skipped";

export interface NeonOperation {
  readonly id: string;
  readonly projectId: string;
  readonly branchId: string;
  readonly endpointId: string | null;
  readonly action: string;
  /** Microseconds since the epoch, unique: the cursor. */
  readonly createdMicros: number;
  startsAt: number;
  endsAt: number;
  /** Set by a test; wins over the clock. */
  forced: { status: OperationStatus; failuresCount: number; error: string | null } | null;
  /** Runs once when the operation has finished. */
  after: (() => void) | null;
}

export interface Step {
  readonly action: string;
  readonly endpointId?: string;
  readonly after?: () => void;
}

export class Operations {
  /** How long each operation runs; those of one call run one after the other. 0: done at once. */
  durationMs = 0;
  readonly #rows: NeonOperation[] = [];
  readonly #now: () => number;
  #lastMicros = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Leaves one row per step, oldest first. */
  record(projectId: string, branchId: string, steps: readonly Step[]): NeonOperation[] {
    const now = this.#now();
    const rows = steps.map((step, index): NeonOperation => {
      this.#lastMicros = Math.max(this.#lastMicros + 1, now * 1000);
      return {
        id: newOperationId(),
        projectId,
        branchId,
        endpointId: step.endpointId ?? null,
        action: step.action,
        createdMicros: this.#lastMicros,
        startsAt: now + index * this.durationMs,
        endsAt: now + (index + 1) * this.durationMs,
        forced: null,
        after: step.after ?? null,
      };
    });
    this.#rows.push(...rows);
    this.settle();
    if (this.durationMs > 0) this.#wakeAt(now + rows.length * this.durationMs);
    return rows;
  }

  status(row: NeonOperation): OperationStatus {
    if (row.forced !== null) return row.forced.status;
    const now = this.#now();
    if (now < row.startsAt) return "scheduling";
    return now < row.endsAt ? "running" : "finished";
  }

  get(projectId: string, id: string): NeonOperation | undefined {
    return this.#rows.find((row) => row.projectId === projectId && row.id === id);
  }

  /** Newest first, strictly older than the cursor. */
  page(projectId: string, beforeMicros: number, limit: number): NeonOperation[] {
    const rows = this.#rows.filter((row) => row.projectId === projectId && row.createdMicros < beforeMicros);
    return rows.reverse().slice(0, limit);
  }

  /** Something of this project is still going on: Neon refuses new mutations with 423. */
  busy(projectId: string): boolean {
    const open = new Set<OperationStatus>(["scheduling", "running", "cancelling"]);
    return this.#rows.some((row) => row.projectId === projectId && open.has(this.status(row)));
  }

  /** Lets everything that is going on finish now. */
  finishAll(): void {
    const now = this.#now();
    for (const row of this.#rows) {
      row.startsAt = Math.min(row.startsAt, now);
      row.endsAt = Math.min(row.endsAt, now);
    }
    this.settle();
  }

  /** Forces a status upon one operation: what `failed` or `error` look like. */
  force(id: string, status: OperationStatus, error: string | null = null): void {
    const row = this.#rows.find((candidate) => candidate.id === id);
    if (row === undefined) throw new Error(`no operation ${id}`);
    row.forced = { status, failuresCount: status === "failed" || status === "error" ? 1 : 0, error };
    this.settle();
  }

  /** Runs what finished operations have in store. */
  settle(): void {
    for (const row of this.#rows) {
      if (row.after === null || this.status(row) !== "finished") continue;
      const { after } = row;
      row.after = null;
      after();
    }
  }

  /** With a real clock, effects arrive although nobody asks; with a test's own clock this does nothing. */
  #wakeAt(at: number): void {
    setTimeout(() => this.settle(), Math.max(0, at - this.#now()) + 1).unref();
  }
}
