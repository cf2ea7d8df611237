/** `REDIS_URL`: the queue in Redis. Its data are worth nothing but time, so all of them may go at any moment. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { checkQueue } from "../../services/cli/queue.ts";
import { startService } from "../../services/cli/service.ts";
import { createLogger, type Logger } from "../../services/log.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { withoutDeadlock } from "../../services/store/db.ts";
import { type QueueServer, redisVersion, startRedis } from "../chaos/redis.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";
import { createDatabase } from "../support/postgres.ts";
import { infoServer } from "../support/redis-info.ts";
import { until } from "../support/until.ts";

const version = redisVersion();
/** A machine that stands still for a moment is no server that says nothing. */
const PATIENT_MS = 20_000;
/** What SIGTERM leaves to a process. */
const STOP_MS = 20_000;

function logger(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  return {
    log: createLogger({ level: "debug", destination: { write: (line) => void lines.push(line) } }),
    lines,
  };
}

test("a Redis older than 6.2 is refused at start, with what to do", async () => {
  const server = infoServer({ redis_version: "6.0.16", maxmemory_policy: "noeviction" });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const created = await createDatabase({ migrated: true });
  const starting = startService({
    databaseUrl: created.url,
    redisUrl: `redis://127.0.0.1:${(server.address() as AddressInfo).port}/0`,
    masterKey: randomBytes(32),
    adminToken: null,
    configuration: null,
    roles: { api: true, worker: true },
    host: "127.0.0.1",
    port: 0,
    webhookPort: null,
    queuePatienceMs: PATIENT_MS,
    log: logger().log,
  });
  await expect(starting).rejects.toMatchObject({
    code: "unsafe",
    message: expect.stringContaining("6.0.16"),
    next: expect.stringContaining("REDIS_URL"),
  });
  server.close();
  await created.drop();
});

const skipped = version === null ? " (skipped: there is no redis-server on the PATH)" : "";

