/** Reads request bodies without trusting the sender: bounded in size, in time, and in memory all together. */
import type { Readable } from "node:stream";
import type { Context } from "hono";
import type { ApiEnv } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

export interface BodyLimits {
  readonly bytes: number;
  /** For the whole body, from the call on. */
  readonly timeoutMs: number;
}

export type WithBody = <Answer>(
  c: Context<ApiEnv>,
  limits: BodyLimits,
  use: (body: Uint8Array) => Promise<Answer>,
) => Promise<Answer>;

/** Larger bodies share what follows. Smaller ones are bounded by the number of connections. */
const SMALL_BYTES = 64 * 1024;

/** All bodies beyond the small ones that are held at once. */
const HELD_BYTES = 64 * 1024 * 1024;

/**
 * Bodies are counted against one allowance from the first byte until `use` is done. Throws an ApiProblem:
 * too large (as soon as that is known), too slow, broken off, or no allowance left.
 */
export function createBodyReader(heldBytes = HELD_BYTES): WithBody {
  let held = 0;
  return async (c, limits, use) => {
    let mine = 0;
    const grow = (total: number) => {
      if (total > limits.bytes) throw tooLarge(limits.bytes);
      const wanted = Math.max(0, total - SMALL_BYTES);
      if (held + wanted - mine > heldBytes) throw crowded();
      held += wanted - mine;
      mine = wanted;
    };
    try {
      if (Number(c.req.header("content-length") ?? 0) > limits.bytes) throw tooLarge(limits.bytes);
      const { incoming } = (c.env as ApiEnv["Bindings"] | undefined) ?? {};
      const body =
        incoming !== undefined && "resume" in incoming
          ? await fromSocket(incoming, limits.timeoutMs, grow)
          : await fromStream(c.req.raw.body ?? new Blob([]).stream(), limits.timeoutMs, grow);
      return await use(body);
    } finally {
      held -= mine;
    }
  };
}

type Grow = (total: number) => void;

/**
 * Straight from the socket: a web stream in between would go on filling itself after we stopped, and costs more than the
 * rest of a small request. It is not destroyed on the way out, for the socket still has to carry our answer; the server
 * throws the rest away for a moment before it hangs up.
 */
async function fromSocket(incoming: Readable, timeoutMs: number, grow: Grow): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let total = 0;
  return await new Promise<Uint8Array>((resolve, reject) => {
    const settle = (error: unknown): void => {
      clearTimeout(timer);
      incoming.off("data", take).off("end", end).off("error", broken).off("close", broken);
      if (error === null) resolve(Buffer.concat(parts, total));
      else {
        incoming.pause();
        reject(error);
      }
    };
    const take = (chunk: Uint8Array): void => {
      total += chunk.byteLength;
      parts.push(chunk);
      try {
        grow(total);
      } catch (problem) {
        settle(problem);
      }
    };
    const end = (): void => settle(null);
    const broken = (): void => settle(new ApiProblem("malformed", "The body broke off."));
    const timer = setTimeout(() => settle(tooSlow(timeoutMs)), timeoutMs);
    incoming.on("data", take).on("end", end).on("error", broken).on("close", broken);
    if (incoming.readableEnded) end();
    else if (incoming.destroyed) broken();
  });
}

async function fromStream(
  stream: ReadableStream<Uint8Array>,
  timeoutMs: number,
  grow: Grow,
): Promise<Uint8Array> {
  const chunks = stream.values({ preventCancel: true });
  const parts: Uint8Array[] = [];
  let total = 0;
  const late = deadline(timeoutMs);
  try {
    for (;;) {
      const { done, value } = await Promise.race([next(chunks), late.passed]);
      if (done === true) return Buffer.concat(parts, total);
      total += value.byteLength;
      grow(total);
      parts.push(value);
    }
  } finally {
    late.clear();
    // Not awaited: a read may still be pending.
    chunks.return?.().catch(() => {});
  }
}

async function next(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
  try {
    return await chunks.next();
  } catch {
    throw new ApiProblem("malformed", "The body broke off.");
  }
}

function deadline(ms: number): { passed: Promise<never>; clear: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow(ms)), ms);
  });
  return { passed, clear: () => clearTimeout(timer) };
}

function tooSlow(ms: number): ApiProblem {
  return new ApiProblem("body_too_slow", `The body must arrive within ${ms / 1_000} seconds.`);
}

function tooLarge(bytes: number): ApiProblem {
  return new ApiProblem("body_too_large", `At most ${bytes} bytes are read.`);
}

function crowded(): ApiProblem {
  return new ApiProblem("unavailable", "Too many large bodies at once.", { headers: { "retry-after": "5" } });
}
