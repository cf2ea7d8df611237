/** One number that means something on any machine: a count, or a ratio measured within the run. */
export interface Result {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The number to reach; null: only printed. */
  readonly bar: number | null;
  readonly ok: boolean;
  /** What it was made of. */
  readonly detail?: object;
}

/** How much of a benchmark's full size is run: 1 for numbers that count, less to see that it runs. */
export interface Scale {
  readonly scale: number;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const rounded = (value: number, digits = 2): number => Number(value.toFixed(digits));
