/** Values of options, read once. */
import { InvalidArgumentError } from "commander";
import { parseDuration } from "../file/duration.ts";

/** `90s`, `5m`, `1h30m` in milliseconds. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === null) throw new InvalidArgumentError("A duration is a number with a unit: 90s, 5m, 1h30m, 7d.");
  return ms;
}

export function count(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError("A count is a whole number from 1.");
  return Number(text);
}
