/** A Redis that keeps nothing on disk: killed, it comes back empty, which must cost time and nothing else. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { Redis } from "ioredis";

export interface QueueServer {
  readonly url: string;
  kill(): Promise<void>;
  start(): Promise<void>;
  freeze(): void;
  thaw(): void;
  flush(): Promise<void>;
  /** All that it holds, as text. */
  contents(): Promise<string>;
  stop(): Promise<void>;
}

/** Null where there is no redis-server to start. */
export function redisVersion(): string | null {
  const { status, stdout } = spawnSync("redis-server", ["--version"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

/** `policy`: what it does when its memory is full. */
export async function startRedis(folder: string, policy = "noeviction"): Promise<QueueServer> {
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}/0`;
  let child: ChildProcess = await launch(port, folder, policy);
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  return {
    url,
    kill,
    async start() {
      if (child.exitCode !== null || child.signalCode !== null) child = await launch(port, folder, policy);
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    flush: async () => await ask(url, async (redis) => void (await redis.flushall())),
    contents: async () => await ask(url, contentsOf),
    stop: kill,
  };
}

async function contentsOf(redis: Redis): Promise<string> {
  const read: Readonly<Record<string, (key: string) => Promise<unknown>>> = {
    string: async (key) => await redis.get(key),
    hash: async (key) => await redis.hgetall(key),
    list: async (key) => await redis.lrange(key, "0", "-1"),
    set: async (key) => await redis.smembers(key),
    zset: async (key) => await redis.zrange(key, "0", "-1"),
    stream: async (key) => await redis.xrange(key, "-", "+"),
  };
  const held: unknown[] = [];
  for (const key of await redis.keys("*")) held.push(key, await read[await redis.type(key)]?.(key));
  return JSON.stringify(held);
}

async function launch(port: number, folder: string, policy: string): Promise<ChildProcess> {
  const settings = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxmemory-policy", policy];
  const child = spawn("redis-server", ["--port", String(port), "--dir", folder, ...settings], {
    stdio: "ignore",
  });
  process.once("exit", () => child.kill("SIGKILL"));
  const url = `redis://127.0.0.1:${port}/0`;
  const deadline = performance.now() + 10_000;
  for (;;) {
    const answers = await ask(url, async (redis) => (await redis.ping()) === "PONG").catch(() => false);
    if (answers) return child;
    if (performance.now() > deadline) throw new Error("redis-server does not answer");
  }
}

async function ask<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 10_000 });
  redis.on("error", () => undefined);
  try {
    await redis.connect();
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
