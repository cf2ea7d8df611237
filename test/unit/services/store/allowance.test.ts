import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Allowance, openAllowance } from "../../../../services/store/allowance.ts";
import { type Database, openDatabase } from "../../../../services/store/db.ts";
import type { SyncError } from "../../../../services/sync/errors.ts";
import type { AccountLimits, Books, Limit } from "../../../../services/sync/limits.ts";
import type { OutgoingRequest, OutgoingResponse } from "../../../../services/sync/ports.ts";
import { createDatabase, type TestDatabase } from "../../../support/postgres.ts";
import { until } from "../../../support/until.ts";

/** What several processes have of one installation: a pool each. */
interface Process {
  readonly database: Database;
  readonly allowance: Allowance;
}

let created: TestDatabase;
let processes: readonly Process[];
let stop: AbortController;

beforeEach(async () => {
  created = await createDatabase({ migrated: true });
  processes = Array.from({ length: 5 }, () => {
    const database = openDatabase({ url: created.url, max: 2 });
    return { database, allowance: openAllowance(database.db) };
  });
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await Promise.all(processes.map(({ database }) => database.close()));
  await created.drop();
});

const GET: OutgoingRequest = { vendor: "shop", operation: "GET /x", method: "GET", url: "https://x.test/" };
const LIMIT: Limit = { name: "minute", calls: 100, perMs: 60_000, cost: () => 1 };

const account = (...limits: readonly Partial<Limit>[]): AccountLimits => ({
  account: "shop x.test 1",
  limits: limits.map((each) => ({ ...LIMIT, ...each })),
});
const open = (limits: AccountLimits, process = 0) => {
  const one = processes[process];
  if (one === undefined) throw new Error("no such process");
  return one.allowance.open(limits, stop.signal);
};
const answer = (status: number, headers: Record<string, string> = {}): OutgoingResponse => ({
  status,
  headers,
  body: "",
  requestId: undefined,
  date: undefined,
});
const booked = async (): Promise<Books> => {
  const { rows } = await (processes[0]?.database.db.execute<{ books: Books }>(
    sql`select books from branchline.allowance`,
  ) ?? { rows: [] });
  return rows[0]?.books ?? {};
};
const revision = async (): Promise<string | undefined> => {
  const { rows } = await (processes[0]?.database.db.execute<{ revision: string }>(
    sql`select revision from branchline.allowance`,
  ) ?? { rows: [] });
  return rows[0]?.revision;
};
const elapsed = async (work: () => Promise<unknown>): Promise<number> => {
  const from = performance.now();
  await work();
  return performance.now() - from;
};

