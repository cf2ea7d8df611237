import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { judgeRedis, lookAtRedis } from "../../../../services/queue/redis.ts";
import { infoServer } from "../../../support/redis-info.ts";

const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

async function listening(server: Server): Promise<string> {
  open.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}/0`;
}

describe("lookAtRedis()", () => {
  test("reads what a Redis says of itself", async () => {
    const url = await listening(infoServer({ redis_version: "7.0.15", maxmemory_policy: "allkeys-lru" }));
    const { server } = lookAtRedis(url);
    expect(await server).toEqual({ product: "Redis", version: "7.0.15", maxmemoryPolicy: "allkeys-lru" });
  });

  test("knows a Valkey by its own version, and a server that keeps things to itself", async () => {
    const valkey = await listening(infoServer({ redis_version: "7.2.4", valkey_version: "8.1.0" }));
    expect(await lookAtRedis(valkey).server).toEqual({
      product: "Valkey",
      version: "8.1.0",
      maxmemoryPolicy: null,
    });
  });

  test("waits for a server that is not there yet, until it is told to stop", async () => {
    const server = createServer();
    const url = await listening(server);
    server.close();
    await once(server, "close");
    const look = lookAtRedis(url);
    look.stop();
    expect(await look.server).toBeNull();
  });
});

describe("judgeRedis()", () => {
  const fit = { product: "Redis", version: "7.0.15", maxmemoryPolicy: "noeviction" } as const;

  test("has nothing to say of one that is fit", () => {
    expect(judgeRedis(fit)).toBeNull();
    expect(judgeRedis({ ...fit, version: "6.2.0" })).toBeNull();
    expect(judgeRedis({ ...fit, product: "Valkey", version: "7.2.5" })).toBeNull();
    expect(judgeRedis({ ...fit, version: "of an unknown version", maxmemoryPolicy: null })).toBeNull();
  });

  test("warns of one that evicts, with what to set", () => {
    const warning = judgeRedis({ ...fit, maxmemoryPolicy: "volatile-lru" });
    expect(warning).toContain("maxmemory-policy volatile-lru");
    expect(warning).toContain("noeviction");
  });

  test.each(["6.0.16", "5.0.14", "3.2.1"])("refuses Redis %s, and says what to do", (version) => {
    expect(() => judgeRedis({ ...fit, version })).toThrow(
      expect.objectContaining({ code: "unsafe", next: expect.stringContaining("REDIS_URL") }),
    );
  });
});
