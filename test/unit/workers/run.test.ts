/** What the holder of a lease writes down, and what becomes of it when the lease is somebody else's by then. */
import { getEventListeners } from "node:events";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createLogger } from "../../../services/log.ts";
import { openBeginnings } from "../../../services/store/beginning.ts";
import { answered, type Database, type Db, openDatabase } from "../../../services/store/db.ts";
import { ensureInstallation } from "../../../services/store/installation.ts";
import { SyncError } from "../../../services/sync/errors.ts";
import { LostLease, runWork, type Work } from "../../../workers/run.ts";
import { DEFAULT_SETTINGS, type Runtime } from "../../../workers/runtime.ts";
import { createDatabase, type TestDatabase } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";

let created: TestDatabase;
let database: Database;
let runtime: Runtime;
let id: string;

beforeAll(async () => {
  created = await createDatabase({ migrated: true });
  database = openDatabase({ url: created.url, max: 4 });
  const needed: Partial<Runtime> = {
    database,
    settings: DEFAULT_SETTINGS,
    log: createLogger({ level: "silent" }),
    begin: openBeginnings(database, DEFAULT_SETTINGS),
    kick: () => undefined,
  };
  runtime = needed as Runtime;
  await ensureInstallation(database.db, { sealedKey: "sealed" });
  await database.db.execute(sql`
    insert into branchline.destination (name, kind, block, in_flight) values ('memory', 'memory', '{}', 4)`);
});

beforeEach(async () => {
  id = await anotherPlace();
});

async function anotherPlace(): Promise<string> {
  const { rows } = await database.db.execute<{ id: string }>(sql`
    insert into branchline.place (destination_id, key, container, target, due_at)
    select d.id, gen_random_uuid()::text, 'c', '{}', now() from branchline.destination d returning id`);
  return rows[0]?.id ?? "";
}

async function somebodyWaits(): Promise<boolean> {
  const { rows } = await database.db.execute(sql`
    select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`);
  return rows.length > 0;
}

afterAll(async () => {
  await database.close();
  await created.drop();
});

interface Row extends Record<string, unknown> {
  readonly container: string;
  readonly due: boolean;
  readonly held: boolean;
  readonly code: string | null;
}

async function row(): Promise<Row | undefined> {
  const { rows } = await database.db.execute<Row>(sql`
    select container, coalesce(due_at <= now(), false) as due, lease_until is not null as held, code
    from branchline.place where id = ${id}`);
  return rows[0];
}

const write = async (tx: Db): Promise<void> => {
  await tx.execute(sql`update branchline.place set container = 'written' where id = ${id}`);
};
const refused = async (tx: Db): Promise<void> => {
  await tx.execute(sql`update branchline.place set destination_id = null where id = ${id}`);
};
const somebodyElseTakesIt = async (): Promise<void> => {
  await database.db.execute(sql`update branchline.place set epoch = epoch + 1 where id = ${id}`);
};

/** Runs, and gives what the work itself was told. */
async function told(body: (work: Work) => Promise<unknown>): Promise<unknown> {
  let thrown: unknown = "nothing";
  await runWork(runtime, "place", id, new AbortController().signal, async (work) => {
    try {
      await body(work);
    } catch (error) {
      thrown = error;
      throw error;
    }
    return { kind: "done", dueInMs: null };
  });
  return thrown;
}

const DONE = { kind: "done", dueInMs: null } as const;

test("a database that is away for a moment parks nothing, however often it was tried for other reasons", async () => {
  await database.db.execute(sql`update branchline.place set attempts = 9 where id = ${id}`);
  await told(async () => {
    throw Object.assign(new Error("terminating connection due to administrator command"), { code: "57P01" });
  });
  expect(await row()).toMatchObject({ code: "unavailable", held: false });
  const { rows } = await database.db.execute(
    sql`select due_at < now() + interval '6 minutes' as soon from branchline.place where id = ${id}`,
  );
  expect(rows).toEqual([{ soon: true }]);
});

test("a process that stops ends its work, and remembers none that has ended", async () => {
  const process = new AbortController();
  const followed = (): number => getEventListeners(process.signal, "abort").length;
  const seen: unknown[] = [];
  const look = async ({ signal }: Work): Promise<typeof DONE> => {
    seen.push(followed());
    if (seen.length > 1) process.abort();
    seen.push(signal.aborted);
    return DONE;
  };
  await runWork(runtime, "place", id, process.signal, look);
  expect([...seen, followed()]).toEqual([1, false, 0]);
  await runWork(runtime, "place", await anotherPlace(), process.signal, look);
  expect(seen.at(-1)).toBe(true);
});

