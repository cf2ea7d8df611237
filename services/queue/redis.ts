/** Whether a Redis or Valkey is fit to hold the queue: new enough, and not one that throws jobs away by itself. */
import { Redis } from "ioredis";
import { SyncError } from "../sync/errors.ts";

/** What a server says of itself. */
export interface RedisServer {
  readonly product: "Redis" | "Valkey";
  readonly version: string;
  /** What it does when its memory is full; null: it does not say. */
  readonly maxmemoryPolicy: string | null;
}

export interface Look {
  /** Null: it could not be asked before `stop`. */
  readonly server: Promise<RedisServer | null>;
  stop(): void;
}

/** Redis 6.2: what BullMQ asks for, and Valkey began above it. */
const OLDEST = [6, 2] as const;
const KEEPS_ALL = "noeviction";

/** Asks once, as soon as it can be reached: for as long as that takes, unless it is stopped. */
export function lookAtRedis(redisUrl: string): Look {
  // The older protocol, which those understand too that are to be refused.
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null, lazyConnect: true, protocol: 2 });
  let stopped: () => void = () => {};
  const stopping = new Promise<null>((resolve) => {
    stopped = () => resolve(null);
  });
  // It is tried again by itself; whoever works with the queue complains for itself.
  redis.on("error", () => undefined);
  const answered = redis.info().then(readInfo, () => null);
  return {
    server: Promise.race([answered, stopping]).finally(() => redis.disconnect()),
    stop: () => stopped(),
  };
}

/**
 * Null: fit. Else a warning in words. Throws `unsafe` where the server is too old, since scripts of the queue would
 * fail in the middle of their work.
 */
export function judgeRedis({ product, version, maxmemoryPolicy }: RedisServer): string | null {
  if (product === "Redis" && isOlder(version)) {
    throw new SyncError(
      "unsafe",
      `the queue needs Redis ${OLDEST.join(".")} or Valkey, and this is Redis ${version}`,
      {
        next: "Use a newer server, or leave REDIS_URL out: the queue is then in PostgreSQL.",
      },
    );
  }
  if (maxmemoryPolicy === null || maxmemoryPolicy === KEEPS_ALL) return null;
  return `${product} evicts keys when its memory is full (maxmemory-policy ${maxmemoryPolicy}): jobs would be lost, each of which costs half a minute; set it to ${KEEPS_ALL}`;
}

function readInfo(text: string): RedisServer {
  const said = new Map(
    text.split(/\r?\n/).flatMap((line) => {
      const at = line.indexOf(":");
      return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1).trim()] as const];
    }),
  );
  // Valkey goes on saying the version of Redis that it is compatible with.
  const valkey = said.get("valkey_version");
  return {
    product: valkey === undefined ? "Redis" : "Valkey",
    version: valkey ?? said.get("redis_version") ?? "of an unknown version",
    maxmemoryPolicy: said.get("maxmemory_policy") ?? null,
  };
}

/** What says no number is not refused: a server that is compatible may call itself as it likes. */
function isOlder(version: string): boolean {
  const [major = Number.NaN, minor = 0] = version.split(".").map(Number);
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
}