describe("admit()", () => {
  test("gives all processes together what the account is allowed, to the last call and not one more", async () => {
    const limits = account({ calls: 100, perMs: 3_600_000 });
    const outcomes = await Promise.all(
      processes.flatMap((_, process) =>
        Array.from({ length: 40 }, () =>
          open(limits, process)
            .admit(GET)
            .then(
              () => "made",
              (error: { code: string }) => error.code,
            ),
        ),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === "made")).toHaveLength(100);
    expect(outcomes.filter((outcome) => outcome === "rate_limited")).toHaveLength(100);
    const log = (await booked())["minute"]?.log ?? [];
    expect(log.reduce((sum, [, n]) => sum + n, 0)).toBe(100);
  });

  test("lets processes take turns, however fast one of them asks", async () => {
    const limits = account({ calls: 1, perMs: 30 });
    const [greedy, modest] = [open(limits, 0), open(limits, 1)];
    let taken = 0;
    const crowd = Array.from({ length: 10 }, async () => {
      while (!stop.signal.aborted) {
        await greedy.admit(GET).catch(() => undefined);
        taken += 1;
      }
    });
    await until(() => taken > 5);
    for (let i = 0; i < 4; i += 1) {
      const before = taken;
      await modest.admit(GET);
      // Only those go first that had asked before, and whoever is served while we are told so.
      expect(taken - before).toBeLessThanOrEqual(30);
    }
    stop.abort();
    await Promise.all(crowd);
  });

  test("asks once for a few calls that come after each other, and leaves others no less than they are allowed", async () => {
    const limits = account({ calls: 40, perMs: 60_000 });
    const one = open(limits, 0);
    await one.admit(GET);
    const after = await revision();
    for (let i = 0; i < 16; i += 1) await one.admit(GET);
    expect(await revision()).toBe(after);
    await one.admit(GET);
    expect(await revision()).not.toBe(after);
    const log = (await booked())["minute"]?.log ?? [];
    expect(log.reduce((sum, [, n]) => sum + n, 0)).toBeLessThanOrEqual(20);
  });

  test("gives back those that it did not use, so that the next calls need not ask for each either", async () => {
    const limits = account({ calls: 40, perMs: 60_000 });
    const one = open(limits, 0);
    const counted = async (): Promise<number> =>
      ((await booked())["minute"]?.log ?? []).reduce((sum, [, n]) => sum + n, 0);
    await one.admit(GET);
    await one.admit(GET);
    expect(await counted()).toBe(17);
    const from = performance.now();
    await until(() => performance.now() - from > 1_100);
    await one.admit(GET);
    // 16 were had for a second. Had the 15 that were left of them been lost, there would be room for 2 more.
    expect(await counted()).toBe(2 + 1 + 16);
    const asked = await revision();
    for (let i = 0; i < 16; i += 1) await one.admit(GET);
    expect(await revision()).toBe(asked);
  });

  test("gives up its turns in advance when the vendor asks to stop", async () => {
    const limits = account({ calls: 40, perMs: 1_000 });
    const one = open(limits, 0);
    await one.admit(GET);
    await one.onAnswer(GET, answer(429, { "retry-after": "40" }));
    await expect(open(limits, 0).admit(GET)).rejects.toMatchObject({ code: "rate_limited" });
  });

  test("gives up also those whose booking is answered only then", async () => {
    const { database } = processes[0] ?? expect.unreachable();
    let answerIt = (): void => undefined;
    let held: Promise<void> | null = new Promise((resolve) => {
      answerIt = resolve;
    });
    const { db } = database;
    const late: Pick<typeof db, "update"> = {
      update: (table) => {
        const update = db.update(table);
        const { set } = update;
        return Object.assign(update, {
          set: (...values: Parameters<typeof set>) => {
            const query = set.apply(update, values);
            const execute = query.execute.bind(query);
            return Object.assign(query, {
              execute: async (...of: Parameters<typeof execute>) => {
                const [rows, wait] = [await execute(...of), held];
                held = null;
                await wait;
                return rows;
              },
            });
          },
        });
      },
    };
    const allowance = openAllowance(
      new Proxy(db, { get: (of, name) => Reflect.get(name in late ? late : of, name) }),
    );
    const limits = account({ calls: 40, perMs: 1_000 });
    const one = allowance.open(limits, stop.signal);
    const first = one.admit(GET);
    await until(async () => "minute" in (await booked()));
    await one.onAnswer(GET, answer(429, { "retry-after": "40" }));
    answerIt();
    await first;
    await expect(allowance.open(limits, stop.signal).admit(GET)).rejects.toMatchObject({
      code: "rate_limited",
    });
  });

  test("waits without a connection", async () => {
    const limits = account({ calls: 1, perMs: 4_500 });
    const waiting = Array.from({ length: 2 }, () => open(limits).admit(GET));
    for (const each of waiting) each.catch(() => undefined);
    await until(async () => (await booked())["minute"]?.log.length === 2);
    const { pool } = processes[0]?.database ?? {};
    await until(() => pool !== undefined && pool.idleCount === pool.totalCount);
    stop.abort();
    const ends = await Promise.allSettled(waiting);
    expect(ends.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  test("gives a turn up that was slept through", async () => {
    const limits = account({ calls: 1, perMs: 2_000 });
    const work = open(limits);
    await work.admit(GET);
    const waiting = work.admit(GET);
    const turn = async () => (await booked())["minute"]?.log.at(-1)?.[0] ?? 0;
    const first = await turn();
    const missed = await until(async () => ((await turn()) > first ? await turn() : null));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_500); // as a frozen process
    await waiting;
    expect((await turn()) - missed).toBeGreaterThan(1_000);
  });

  test("says when to come back if the turn is far ahead", async () => {
    const limits = account({ calls: 1, perMs: 60_000 });
    await open(limits).admit(GET);
    const error = { code: "rate_limited", retryAfterMs: expect.any(Number) as number };
    const refused = await open(limits, 1)
      .admit(GET)
      .catch((thrown: unknown) => thrown as SyncError);
    expect(refused).toMatchObject(error);
    // What has passed since the first booking is taken off, and so is what it took to connect.
    expect(refused?.retryAfterMs).toBeGreaterThan(40_000);
    expect(refused?.retryAfterMs).toBeLessThanOrEqual(62_000);
  });

  test("waits longer for work that has begun", async () => {
    const limits = account({ calls: 1, perMs: 8_000 });
    const begun = open(limits);
    await begun.admit(GET);
    const waiting = begun.admit(GET);
    await until(async () => ((await booked())["minute"]?.log.length ?? 0) === 2);
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: "unavailable", ambiguous: false });
  });

  test("lets nobody call while the database does not answer", async () => {
    await Promise.all(processes.map(({ database }) => database.close()));
    const error = { code: "unavailable", where: { vendor: "postgres" } };
    await expect(open(account({})).admit(GET)).rejects.toMatchObject(error);
    await expect(open(account()).admit(GET)).rejects.toMatchObject(error);
    processes = [];
  });
});

