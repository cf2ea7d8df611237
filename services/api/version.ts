/**
 * Which state of a thing is meant: the `ETag` of what was read, sent back as `If-Match` with what is to be done about it.
 * It moves with all that somebody may decide by, and not with counts and times that move by themselves.
 */
import { createHash } from "node:crypto";
import type { z } from "zod";
import type { Db } from "../store/db.ts";
import { type Lockable, lockRow } from "../store/lock.ts";
import type { Caller } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

export type VersionOf<Shape extends z.ZodType> = (item: z.input<Shape>) => string;

/** The version of what this shape shows. `restless`: members that say nothing about what would be done. */
export function versionOf<Shape extends z.ZodObject>(
  shape: Shape,
  ...restless: readonly (keyof z.output<Shape> & string)[]
): VersionOf<Shape> {
  const left = new Set<string>(restless);
  return (item) => {
    const entries = Object.entries(shape.parse(item)).filter(([name]) => !left.has(name));
    const text = JSON.stringify(Object.fromEntries(entries), sorted);
    return createHash("sha256").update(text).digest("base64url").slice(0, 22);
  };
}

/** Members in one order, wherever they come from. */
const sorted = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/** Throws `precondition_failed` if the caller means another version than this one. */
export function requireMeant({ ifMatch = null }: Pick<Caller, "ifMatch">, version: string): void {
  if (ifMatch === null || ifMatch === version) return;
  throw new ApiProblem("precondition_failed", "It has changed since it was read. Read it again.");
}

/** Locks the row, so that what is found to be meant stays so until the transaction ends. */
export async function requireUnmoved<Shape extends z.ZodType>(
  tx: Db,
  caller: Caller,
  [table, id]: readonly [Lockable, string],
  read: () => Promise<z.input<Shape> | null>,
  version: VersionOf<Shape>,
): Promise<void> {
  if ((caller.ifMatch ?? null) === null) return;
  await lockRow(tx, table, id);
  const item = await read();
  requireMeant(caller, item === null ? "" : version(item));
}
