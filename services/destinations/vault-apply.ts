/** One read-modify-write of one secret, under check-and-set where the engine has it. */
import { SyncError } from "../sync/errors.ts";
import type { Applied, Change, Claim } from "../sync/ports.ts";
import { holds, type Members, mergeChanges, refuseForeignKeys } from "./json-members.ts";
import type { KvEngine, KvState } from "./vault-kv.ts";

export interface KvContext {
  readonly engine: KvEngine;
  readonly path: string;
  /** What this piece of work has read of the claim's version; undefined: it must be read now. */
  readonly read: KvState | undefined;
  readonly forever: boolean;
}

export async function applyToKv(
  context: KvContext,
  changes: readonly Change[],
  claim: Claim,
): Promise<readonly Applied[]> {
  const before = await stateOf(context, claim);
  const shows = before.state === "live" || changes.every((change) => change.op === "delete");
  const done = shows && holds(before.members, changes);
  // In version 1 a key that is there with our value may be an earlier try of ours: nothing tells them apart.
  if (context.engine.versioned || !done) refuseForeignKeys(before.members, changes, WHERE);
  if (done) return all(changes, before.version, false);

  const after = mergeChanges(before.members, changes);
  if (after.size === 0 && isOurs(context, claim)) return remove(context, changes, claim);
  return write(context, changes, claim, after);
}

const WHERE = { vendor: "vault", operation: "POST {mount}/data/{path}" };

/** Version 1 has nothing to compare with, so it is looked at as late as possible. */
async function stateOf({ engine, path, read }: KvContext, claim: Claim): Promise<KvState> {
  if (read !== undefined) return read;
  if (!engine.versioned) return engine.read(path);
  const { version } = claim.observation;
  return version === null
    ? { state: "absent", version: null, members: new Map(), mark: null }
    : engine.read(path, Number(version));
}

/** Version 1 cannot say whose it is; a secret without a single key is of use to nobody. */
function isOurs({ engine }: KvContext, claim: Claim): boolean {
  return !engine.versioned || claim.observation.mark?.installation === claim.mark.installation;
}

async function write(
  context: KvContext,
  changes: readonly Change[],
  claim: Claim,
  after: Members,
): Promise<readonly Applied[]> {
  const { engine, path } = context;
  let version: number | null | "conflict";
  let failure: SyncError | null = null;
  try {
    version = await engine.write(path, after, Number(claim.observation.version ?? 0));
  } catch (error) {
    if (!(error instanceof SyncError) || !error.ambiguous) throw error;
    version = "conflict";
    failure = error;
  }
  if (version === "conflict") {
    const landed = await readBack(context, changes, failure);
    if (landed === null) return unknown(changes, failure);
    version = landed.version;
    if (landed.mark !== null) return all(changes, version, !engine.versioned);
  }
  if (claim.observation.mark === null && isAllOurs(after, changes)) await stamp(context, claim);
  return all(changes, version, !engine.versioned);
}

/**
 * Whether the secret holds what we wanted, since the version moved or the answer was lost: an earlier try of
 * ours may have done it. Throws `conflict` if somebody else wrote; null if it cannot be told.
 */
async function readBack(
  { engine, path }: KvContext,
  changes: readonly Change[],
  failure: SyncError | null,
): Promise<KvState | null> {
  try {
    const now = await engine.read(path);
    const live = now.state === "live" || changes.every((change) => change.op === "delete");
    if (live && holds(now.members, changes)) return now;
  } catch (error) {
    if (failure === null) throw error;
  }
  if (failure !== null) return null;
  throw new SyncError("conflict", "the secret has another version than the one that was read", {
    ...WHERE,
    status: 400,
    next: "Nothing: it is tried again from a fresh observation.",
  });
}

/** A secret that holds nothing but what we write is marked as ours; one that is shared stays as it is. */
function isAllOurs(after: Members, changes: readonly Change[]): boolean {
  const puts = new Set(changes.flatMap((change) => (change.op === "put" ? [change.name] : [])));
  return after.size > 0 && [...after.keys()].every((name) => puts.has(name));
}

/**
 * The values are written by now, and the ledger knows them: a mark that cannot be set is no reason to say
 * that they are not. check() finds a policy that does not allow it; the next write tries again.
 */
async function stamp({ engine, path }: KvContext, claim: Claim): Promise<void> {
  try {
    await engine.stamp(path, claim.mark);
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
  }
}

/** Nothing remains of a secret that we made. Deleting names the version seen: a newer one stays. */
async function remove(
  { engine, path, forever }: KvContext,
  changes: readonly Change[],
  claim: Claim,
): Promise<readonly Applied[]> {
  const { version } = claim.observation;
  try {
    if (forever) await engine.destroy(path);
    else await engine.remove(path, version === null ? null : Number(version));
  } catch (error) {
    if (!(error instanceof SyncError) || !error.ambiguous) throw error;
    const now = await engine.read(path).catch(() => null);
    if (now === null || now.state === "live") return unknown(changes, error);
  }
  return all(changes, null, false);
}

function unknown(changes: readonly Change[], error: SyncError | null): readonly Applied[] {
  return changes.map(({ name }) => ({ name, version: null, unsettled: true, error }));
}

function all(changes: readonly Change[], version: number | null, unsettled: boolean): readonly Applied[] {
  const shown = version === null ? null : String(version);
  return changes.map(({ name }) => ({ name, version: shown, unsettled, error: null }));
}
