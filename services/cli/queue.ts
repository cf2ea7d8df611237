/** The queue's own server, where there is one: looked at before anybody relies on it. */
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "../log.ts";
import { judgeRedis, lookAtRedis, type RedisServer } from "../queue/redis.ts";

/** A server that does not answer within this time is judged when it does; the work goes on from there. */
const PATIENCE_MS = 2_000;

/**
 * Warns of a server that may lose jobs, and throws `unsafe` if it is too old. One that does not answer keeps nobody
 * from starting: what is to be done waits in the database. The answer ends the look.
 */
export async function checkQueue(
  redisUrl: string | null,
  log: Logger,
  patienceMs = PATIENCE_MS,
): Promise<() => void> {
  if (redisUrl === null) return () => {};
  const look = lookAtRedis(redisUrl);
  const first = await Promise.race([look.server, pause(patienceMs, "silence" as const, { ref: false })]);
  if (first !== "silence") {
    judge(first, log);
    return look.stop;
  }
  log.warn("the queue's Redis does not answer: work waits in the database until it does");
  void look.server.then((server) => {
    try {
      judge(server, log);
    } catch (err) {
      log.error({ err }, "the queue's Redis is not fit for it");
    }
  });
  return look.stop;
}

function judge(server: RedisServer | null, log: Logger): void {
  const warning = server === null ? null : judgeRedis(server);
  if (warning !== null) log.warn({ queue: warning }, "the queue's Redis may lose jobs");
}
