/** A hundred thousand events for one branch: on disk, every one of them; one thing to do; and nothing of them stays in memory. */
import pg from "pg";
import { Pool } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectUnmoved, type Listener, openListener } from "../support/listener.ts";
import { endAll } from "../support/process.ts";

const EVENTS = 100_000;
/** Whoever keeps a kilobyte of each event does not fit in here. */
const HEAP_MB = 128;
/** Beyond what it has at rest. */
const MORE_MB = 150;

let listener: Listener;

beforeAll(async () => {
  listener = await openListener({ heapMb: HEAP_MB });
});

afterAll(async () => {
  await listener.close();
  endAll();
});

test("a hundred thousand events for one branch are all on disk, are one thing to do, and cost bounded memory", {
  timeout: 840_000,
}, async () => {
  const before = await counted();
  const pool = new Pool(listener.origin, { connections: 32 });
  let left = EVENTS;
  let refused = 0;
  const post = async (one: ReturnType<Listener["delivery"]>): Promise<number> => {
    const { statusCode, body } = await pool.request({ path: "/webhooks/github", method: "POST", ...one });
    await body.dump();
    return statusCode;
  };
  const sender = async (): Promise<void> => {
    while (left-- > 0) {
      const one = listener.delivery({ ref: "refs/heads/busy" });
      // A connection that lay idle while we stood still is closed under us: the same is sent again, as GitHub would.
      if ((await post(one).catch(() => post(one))) !== 202) refused += 1;
    }
  };
  const { mostMb, health } = await listener.watched(Promise.all(Array.from({ length: 32 }, sender)));
  await pool.close();
  expect(refused).toBe(0);
  expect((await counted()).events - before.events).toBe(EVENTS);
  expect((await counted()).due).toBe(1);
  expect(mostMb).toBeLessThan(listener.atRestMb + MORE_MB);
  expectUnmoved(health);
  await listener.servesOthers();
});

async function counted(): Promise<{ events: number; due: number }> {
  const client = new pg.Client({ connectionString: listener.database.url });
  await client.connect();
  try {
    const { rows } = await client.query<{ events: number; due: number }>(
      `select (select count(*)::int from branchline.event) as events,
        (select count(*)::int from branchline.source where due_at is not null) as due`,
    );
    return rows[0] ?? { events: 0, due: 0 };
  } finally {
    await client.end();
  }
}