describe("what is written under a lease", () => {
  test("is written with the lease given back, and the row rests", async () => {
    expect(await told(async (work) => await work.finish(DONE, write))).toBe("nothing");
    expect(await row()).toEqual({ container: "written", due: false, held: false, code: null });
  });

  test("is written whole or not at all, though its statements go out together", async () => {
    const both = async (tx: Db): Promise<void> => {
      await Promise.all([write(tx), refused(tx), write(tx)]);
    };
    for (const how of ["record", "finish"] as const) {
      const error = await told(
        async (work) => await (how === "record" ? work.record(both) : work.finish(DONE, both)),
      );
      expect(error).toMatchObject({ message: expect.stringContaining("Failed query") });
      expect(await row()).toMatchObject({ container: "c", held: false, code: "internal" });
      await database.db.execute(sql`update branchline.place set due_at = now() where id = ${id}`);
    }
  });

  test("is nothing if somebody else has the lease, whatever else goes wrong, and the row is due again", async () => {
    const alsoWrong = async (tx: Db): Promise<void> => {
      await write(tx);
      throw new SyncError("conflict", "what was to be written has changed meanwhile");
    };
    for (const body of [write, refused, alsoWrong]) {
      for (const how of ["record", "finish"] as const) {
        const error = await told(async (work) => {
          await somebodyElseTakesIt();
          await (how === "record" ? work.record(body) : work.finish(DONE, body));
        });
        expect(error).toBeInstanceOf(LostLease);
        expect(await row()).toEqual({ container: "c", due: true, held: true, code: null });
        await database.db.execute(sql`update branchline.place set lease_until = null where id = ${id}`);
      }
    }
  });

  test("is said again after a deadlock, whatever was said behind it", async () => {
    const other = await anotherPlace();
    const touch = (place: string) =>
      sql`update branchline.place set container = 'touched' where id = ${place}`;
    const wave = async (tx: Db): Promise<void> => {
      const behind = async (): Promise<void> => {
        for (let n = 0; n < 30; n++) await Promise.resolve(); // said last, though it comes first here
        await write(tx);
      };
      await answered([behind(), tx.execute(touch(other))]);
    };
    let finishing: Promise<unknown> = Promise.resolve();
    await database.db.transaction(async (tx) => {
      await tx.execute(touch(other));
      finishing = told(async (work) => await work.finish(DONE, wave));
      // Who waits first is the one that PostgreSQL ends.
      await until(async () => await somebodyWaits(), { what: "the wave to wait" });
      await tx.execute(sql`update branchline.place set target = '{}' where id = ${id}`);
    });
    expect(await finishing).toBe("nothing");
    expect(await row()).toEqual({ container: "written", due: false, held: false, code: null });
  });

  test("fails like any other, and is given back, if what it has to know cannot be loaded", async () => {
    const begin: Runtime["begin"] = async (kind, of) => {
      const begun = await runtime.begin(kind, of);
      return (
        begun && {
          ...begun,
          load: async () => await Promise.reject(new SyncError("unavailable", "the database is away")),
        }
      );
    };
    const ran: string[] = [];
    const well = await runWork({ ...runtime, begin }, "place", id, new AbortController().signal, async () => {
      ran.push("body");
      return DONE;
    });
    expect([well, ran]).toEqual([false, []]);
    expect(await row()).toMatchObject({ held: false, code: "unavailable" });
  });

  test("ends before any timer can say so, in a process that was frozen for longer than its lease", async () => {
    const leaseMs = 200;
    const short = { ...runtime, settings: { ...DEFAULT_SETTINGS, leaseMs } };
    short.begin = openBeginnings(database, short.settings);
    const seen: boolean[] = [];
    await runWork(short, "place", id, new AbortController().signal, async (work) => {
      work.stillHeld();
      seen.push(work.signal.aborted);
      const thaw = performance.now() + leaseMs + 50;
      while (performance.now() < thaw); // nothing else runs, as when the whole process stands still
      seen.push(work.signal.aborted);
      work.stillHeld();
      seen.push(work.signal.aborted);
      return DONE;
    });
    expect(seen).toEqual([false, false, true]);
  });

  test("leaves the row due if somebody has hinted at it meanwhile", async () => {
    await told(async (work) => {
      await database.db.execute(sql`update branchline.place set revision = revision + 1 where id = ${id}`);
      return await work.finish(DONE, async () => {});
    });
    expect(await row()).toMatchObject({ due: true, held: false });
  });
});
