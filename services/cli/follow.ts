/**
 * What any process takes in all processes go by, within seconds: each looks at one small number every two seconds
 * and reads the rest again when it moved.
 */
import { DEFAULT_SETTINGS, type Settings } from "../../workers/runtime.ts";
import { type Logger, seldom } from "../log.ts";
import { configurationVersion } from "../store/configuration.ts";
import type { Database } from "../store/db.ts";
import { hasten } from "../store/hasten.ts";
import { installationRow } from "../store/installation.ts";
import { markManaged, RENEW_MANAGED_MS, renewManaged } from "../store/managed.ts";
import { FINGERPRINT_KEY, type Keyring } from "../sync/keyring.ts";
import { intervalsOf, type StoredSettings, storedBlocks, storedSettings } from "./declared.ts";
import type { StoredCredentials } from "./stored.ts";

/** What a process goes by, which an apply replaces, here or elsewhere. */
export interface Current {
  settings: StoredSettings;
}

export interface FollowOptions {
  readonly database: Database;
  readonly log: Logger;
  readonly current: Current;
  /** Of the runtime: changed in place, since everybody asks it anew. */
  readonly intervals: Settings;
  /** Beats what a document says. */
  readonly fixed: Partial<Settings>;
  readonly stored: StoredCredentials;
  readonly keyring: Keyring;
  /** The state that `current` was read after. */
  readonly version: number;
  /** The file that this process was started with; null: none. */
  readonly file: string | null;
  readonly kick: () => void;
}

export interface Following {
  /** Whether the master key of this process opens the state, in words; null: it does. */
  keyProblem(): string | null;
  stop(): void;
}

const LOOK_MS = 2_000;

export function intervalsIn(settings: StoredSettings, fixed: Partial<Settings>): Settings {
  return { ...DEFAULT_SETTINGS, ...intervalsOf(settings), ...fixed };
}

export function follow(options: FollowOptions): Following {
  const { log } = options;
  const onError = seldom((err, leftOut) =>
    log.warn({ err, leftOut }, "what is configured was not looked at"),
  );
  const seen: Seen = { version: options.version, renewedAt: performance.now(), keyProblem: null };
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    lookAgain(options, seen)
      .catch(onError)
      .finally(() => {
        looking = false;
      });
  }, LOOK_MS);
  timer.unref();
  return { keyProblem: () => seen.keyProblem, stop: () => clearInterval(timer) };
}

interface Seen {
  version: number;
  renewedAt: number;
  keyProblem: string | null;
}

async function lookAgain(options: FollowOptions, seen: Seen): Promise<void> {
  const { db } = options.database;
  if (options.file !== null && performance.now() - seen.renewedAt >= RENEW_MANAGED_MS / 2) {
    await renewManaged(db);
    seen.renewedAt = performance.now();
  }
  const version = await configurationVersion(db);
  if (version === seen.version) return;
  await checkKey(options, seen);
  await takeOver(options);
  seen.version = version;
  options.log.info({ version }, "another document or key was taken in: this process goes by it");
}

async function takeOver({ database, current, intervals, fixed, stored, kick }: FollowOptions): Promise<void> {
  const { db } = database;
  await stored.refresh(await storedBlocks(db));
  current.settings = await storedSettings(db);
  const before = { ...intervals };
  Object.assign(intervals, intervalsIn(current.settings, fixed));
  const shorter =
    intervals.watchEveryMs < before.watchEveryMs || intervals.sweepEveryMs < before.sweepEveryMs;
  if (shorter) await hasten(db, intervals);
  kick();
}

/** A process whose key was replaced goes on with what it has open, and can neither open nor seal anything else. */
async function checkKey({ database, keyring, log }: FollowOptions, seen: Seen): Promise<void> {
  const { sealedKey } = await installationRow(database.db);
  try {
    keyring.unseal(FINGERPRINT_KEY, sealedKey);
    seen.keyProblem = null;
  } catch {
    seen.keyProblem = "the master key was replaced: start this process again with the new one";
    log.error(seen.keyProblem);
  }
}

/** Before the file is taken in. */
export async function noteFile({ db }: Database, file: string | null): Promise<void> {
  if (file !== null) await markManaged(db, file);
}
