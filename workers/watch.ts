/** Looks at one source: which branches appeared, changed or went since the last look. */
import type { SourceLoaded } from "../services/store/beginning.ts";
import {
  type BranchFacts,
  type BranchRow,
  buryBranch,
  countMissed,
  insertBranches,
  updateBranch,
} from "../services/store/branch.ts";
import { answered, type Db } from "../services/store/db.ts";
import { recordEvents, settleEvents } from "../services/store/event.ts";
import { rulesOf } from "../services/store/rule.ts";
import { recordWatch, type SourceRow } from "../services/store/source.ts";
import { primaryEndpoint, replicasOf } from "../services/sync/material.ts";
import type { Moved, Source, SourceBranch } from "../services/sync/ports.ts";
import { holdsDeletes, match } from "../services/sync/watch.ts";
import { readAhead, worthReading } from "./ahead.ts";
import { type Outcome, runWork, type Work } from "./run.ts";
import { openSource, type Runtime } from "./runtime.ts";

/** A branch that a complete list did not have: looked for again soon, since two lists are needed. */
const SUSPECT_MS = 500;
/** Branches that are asked for one by one in a look: each is a few calls. */
const MOST_ASKED = 8;
/** A complete list now and then even if no operation says so: a branch's expiry may leave none. */
const LIST_EVERY = 10;

export async function watch(runtime: Runtime, id: string, stopping: AbortSignal): Promise<boolean> {
  return await runWork(runtime, "source", id, stopping, async (work, loaded) =>
    loaded.row.removedAt === null
      ? await look(runtime, loaded, work, stopping)
      : { kind: "done", dueInMs: null },
  );
}

async function look(
  runtime: Runtime,
  loaded: SourceLoaded,
  work: Work,
  stopping: AbortSignal,
): Promise<Outcome> {
  const { row, upTo, known } = loaded;
  const { watchEveryMs } = runtime.settings;
  const source = openSource(runtime, row, work.signal);
  const suspects = known.some((branch) => branch.missed > 0);
  const hinted = work.lease.revision !== row.watchedRevision;
  const stale =
    row.listedAt === null || work.lease.now.getTime() - row.listedAt.getTime() > watchEveryMs * LIST_EVERY;

  if (!suspects && !hinted && !stale) {
    const moved = await source.moved(row.cursor);
    if (!moved.everything && moved.branchIds.size === 0) {
      return await work.finish({ kind: "done", dueInMs: watchEveryMs }, async (tx) => {
        await recordWatch(tx, row.id, { cursor: moved.cursor, listed: false, held: row.heldSince !== null });
        await settleEvents(tx, { sourceId: row.id }, upTo);
      });
    }
  }

  const listed = await source.branches();
  const { matched, unmatched } = match(known, listed);
  const appeared = listed.filter(({ id }) => !matched.has(id));
  const soon = worthReading(appeared);
  // Asked for after the list: a branch in it may have got, when it was made, what its parent had got just before, and
  // nothing is pushed of the one before the other has been read.
  const [moved, rules] = await answered([
    source.moved(row.cursor, listed),
    soon.length > 0 ? rulesOf(runtime.database.db, row.id) : [],
  ]);
  // Before the first look nothing was known that this list could be too old for.
  const unlisted = row.cursor !== null && (await hasUnlisted(source, moved, known, listed));
  const { gone, missing, held } = await missingFrom(source, row, known, unmatched);
  const unsure = unlisted || (missing.length > gone.length && !held);
  const dueInMs = unsure ? Math.min(SUSPECT_MS, watchEveryMs) : watchEveryMs;
  // It goes on after this work has ended.
  const ahead = readAhead(runtime, loaded, { rules, listed, appeared: soon }, stopping);
  const write = async (tx: Db): Promise<void> => {
    const seen = { cursor: moved.cursor, listed: true, held };
    const { revision } = work.lease;
    const reason = `${missing.length} of ${known.length} branches are missing at once`;
    const lost = { origin: "watch", kind: "deletes.held", sourceId: row.id, reason } as const;
    // None of these needs another's answer.
    await answered([
      takeIn(tx, row, { matched, appeared, listed, moved }),
      bury(tx, missing, gone),
      recordEvents(tx, held && row.heldSince === null ? [lost] : []),
      // What came after the list is found by the next look, and so is what an event led to.
      unlisted ? null : settleEvents(tx, { sourceId: row.id }, upTo),
    ]);
    // What somebody has confirmed is forgotten of branches that are back, so they are written down before.
    await recordWatch(tx, row.id, unlisted ? { ...seen, again: true } : { ...seen, revision });
  };
  try {
    const outcome = await work.finish({ kind: "done", dueInMs }, write);
    ahead.keep();
    return outcome;
  } catch (error) {
    ahead.drop();
    throw error;
  }
}

