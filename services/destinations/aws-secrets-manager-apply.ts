/**
 * One read-modify-write of one secret. A new version is staged where nobody reads it and then made current
 * by UpdateSecretVersionStage, the one compare-and-set that the service has: an older value never replaces a
 * newer one. A lost answer is looked up, never guessed.
 *
 * Whose keys a version holds is said by its id: `<token>-keys-<digest of the key names>`. So a version of
 * ours, whose keys are all to be written, needs no right to read values and no call to do so.
 */
import { createHash } from "node:crypto";
import { SyncError } from "../sync/errors.ts";
import type { Applied, Change, Claim } from "../sync/ports.ts";
import type { Secret } from "../sync/secret.ts";
import type { AwsCalls, Described } from "./aws-calls.ts";
import { isAws } from "./aws-errors.ts";
import {
  digestOfNames,
  holds,
  type Members,
  mergeChanges,
  NO_MEMBERS,
  refuseForeignKeys,
} from "./json-members.ts";

/** `SecretString`: 1 to 65,536 bytes. */
export const SECRET_BYTES = 65_536;

/** A version that stands for "waits for its deletion": no version that anyone could have recorded. */
export const scheduledVersion = (version: string | null): string => `${SCHEDULED}${version ?? ""}`;
const SCHEDULED = "scheduled:";

export interface ApplyContext {
  readonly calls: AwsCalls;
  /** The secret's name. */
  readonly name: string;
  /** False: the name came from an ARN, and a new secret would have another. */
  readonly mayCreate: boolean;
  readonly mayRead: boolean;
  /** What this piece of work has last seen of it, if anything. */
  readonly described: Described | null;
  readonly kmsKeyId: string | undefined;
  readonly replicaRegions: readonly string[];
  readonly recoveryWindowDays: number | null;
  print(members: Members): Secret;
  /** Throws `not_owned` if the version holds something that is no map of names. */
  read(version: string): Promise<Members>;
}

export async function applyToSecret(
  context: ApplyContext,
  changes: readonly Change[],
  claim: Claim,
): Promise<readonly Applied[]> {
  const seen = stateSeen(claim);
  const creates = changes.some((change) => change.op === "put");
  if (!creates && (!seen.exists || seen.scheduled)) return all(changes, null);

  const before = await membersBefore(context, seen, changes);
  if (!seen.revives) refuseForeignKeys(before ?? NO_MEMBERS, changes, WHERE);
  if (before !== null && seen.exists && !seen.scheduled && holds(before, changes)) {
    return all(changes, seen.version);
  }
  const after = mergeChanges(before ?? NO_MEMBERS, changes);
  if (after.size === 0 && isOurs(claim)) return remove(context, changes, seen);
  const text = context.print(after);
  refuseSize(text);
  const token = versionToken(claim.token, after);
  return seen.exists
    ? replace(context, changes, { text, token, seen, after })
    : create(context, changes, claim, text, token);
}

interface Seen {
  readonly exists: boolean;
  readonly scheduled: boolean;
  /** Waits for its deletion and was made here: what it held is ours to replace. */
  readonly revives: boolean;
  /** Without our prefix for scheduled ones. */
  readonly version: string | null;
}

const WHERE = { vendor: "aws", operation: "PutSecretValue" };

function stateSeen(claim: Claim): Seen {
  const { exists, version } = claim.observation;
  const scheduled = version?.startsWith(SCHEDULED) ?? false;
  const bare = scheduled ? (version ?? "").slice(SCHEDULED.length) : version;
  return { exists, scheduled, revives: scheduled && isOurs(claim), version: bare === "" ? null : bare };
}

const isOurs = ({ observation, mark }: Claim): boolean =>
  observation.mark?.installation === mark.installation;

/**
 * What the observed version holds, so that keys of others go along; null if it is a version of ours whose
 * keys are all among the names that are to change: nothing of it would remain.
 */
