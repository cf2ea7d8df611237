/** Which listed branch is which of ours, and when a loss is too large to be believed. Pure. */
import { primaryEndpoint } from "./material.ts";
import type { SourceBranch } from "./ports.ts";

export interface KnownBranch {
  readonly neonId: string;
  readonly endpointId: string | null;
}

/**
 * Matches by read-write endpoint first: after a restore the endpoint moves to a branch with another id
 * while the old id lives on without it, and consumers' strings name the endpoint. Then by Neon's id.
 * Never by name: a branch that is deleted and created again under its name is another branch.
 */
export function match<K extends KnownBranch>(
  known: readonly K[],
  listed: readonly SourceBranch[],
): { matched: ReadonlyMap<string, K>; unmatched: readonly K[] } {
  const byEndpoint = new Map(
    known.flatMap((row) => (row.endpointId === null ? [] : [[row.endpointId, row]])),
  );
  const byId = new Map(known.map((row) => [row.neonId, row]));
  const matched = new Map<string, K>();
  const taken = new Set<K>();
  const take = (seen: SourceBranch, row: K | undefined): void => {
    if (row === undefined || taken.has(row) || matched.has(seen.id)) return;
    matched.set(seen.id, row);
    taken.add(row);
  };
  for (const seen of listed) take(seen, byEndpoint.get(primaryEndpoint(seen)?.id ?? ""));
  for (const seen of listed) take(seen, byId.get(seen.id));
  return { matched, unmatched: known.filter((row) => !taken.has(row)) };
}

const SHARE = 0.3;
const AT_LEAST = 5;

/**
 * More than 30 % and at least five at once: more likely a fault, ours or theirs, than a wish. Once deletes are
 * held they stay so while five are missing: those that come back were never gone.
 */
export function holdsDeletes(known: number, missing: number, held: boolean): boolean {
  return missing >= AT_LEAST && (held || missing > known * SHARE);
}