describe("onAnswer()", () => {
  const slower = answer(429, { "retry-after": "40" });

  test("holds back all processes for as long as the vendor asks", async () => {
    const limits = account({});
    await open(limits, 0).onAnswer(GET, slower);
    for (const process of [0, 1, 4]) {
      await expect(open(limits, process).admit(GET)).rejects.toMatchObject({ code: "rate_limited" });
    }
  });

  test("holds back those who have their turn already", async () => {
    const limits = account({ calls: 1, perMs: 4_500 });
    await open(limits, 0).admit(GET);
    const waiting = open(limits, 0).admit(GET);
    waiting.catch(() => undefined);
    await until(async () => ((await booked())["minute"]?.log.length ?? 0) === 2);
    await open(limits, 1).onAnswer(GET, slower);
    await expect(waiting).rejects.toMatchObject({ code: "rate_limited" });
  });

  test("goes on when the time has passed", async () => {
    const limits = account({});
    const took = await elapsed(async () => {
      await open(limits, 0).onAnswer(GET, answer(429, { "retry-after": "1" }));
      await open(limits, 1).admit(GET);
    });
    expect(took).toBeGreaterThan(900);
  });

  test("stops with the last call that is allowed, before the vendor has to refuse one", async () => {
    const limits = account({});
    const reset = String(Math.ceil(Date.now() / 1000) + 30);
    await open(limits).onAnswer(
      GET,
      answer(200, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset }),
    );
    await expect(open(limits, 1).admit(GET)).rejects.toMatchObject({ code: "rate_limited" });
  });

  test("holds only what shares a limit with the call", async () => {
    const writes = { name: "write", cost: ({ method }: { method: string }) => (method === "PUT" ? 1 : 0) };
    const reads = { name: "read", cost: ({ method }: { method: string }) => (method === "GET" ? 1 : 0) };
    const limits = account(writes, reads);
    await open(limits).onAnswer({ ...GET, method: "PUT" }, slower);
    await open(limits, 1).admit(GET);
    await expect(open(limits, 1).admit({ ...GET, method: "PUT" })).rejects.toThrow();
  });

  test("holds calls that no limit counts, within a second", async () => {
    const unlimited = account();
    await open(unlimited, 1).admit(GET);
    await open(unlimited, 0).onAnswer(GET, slower);
    await until(
      async () =>
        await open(unlimited, 1)
          .admit(GET)
          .then(
            () => false,
            () => true,
          ),
      { timeoutMs: 1_500 },
    );
  });

  test("believes an account that knows better what an answer means", async () => {
    const limits = { ...account({}), throttledMs: () => null };
    await open(limits).onAnswer(GET, slower);
    await open(limits, 1).admit(GET);
  });

  test("takes any other answer for what it is", async () => {
    const limits = account({});
    for (const status of [200, 404, 403, 500, 503]) await open(limits).onAnswer(GET, answer(status));
    expect(await booked()).toEqual({});
  });
});