async function bury(tx: Db, missing: readonly BranchRow[], gone: readonly BranchRow[]): Promise<void> {
  await countMissed(
    tx,
    missing.map((branch) => branch.id),
  );
  for (const branch of gone) await buryBranch(tx, branch);
}

/**
 * Whether something has moved that came after the list. What Neon does not show either, asked for by itself, is no branch
 * any more, or never became one: its operations may stay unfinished for long, and the list is not read anew for them.
 */
async function hasUnlisted(
  source: Source,
  { branchIds }: Moved,
  known: readonly BranchRow[],
  listed: readonly SourceBranch[],
): Promise<boolean> {
  const ids = new Set([...known.map((row) => row.neonId), ...listed.map((seen) => seen.id)]);
  // The newest come first, and only they can be newer than the list.
  const asked = [...branchIds].filter((id) => !ids.has(id)).slice(0, MOST_ASKED);
  for (const id of asked) if ((await source.branch(id)) !== null) return true;
  return false;
}

/** Those that two complete lists lack, and that Neon says do not exist when asked for one by one. */
async function missingFrom(
  source: Source,
  row: SourceRow,
  known: readonly BranchRow[],
  unmatched: readonly BranchRow[],
): Promise<{ gone: readonly BranchRow[]; missing: readonly BranchRow[]; held: boolean }> {
  const gone: BranchRow[] = [];
  // Those that somebody has confirmed count no more, and go also while others are held.
  const confirmed = unmatched.filter(({ id }) => row.confirmed.includes(id));
  const unconfirmed = unmatched.length - confirmed.length;
  const held = holdsDeletes(known.length, unconfirmed, row.heldSince !== null);
  for (const branch of held ? confirmed : unmatched) {
    if (branch.missed > 0 && (await source.branch(branch.neonId)) === null) gone.push(branch);
  }
  return { gone, missing: unmatched, held };
}

interface Seen {
  readonly matched: ReadonlyMap<string, BranchRow>;
  readonly appeared: readonly SourceBranch[];
  readonly listed: readonly SourceBranch[];
  readonly moved: Moved;
}

async function takeIn(tx: Db, row: SourceRow, { matched, appeared, listed, moved }: Seen): Promise<void> {
  const appearances = appeared.map(({ id, name }) => ({
    origin: "watch" as const,
    kind: "branch.appeared",
    sourceId: row.id,
    subject: { branch: name, neonId: id },
    outcome: "processed" as const,
  }));
  await answered([insertBranches(tx, row.id, appeared.map(factsOf)), recordEvents(tx, appearances)]);
  // Nobody can say what moved since the last look: then anything may have. Before the first look nothing was known.
  const unsaid = moved.everything && row.cursor !== null;
  for (const seen of listed) {
    const facts = factsOf(seen);
    const before = matched.get(seen.id);
    if (before !== undefined) {
      const changed = before.facts !== facts.facts;
      const dirty = unsaid || moved.branchIds.has(seen.id) || moved.branchIds.has(before.neonId);
      if (changed || dirty || before.missed > 0) await updateBranch(tx, before.id, facts, changed || dirty);
    }
  }
}

function factsOf(seen: SourceBranch): BranchFacts {
  const endpoint = primaryEndpoint(seen);
  const facts = {
    neonId: seen.id,
    endpointId: endpoint?.id ?? null,
    host: endpoint?.host ?? null,
    name: seen.name,
    isDefault: seen.default,
    isProtected: seen.protected,
    parentNeonId: seen.parentId,
    state: seen.state,
    annotations: { ...seen.annotations },
    neonCreatedAt: seen.createdAt,
    expiresAt: seen.expiresAt,
  };
  const replicas = replicasOf(seen).map(({ id, name, host }) => [id, name, host].join(" "));
  return { ...facts, facts: JSON.stringify([facts, endpoint?.disabled ?? null, replicas.sort()]) };
}
