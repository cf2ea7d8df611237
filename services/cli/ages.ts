/** Times for people. */

const STEPS: readonly (readonly [ms: number, unit: string])[] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1_000, "s"],
];

/** How long ago, in its largest whole unit: `3m`. The server's clock may be a little ahead of ours: never below `0s`. */
export function ago(iso: string, now = Date.now()): string {
  const ms = Math.max(0, now - Date.parse(iso));
  const [size, unit] = STEPS.find(([step]) => ms >= step) ?? [1_000, "s"];
  return `${Math.floor(ms / size)}${unit}`;
}