describe.skipIf(version === null)(`the queue in Redis${skipped}`, () => {
  let folder: string;
  let redis: QueueServer;
  let project: MemoryProject;
  let app: TestApp;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "branchline-redis-"));
    redis = await startRedis(folder);
  });

  afterAll(async () => {
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  let running = false;
  const stop = async (): Promise<void> => {
    if (running) await app.stop();
    running = false;
  };
  afterEach(stop);

  const start = async (): Promise<void> => {
    project = new MemoryProject("p1");
    const destinations = {
      memory: {},
      atomic: { grain: "atomic" },
      blind: { values: "write-only" },
    } as const;
    const rules = Object.keys(destinations).map((destination) => ruleOf({ name: destination, destination }));
    app = await startApp({ projects: [project], destinations, rules, redisUrl: redis.url });
    running = true;
  };

  const held = (destination: string, target: string | null): string =>
    app.store(destination).values(target ?? "")["DATABASE_URL"] ?? "";

  const arrived = async (branch: string, id: string): Promise<void> => {
    const password = `:${project.passwordOf(id, "app_owner")}@`;
    const synced = await app.settled(branch);
    expect(synced).toHaveLength(3);
    for (const { destination, target } of synced) {
      await until(() => held(destination, target).includes(password), {
        what: `${branch} at ${destination}`,
      });
    }
  };

  /** Takes for lost what waits in the queue, as half a minute of waiting would. */
  const halfAMinuteLater = async (): Promise<number> => {
    let lost = 0;
    for (const table of ["source", "branch", "place"]) {
      // The workers are at these rows too, in their own order.
      const result = await withoutDeadlock(
        async () =>
          await app.database.db.execute(
            sql`update ${sql.raw(`branchline.${table}`)} set queued_until = now() - interval '1 s'
            where queued_until > now() and lease_until is null`,
          ),
      );
      lost += result.rowCount ?? 0;
    }
    return lost;
  };

  test("a branch that appears, rotates and goes is followed at every destination", async () => {
    await start();
    const id = project.addBranch("preview/x");
    await arrived("preview/x", id);
    project.rotate(id, "app_owner");
    await arrived("preview/x", id);
    // Ids pass through the queue, and nothing that is secret.
    const queued = await redis.contents();
    expect(queued).toMatch(/branchline/);
    expect(queued).not.toContain(project.passwordOf(id, "app_owner"));
    project.removeBranch(id);
    for (const { destination, target } of await app.settled("preview/x", ["removed"])) {
      expect(app.store(destination).values(target ?? "")).toEqual({});
    }
  });

  test("FLUSHALL in the middle loses nothing but time", async () => {
    await start();
    const names = Array.from({ length: 12 }, (_, n) => `preview/b${n}`);
    const ids = new Map(names.map((name) => [name, project.addBranch(name)]));
    let lost = 0;
    const done = async (): Promise<boolean> => {
      const mine = await app.bindings();
      return mine.length === 3 * names.length && mine.every((binding) => binding.state === "synced");
    };
    const present = async (): Promise<boolean> =>
      (await app.bindings()).every(({ destination, target, branch }) => {
        const password = project.passwordOf(ids.get(branch.name) ?? "", "app_owner");
        return held(destination, target).includes(`:${password}@`);
      });
    await until(
      async () => {
        await redis.flush();
        lost += await halfAMinuteLater();
        // It was quicker than we: there is to be more to lose.
        if (await done()) for (const id of ids.values()) project.rotate(id, "app_owner");
        return lost > 0;
      },
      { what: "a job to be lost" },
    );
    await until(
      async () => {
        await halfAMinuteLater();
        return (await done()) && (await present());
      },
      { timeoutMs: 20_000, what: "everything to arrive all the same" },
    );
  });

  test("a server that is killed comes back empty, and the work goes on", async () => {
    await start();
    const before = project.addBranch("preview/before");
    await arrived("preview/before", before);
    await redis.kill();
    const meanwhile = project.addBranch("preview/meanwhile");
    project.rotate(before, "app_owner");
    await redis.start();
    await until(
      async () => {
        await halfAMinuteLater();
        const mine = (await app.bindings()).filter((binding) => binding.state === "synced");
        return mine.length === 6;
      },
      { timeoutMs: 20_000, what: "both branches to arrive" },
    );
    await arrived("preview/before", before);
    await arrived("preview/meanwhile", meanwhile);
  });

  test("a server that is killed in the middle of the work loses nothing but time", async () => {
    await start();
    const names = Array.from({ length: 12 }, (_, n) => `preview/k${n}`);
    const ids = new Map(names.map((name) => [name, project.addBranch(name)]));
    const synced = async (): Promise<number> =>
      (await app.bindings()).filter((binding) => binding.state === "synced").length;
    for (let kills = 1; kills <= 3; kills += 1) {
      await until(async () => (await synced()) >= 6 * kills, { what: "some of it to be done" });
      await redis.kill();
      for (const id of ids.values()) project.rotate(id, "app_owner");
      await redis.start();
      await halfAMinuteLater();
    }
    await until(
      async () => {
        await halfAMinuteLater();
        return (await synced()) === 3 * names.length;
      },
      { what: "everything to arrive all the same" },
    );
    for (const [name, id] of ids) await arrived(name, id);
  });

  test("a process ends in time though its Redis is gone", { timeout: 2 * STOP_MS }, async () => {
    await start();
    await arrived("preview/x", project.addBranch("preview/x"));
    await redis.kill();
    project.addBranch("preview/y");
    await until(() => app.log.some((line) => line.includes("queue or database unavailable")));
    const began = performance.now();
    await stop();
    expect(performance.now() - began).toBeLessThan(STOP_MS);
    await redis.start();
  });

  test("one that evicts is warned of at start, and one that keeps all is not", async () => {
    const evicting = await startRedis(folder, "allkeys-lru");
    const { log, lines } = logger();
    (await checkQueue(redis.url, log, PATIENT_MS))();
    expect(lines).toEqual([]);
    (await checkQueue(evicting.url, log, PATIENT_MS))();
    await evicting.stop();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/"level":"warn".*maxmemory-policy allkeys-lru/);
  });

  test("one that does not answer yet is waited for, and judged when it does", async () => {
    const late = await startRedis(folder, "volatile-ttl");
    await late.kill();
    const { log, lines } = logger();
    const stopLooking = await checkQueue(late.url, log, 50);
    expect(lines[0]).toContain("does not answer");
    await late.start();
    await until(() => lines.some((line) => line.includes("maxmemory-policy volatile-ttl")));
    stopLooking();
    await late.stop();
  });
});
