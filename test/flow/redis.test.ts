/** `REDIS_URL`: the queue in Redis. Its data are worth nothing but time, so all of them may go at any moment. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import { type QueueServer, redisVersion, startRedis } from "../chaos/redis.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";
import { until } from "../support/until.ts";

const version = redisVersion();
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

  afterEach(async () => {
    await app.stop();
  });

  const start = async (): Promise<void> => {
    project = new MemoryProject("p1");
    const destinations = {
      memory: {},
      atomic: { grain: "atomic" },
      blind: { values: "write-only" },
    } as const;
    const rules = Object.keys(destinations).map((destination) => ruleOf({ name: destination, destination }));
    app = await startApp({ projects: [project], destinations, rules, redisUrl: redis.url });
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
      const result = await app.database.db.execute(
        sql`update ${sql.raw(`branchline.${table}`)} set queued_until = now() - interval '1 s'
            where queued_until > now() and lease_until is null`,
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
    await until(
      async () => {
        await redis.flush();
        lost += await halfAMinuteLater();
        return lost > 0 ? true : await done();
      },
      { what: "a job to be lost" },
    );
    expect(lost).toBeGreaterThan(0);
    await until(
      async () => {
        await halfAMinuteLater();
        return await done();
      },
      { timeoutMs: 20_000, what: "everything to arrive all the same" },
    );
    for (const [name, id] of ids) await arrived(name, id);
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
});
