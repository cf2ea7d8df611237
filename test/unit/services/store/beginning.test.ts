/** Work that begins together: one packet, and nobody waits for another's row. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Begin, openBeginnings } from "../../../../services/store/beginning.ts";
import { type Database, openDatabase } from "../../../../services/store/db.ts";
import { ensureInstallation } from "../../../../services/store/installation.ts";
import { type Lease, releaseLease, takeLeases } from "../../../../services/store/lease.ts";
import { createDatabase, type TestDatabase } from "../../../support/postgres.ts";

const TIMES = { leaseMs: 30_000, settleMs: 15_000 };
let created: TestDatabase;
let database: Database;
let begin: Begin;
let places: string[];

beforeAll(async () => {
  created = await createDatabase({ migrated: true });
  database = openDatabase({ url: created.url, max: 8 });
  begin = openBeginnings(database, TIMES);
  await ensureInstallation(database.db, { sealedKey: "sealed" });
  await database.db.execute(sql`
    insert into branchline.destination (name, kind, block, in_flight) values ('memory', 'memory', '{}', 4)`);
});

beforeEach(async () => {
  const { rows } = await database.db.execute<{ id: string }>(sql`
    insert into branchline.place (destination_id, key, container, target, due_at)
    select d.id, gen_random_uuid()::text, 'c', '{}', now()
    from generate_series(1, 4) n, branchline.destination d returning id`);
  places = rows.map(({ id }) => id);
});

afterAll(async () => {
  await database.close();
  await created.drop();
});

const take = async (kind: "place", id: string): Promise<Lease | null> =>
  (await begin(kind, id))?.lease ?? null;

const place = (n: number): string => places[n] ?? fail();

describe("leases that are asked for together", () => {
  test("are each of its own row, at the same moment", async () => {
    const leases = await Promise.all(places.map(async (id) => await take("place", id)));
    expect(leases.map((lease) => lease?.id)).toEqual(places);
    expect(new Set(leases.map((lease) => lease?.now.getTime())).size).toBe(1);
    for (const lease of leases) expect(lease).toMatchObject({ epoch: 1, deaths: 0 });
  });

  test("of one row are one lease", async () => {
    const leases = await Promise.all([1, 2, 3].map(async () => await take("place", place(0))));
    expect(leases.filter((lease) => lease !== null)).toHaveLength(1);
  });

  test("are not taken of what is not due, what somebody has, or what is not there", async () => {
    const held = (await takeLeases(database.db, "place", [place(0)], TIMES)).get(place(0));
    await database.db.execute(sql`update branchline.place set due_at = null where id = ${place(1)}`);
    const asked = [place(0), place(1), "00000000-0000-4000-8000-000000000000", place(2)];
    const leases = await Promise.all(asked.map(async (id) => await take("place", id)));
    expect(leases.map((lease) => lease?.id ?? null)).toEqual([null, null, null, place(2)]);
    expect(await releaseLease(database.db, held ?? fail(), DONE)).toBe(true);
  });

  test("do not wait for a row that somebody just touches, and that one is waited for", async () => {
    const order: string[] = [];
    const ask = async (n: number): Promise<void> => {
      const lease = await take("place", place(n));
      order.push(lease === null ? "none" : `place ${n}`);
    };
    let asked: Promise<unknown> = Promise.resolve();
    await database.db.transaction(async (tx) => {
      await tx.execute(sql`update branchline.place set revision = revision + 1 where id = ${place(0)}`);
      const others = [1, 2, 3].map(ask);
      asked = Promise.all([ask(0), ...others]);
      await Promise.all(others);
      order.push("the touch ends");
    });
    await asked;
    expect(order.slice(0, 3).toSorted()).toEqual(["place 1", "place 2", "place 3"]);
    expect(order.slice(3)).toEqual(["the touch ends", "place 0"]);
  });
});

describe("work that begins", () => {
  test("knows what was there when its lease was taken, each of its own row", async () => {
    await database.db.execute(
      sql`update branchline.place set key = id::text where id = any(${sql.param(places)}::uuid[])`,
    );
    const begun = await Promise.all(places.map(async (id) => await begin("place", id)));
    const loaded = await Promise.all(begun.map(async (one) => await one?.load()));
    expect(loaded.map((one) => one?.place.key)).toEqual(places);
    expect(loaded.map((one) => one?.place.epoch)).toEqual(begun.map((one) => one?.lease.epoch));
  });

  test("after a holder who never said that he was done knows that his writes may still arrive", async () => {
    const first = (await begin("place", place(0))) ?? fail();
    expect((await first.load())?.place.settleAt).toBeNull();
    await database.db.execute(
      sql`update branchline.place set lease_until = now() - interval '1 s' where id = ${place(0)}`,
    );
    const { lease, load } = (await begin("place", place(0))) ?? fail();
    const settleAt = (await load())?.place.settleAt;
    expect(settleAt?.getTime()).toBe(lease.now.getTime() + TIMES.settleMs);
    await releaseLease(database.db, lease, DONE);
    await database.db.execute(sql`update branchline.place set due_at = now() where id = ${place(0)}`);
    const after = await begin("place", place(0));
    expect((await after?.load())?.place.settleAt).toEqual(settleAt);
  });

  test("holds its lease and loads for itself if the others' loading fails: nobody else could before it lapses", async () => {
    let cut = true;
    const flaky: Pick<Database, "together"> = {
      together: async (body) =>
        await database.together(async (db) => {
          const broken = new Proxy(db, {
            get: (of, name) => (name === "select" && cut ? fail() : Reflect.get(of, name)),
          });
          return await body(broken);
        }),
    };
    const beginning = openBeginnings(flaky, TIMES);
    const [begun] = await Promise.all([0, 1].map(async (n) => await beginning("place", place(n))));
    expect(begun?.lease).toMatchObject({ id: place(0), epoch: 1 });
    await expect(begun?.load()).rejects.toThrow("it was to be there");
    cut = false;
    expect(await begun?.load()).toMatchObject({ place: { id: place(0), epoch: 1 } });

    const never: Pick<Database, "together"> = {
      together: async () => await Promise.reject(new Error("no database")),
    };
    await expect(openBeginnings(never, TIMES)("place", place(2))).rejects.toThrow("no database");
  });

  test("with what is gone does not begin", async () => {
    for (const kind of ["source", "branch", "place"] as const)
      expect(await begin(kind, "00000000-0000-4000-8000-000000000000")).toBeNull();
  });
});

const DONE = { dueInMs: null, attempts: 0, reason: null };

function fail(): never {
  throw new Error("it was to be there");
}
