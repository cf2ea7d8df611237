/** How things stand, and how they change: for whoever waits for a branch or follows all of it. */
import { setTimeout as pause } from "node:timers/promises";
import type { Db } from "../store/db.ts";
import { bindingItems, bindingsChangedSince, standOf } from "../store/standing.ts";
import { visibleTo } from "../store/visible.ts";
import type { Changes, Limits, Standing } from "./ports.ts";

export function createStanding(db: Db): Standing {
  return {
    of: async (branchId, destinations, limits) =>
      await standOf(db, branchId, destinations, await visibleTo(db, limits)),
    pause: async (ms) => await pause(ms),
  };
}

/** Transactions that began so long ago may still commit a change with an older time. */
const OVERLAP_MS = 30_000;
/** Changes that are told at once; the rest follows with the next look. */
const AT_ONCE = 500;

interface Follower {
  readonly limits: Limits | null;
  readonly take: Parameters<Changes["follow"]>[0]["take"];
  readonly ended: () => void;
  /** The newest change that was told, as its time. */
  since: Date;
  /** What was told of each binding lately, so that the overlap is not told twice. */
  readonly told: Map<string, string>;
}

export interface ChangeOptions {
  readonly everyMs?: number;
  readonly onError?: (error: unknown) => void;
}

/**
 * Looks now and then while somebody follows, and tells each follower what it has not been told. A change counts by
 * the time at which its transaction began, so each look goes back a little further than the last one reached.
 */
export function createChanges(db: Db, options: ChangeOptions = {}): Changes & { stop(): void } {
  const { everyMs = 1_000, onError = () => {} } = options;
  const followers = new Set<Follower>();
  let timer: NodeJS.Timeout | undefined;

  const look = async (): Promise<void> => {
    for (const follower of followers) {
      await tell(db, follower).catch(onError);
    }
    timer = followers.size === 0 ? undefined : setTimeout(() => void look(), everyMs);
  };

  return {
    follow: ({ since, limits, began, take, ended }) => {
      const from = since === null ? new Date() : new Date(since);
      const follower: Follower = { limits, take, ended, since: from, told: new Map() };
      let left = false;
      const enter = async (): Promise<void> => {
        if (since === null) await remember(db, follower).catch(onError);
        if (left) return;
        followers.add(follower);
        began();
        timer ??= setTimeout(() => void look(), 0);
      };
      void enter();
      return () => {
        left = true;
        followers.delete(follower);
      };
    },
    stop: () => {
      clearTimeout(timer);
      for (const { ended } of followers) ended();
      followers.clear();
    },
  };
}

/** What is so already when a follower comes is not news to it. */
async function remember(db: Db, follower: Follower): Promise<void> {
  for (const { id, state } of await read(db, follower)) follower.told.set(id, state);
}

async function tell(db: Db, follower: Follower): Promise<void> {
  const changed = await read(db, follower);
  const news = changed.filter(({ id, state }) => follower.told.get(id) !== state).slice(0, AT_ONCE);
  const items = await bindingItems(
    db,
    news.map(({ id }) => id),
  );
  for (const { id, at, state } of news) {
    follower.told.set(id, state);
    if (at > follower.since) follower.since = at;
    const binding = items.get(id);
    if (binding !== undefined) follower.take({ id: at.toISOString(), binding });
  }
  const lately = new Set(changed.map(({ id }) => id));
  for (const id of follower.told.keys()) if (!lately.has(id)) follower.told.delete(id);
}

async function read(db: Db, { since, limits }: Follower) {
  const visible = await visibleTo(db, limits);
  return await bindingsChangedSince(db, new Date(since.getTime() - OVERLAP_MS), visible);
}
