/** A public listener as strangers meet it: the API in its own process, with a heap of a known size, and an eye on both. */
import { execFileSync } from "node:child_process";
import { expect } from "vitest";
import { signDelivery } from "../../infra/sandbox/github.ts";
import { apiOf, openHouse } from "./house.ts";
import { until } from "./until.ts";

/** Those who ask for health wait no longer: most of them, and anybody, on a machine that may itself stand still for seconds. */
const PROMPT_MS = 5_000;
const LONGEST_MS = 20_000;

export const REPOSITORY = { id: 4711, full_name: "acme/shop", name: "shop", owner: { login: "acme" } };

export interface Watched<T> {
  readonly answer: T;
  /** The largest resident memory that was seen. */
  readonly mostMb: number;
  /** How long each question for health took, in milliseconds. */
  readonly health: readonly number[];
}

export type Listener = Awaited<ReturnType<typeof openListener>>;

/**
 * Without a bound of its own a heap grows until the collector finds the time, and what is resident tells of the machine.
 * With `heapMb`, what is kept for good ends the process, and what is resident tells of us.
 */
export async function openListener({ heapMb }: { heapMb: number }) {
  const house = await openHouse({ NODE_OPTIONS: `--max-old-space-size=${heapMb}` });
  const api = house.serve("--api");
  const origin = await apiOf(api);

  const death = api.ended.then(({ code, signal, stderr }): never => {
    throw new Error(`The API ended with ${signal ?? code}:\n${stderr.slice(-2_000)}`);
  });
  death.catch(() => undefined);

  const residentMb = (): number =>
    Number(execFileSync("ps", ["-o", "rss=", "-p", String(api.pid)], { encoding: "utf8" })) / 1024;

  async function healthMs(): Promise<number> {
    const started = performance.now();
    const response = await fetch(`${origin}/healthz`);
    expect(await response.json()).toEqual({ status: "ok" });
    return performance.now() - started;
  }

  /** A text is signed as it is. */
  const delivery = (payload: object | string, event = "push") =>
    signDelivery(
      house.sandbox.credentials.github.webhookSecret,
      event,
      typeof payload === "string" ? payload : { repository: REPOSITORY, ...payload },
    );

  const send = async ({ headers, body }: { headers: object; body: string | Uint8Array<ArrayBuffer> }) =>
    await fetch(`${origin}/webhooks/github`, { method: "POST", headers: { ...headers }, body });

  /** Looks after the memory and after health while `work` goes on. */
  async function watched<T>(work: Promise<T>): Promise<Watched<T>> {
    let done = false;
    let mostMb = 0;
    const health: number[] = [];
    const ended = Promise.race([work, death]).finally(() => {
      done = true;
    });
    ended.catch(() => undefined);
    // Now and then: to look is work for this machine, too.
    const look = async (): Promise<boolean> => {
      if (done) return true;
      mostMb = Math.max(mostMb, residentMb());
      health.push(await healthMs().catch(() => Number.POSITIVE_INFINITY));
      return false;
    };
    await until(look, { timeoutMs: Number.POSITIVE_INFINITY });
    return { answer: await ended, mostMb, health };
  }

  return {
    origin,
    database: house.database,
    atRestMb: residentMb(),
    residentMb,
    healthMs,
    delivery,
    send,
    watched,
    /** After whatever it was, somebody else is served as if nothing had been. */
    async servesOthers(): Promise<void> {
      expectUnmoved([await healthMs()]);
      expect((await send(delivery({ ref: "refs/heads/fine" }))).status).toBe(202);
    },
    async close(): Promise<void> {
      await api.end();
      await house.close();
    },
  };
}

export function expectUnmoved(health: readonly number[]): void {
  const sorted = health.toSorted((a, b) => a - b);
  expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(PROMPT_MS);
  expect(sorted.at(-1)).toBeLessThan(LONGEST_MS);
}