async function membersBefore(
  context: ApplyContext,
  seen: Seen,
  changes: readonly Change[],
): Promise<Members | null> {
  if (!seen.exists || seen.version === null) return NO_MEMBERS;
  const known = changes.filter(
    (change) => change.op === "delete" || change.owned || change.observed !== null,
  );
  if (holdsOnly(seen.version, seen.revives ? changes : known)) return null;
  if (context.mayRead) {
    if (seen.scheduled) await context.calls.restore(context.name); // it gives no value until then
    return context.read(seen.version);
  }
  if (seen.revives && KEYS.test(seen.version)) return NO_MEMBERS;
  throw unreadable();
}

const KEYS = /-keys-([0-9a-f]{10})$/;
/** So many names are tried for which of them a version holds: 4,096 digests, some milliseconds. */
const MOST_NAMES = 12;

/** Whether the version's id says that it holds these names, or some of them, and no other. */
function holdsOnly(version: string, changes: readonly Change[]): boolean {
  const digest = KEYS.exec(version)?.[1];
  const names = changes.map(({ name }) => name);
  if (digest === undefined) return false;
  if (digest === digestOfNames(names)) return true;
  if (names.length > MOST_NAMES) return false;
  for (let pick = 1; pick < 2 ** names.length - 1; pick += 1) {
    if (digest === digestOfNames(names.filter((_, i) => (pick >> i) & 1))) return true;
  }
  return false;
}

function unreadable(): SyncError {
  return new SyncError(
    "not_owned",
    "the current version was not written here with these names, and without reading it other keys would be lost",
    {
      ...WHERE,
      next: "Allow readValues (secretsmanager:GetSecretValue), or delete the secret so that it is made anew.",
    },
  );
}

async function create(
  context: ApplyContext,
  changes: readonly Change[],
  claim: Claim,
  text: Secret,
  token: string,
): Promise<readonly Applied[]> {
  const { calls, name, kmsKeyId, replicaRegions } = context;
  if (!context.mayCreate) {
    throw new SyncError("target_missing", "the ARN names a secret that does not exist", {
      vendor: "aws",
      operation: "DescribeSecret",
      next: "Create the secret, or name it without its ARN: a secret made here would have another ARN.",
    });
  }
  try {
    const secret = { name, text, token, mark: claim.mark, kmsKeyId, replicaRegions };
    const { arn } = await calls.create(secret);
    return all(changes, token).map((made) => (arn === undefined ? made : { ...made, reference: arn }));
  } catch (error) {
    return settle(context, changes, error, {
      isDone: (now) => now?.current === token,
      elseThrow: (now) => (isAws(error, "InvalidRequestException") && now === null ? stillFreeing() : error),
    });
  }
}

/** After a forced deletion the name stays taken for some seconds, though nothing is to be seen. */
function stillFreeing(): SyncError {
  return new SyncError("unavailable", "AWS still frees the name of a secret that was deleted", {
    vendor: "aws",
    operation: "CreateSecret",
    next: "Nothing: it is tried again by itself.",
    retryAfterMs: 5_000,
  });
}

interface Replacement {
  readonly text: Secret;
  readonly token: string;
  readonly seen: Seen;
  readonly after: Members;
}

async function replace(
  context: ApplyContext,
  changes: readonly Change[],
  replacement: Replacement,
): Promise<readonly Applied[]> {
  const { seen } = replacement;
  if (seen.scheduled) await restoreIfNeeded(context);
  const { token, current } = await stage(context, replacement);
  if (current) return all(changes, token);
  try {
    await context.calls.promote(context.name, seen.version, token);
    return all(changes, token);
  } catch (error) {
    return settle(context, changes, error, {
      isDone: (now) => now?.current === token,
      elseThrow: (now) =>
        isAws(error, "InvalidParameterException", "InvalidRequestException") && now?.current !== seen.version
          ? lostRace()
          : error,
    });
  }
}

