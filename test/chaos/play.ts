/** Does what the schedule says, and undoes it in time. What cannot be done just then is told and left out. */
import { setTimeout as pause } from "node:timers/promises";
import { type Act, isVendorAct, isWorldAct, type ProcessAct, tell } from "./acts.ts";
import type { Fleet } from "./fleet.ts";
import type { Hooks } from "./hooks.ts";
import type { Database } from "./postgres.ts";
import type { QueueServer } from "./redis.ts";
import type { Vendors } from "./stage.ts";

export interface Stage {
  readonly vendors: Vendors;
  readonly database: Database;
  readonly redis: QueueServer | null;
  readonly fleet: Fleet;
  readonly hooks: Hooks;
  /** Told what was done, when it was done. */
  readonly note: (what: string) => void;
}

const CUT_MS = 1_000;

export interface Player {
  /** Resolves with whether there was anything to do it to; what takes time goes on by itself. */
  perform(act: Act): Promise<boolean>;
  /** Every fault ends now. Resolves when everything runs again. */
  heal(): Promise<void>;
}

export function createPlayer(stage: Stage): Player {
  const { vendors, database, redis, fleet, hooks, note } = stage;
  /** What is down or frozen at the moment, so that one thing is not broken twice. */
  const broken = new Set<string>();
  const mending = new Set<Promise<void>>();
  const healing = new AbortController();
  /** What could not be mended: the run itself is broken then, and says nothing of the promises. */
  let irreparable: unknown = null;

  /** Breaks a thing for a time. */
  const breakFor = (thing: string, ms: number, harm: () => unknown, mend: () => unknown): boolean => {
    if (broken.has(thing)) return false;
    broken.add(thing);
    const work = async (): Promise<void> => {
      await harm();
      await pause(ms, undefined, { signal: healing.signal }).catch(() => undefined);
      await mend();
      note(`${thing} is back`);
    };
    const mended = work()
      .catch((error: unknown) => {
        irreparable ??= error;
      })
      .finally(() => {
        broken.delete(thing);
        mending.delete(mended);
      });
    mending.add(mended);
    return true;
  };

  /** Whether anybody was there to be cut off; who takes too long to answer is busy with another fault. */
  const cut = async (which: "listen" | "any", share: number): Promise<boolean> => {
    const counted = database.cut(which, share).catch(() => 0);
    const count = await Promise.race([counted, pause(CUT_MS, 0, { ref: false })]);
    note(`${count} sessions cut`);
    return count > 0;
  };

  const toProcess = (act: ProcessAct): boolean | Promise<boolean> => {
    switch (act.kind) {
      case "kill":
        return !broken.has(act.process) && fleet.kill(act.process, act.downMs);
      case "term":
        return !broken.has(act.process) && fleet.term(act.process, act.downMs);
      case "freeze": {
        const { process, forMs } = act;
        if (!fleet.isUp(process)) return false;
        return breakFor(
          process,
          forMs,
          () => fleet.freeze(process),
          () => fleet.thaw(process),
        );
      }
      case "clock":
        return fleet.setClock(act.process, act.offMs);
      case "postgres-kill":
        return breakFor(
          "postgres",
          act.downMs,
          () => database.kill(),
          () => database.start(),
        );
      case "postgres-freeze":
        return breakFor(
          "postgres",
          act.forMs,
          () => database.freeze(act.whole),
          () => database.thaw(),
        );
      case "postgres-cut":
        return !broken.has("postgres") && cut(act.which, act.share);
      case "postgres-crowd": {
        let leave = async (): Promise<void> => {};
        return breakFor(
          "connections",
          act.forMs,
          async () => {
            leave = await database.crowd();
          },
          async () => await leave(),
        );
      }
      case "redis-kill":
        return redis !== null && breakFor("redis", act.downMs, redis.kill, redis.start);
      case "redis-freeze":
        return redis !== null && breakFor("redis", act.forMs, redis.freeze, redis.thaw);
      case "redis-flush":
        if (redis === null || broken.has("redis")) return false;
        redis.flush().catch(() => undefined);
        return true;
      case "forge":
        hooks.forge(act.how);
        return true;
    }
  };

  return {
    async perform(act) {
      const done = isWorldAct(act) || isVendorAct(act) ? await vendors.act(act) : await toProcess(act);
      note(done ? tell(act) : `(not possible now: ${tell(act)})`);
      if (done && isWorldAct(act)) hooks.announce(act);
      return done;
    },
    async heal() {
      healing.abort();
      await vendors.relent();
      while (mending.size > 0) await Promise.all(mending);
      fleet.thawAll();
      if (irreparable !== null) throw new Error("not everything runs again", { cause: irreparable });
    },
  };
}
