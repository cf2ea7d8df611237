/** Reads request bodies without trusting the sender: bounded in size, in time, and in memory all together. */
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
      return await use(await collect(chunksOf(c), limits.timeoutMs, grow));
    } finally {
      held -= mine;
    }
  };
}

/**
 * Straight from the socket where there is one: a web stream in between would go on filling itself after
 * we stopped. Neither stream is destroyed on the way out, for the socket still has to carry our answer.
 */
function chunksOf(c: Context<ApiEnv>): AsyncIterator<Uint8Array> {
  const { incoming } = (c.env as ApiEnv["Bindings"] | undefined) ?? {};
  if (incoming !== undefined && "iterator" in incoming) return incoming.iterator({ destroyOnReturn: false });
  const body = c.req.raw.body ?? new Blob([]).stream();
  return body.values({ preventCancel: true });
}

async function collect(
  chunks: AsyncIterator<Uint8Array>,
  timeoutMs: number,
  grow: (total: number) => void,
): Promise<Uint8Array> {
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
    // Lets go of the stream, whose rest the server throws away for a moment before it hangs up: closing at
    // once would reset the connection under our answer. Not awaited: a read may still be pending.
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
    timer = setTimeout(
      () => reject(new ApiProblem("body_too_slow", `The body must arrive within ${ms / 1_000} seconds.`)),
      ms,
    );
  });
  return { passed, clear: () => clearTimeout(timer) };
}

function tooLarge(bytes: number): ApiProblem {
  return new ApiProblem("body_too_large", `At most ${bytes} bytes are read.`);
}

function crowded(): ApiProblem {
  return new ApiProblem("unavailable", "Too many large bodies at once.", { headers: { "retry-after": "5" } });
}