/** Reading the old keys may have revived it already. */
async function restoreIfNeeded({ calls, name }: ApplyContext): Promise<void> {
  const now = await calls.describe(name);
  if (now?.scheduled) await calls.restore(name);
}

/**
 * The same token with another text is refused: keys of others have changed since our first try. Then the
 * version that we now build upon makes the token another one, and still the same on every repeat.
 */
async function stage(
  { calls, name }: ApplyContext,
  { token, text, seen, after }: Replacement,
): Promise<{ token: string; current: boolean }> {
  try {
    return { token, current: await calls.stage(name, token, text) };
  } catch (error) {
    if (!isAws(error, "ResourceExistsException")) throw error;
    const other = versionToken(sha256(`${token}\n${seen.version}`).slice(0, 36), after);
    return { token: other, current: await calls.stage(name, other, text) };
  }
}

function lostRace(): SyncError {
  return new SyncError("conflict", "another version became current since the secret was read", {
    vendor: "aws",
    operation: "UpdateSecretVersionStage",
    next: "Nothing: it is tried again from a fresh observation.",
  });
}

/** Nothing remains of a secret that we made: it goes, with a recovery window unless the file says otherwise. */
async function remove(
  context: ApplyContext,
  changes: readonly Change[],
  seen: Seen,
): Promise<readonly Applied[]> {
  const { calls, name, recoveryWindowDays } = context;
  const now = context.described?.current === seen.version ? context.described : await calls.describe(name);
  if (now === null || now.scheduled) return all(changes, null);
  if (now.current !== seen.version) throw lostRace();
  if (now.replicas.length > 0) await calls.removeReplicas(name, now.replicas);
  try {
    await calls.delete(name, recoveryWindowDays);
    return all(changes, null);
  } catch (error) {
    if (isAws(error, "ResourceNotFoundException")) return all(changes, null);
    return settle(context, changes, error, {
      isDone: (after) => after === null || after.scheduled,
      elseThrow: () => error,
    });
  }
}

/**
 * After a failure that may be none: looks. Done is done; what is surely not done is thrown; what may still
 * happen is said of every change.
 */
async function settle(
  { calls, name }: ApplyContext,
  changes: readonly Change[],
  error: unknown,
  ask: { isDone(now: Described | null): boolean; elseThrow(now: Described | null): unknown },
): Promise<readonly Applied[]> {
  if (!(error instanceof SyncError)) throw error;
  const telling = isAws(
    error,
    "ResourceExistsException",
    "InvalidRequestException",
    "InvalidParameterException",
  );
  if (!error.ambiguous && !telling) throw error;
  try {
    const now = await calls.describe(name);
    if (ask.isDone(now)) return all(changes, now?.scheduled === false ? now.current : null);
    if (!error.ambiguous) throw ask.elseThrow(now);
  } catch (second) {
    if (!error.ambiguous) throw second;
  }
  return changes.map((change) => ({ name: change.name, version: null, unsettled: true, error }));
}

/** All names change under one version; null once the secret is gone. */
function all(changes: readonly Change[], version: string | null): readonly Applied[] {
  return changes.map(({ name }) => ({ name, version, unsettled: false, error: null }));
}

function refuseSize(text: Secret): void {
  if (text.bytes <= SECRET_BYTES) return;
  throw new SyncError(
    "invalid_secret",
    `the whole secret would have ${text.bytes} bytes, AWS takes ${SECRET_BYTES}`,
    {
      ...WHERE,
      next: "Put fewer variables into one secret.",
    },
  );
}

/** ClientRequestToken: 32 to 64 characters, which becomes the VersionId. */
function versionToken(token: string, members: Members): string {
  const fits = token.length >= 16 && token.length <= 48 && /^[\w.-]+$/.test(token);
  return `${fits ? token : sha256(token).slice(0, 36)}-keys-${digestOfNames(members.keys())}`;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
