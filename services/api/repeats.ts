/** `Idempotency-Key`: a request that comes again is answered as the first time, and not done again. */
import type { Repeats } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

export interface Repeat {
  /** Whose key it is: two tokens may use the same word. */
  readonly owner: string;
  readonly key: string;
  /** Over method, address and body. */
  readonly request: string;
  /** The answer holds a secret and is not kept. */
  readonly secret: boolean;
}

/**
 * Only good answers are kept, for a day: what was refused has changed nothing, and may go well the next time. A
 * process that dies in between leaves the key taken for a minute; then the request is done anew, which every
 * command of ours bears.
 */
export async function repeatable(
  repeats: Repeats,
  { owner, key, request, secret }: Repeat,
  answer: () => Promise<Response>,
): Promise<Response> {
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new ApiProblem("invalid_request", "Idempotency-Key has 1 to 255 visible characters of ASCII.", {
      members: {
        parameters: [
          { parameter: "Idempotency-Key", problem: "is not possible", pointer: "/header/Idempotency-Key" },
        ],
      },
    });
  }
  const before = await repeats.begin(owner, key, request);
  switch (before.kind) {
    case "other":
      throw new ApiProblem("key_reused", "This Idempotency-Key came with another request before.");
    case "under-way":
      throw new ApiProblem("repeat_under_way", "The first request with this key has not ended yet.", {
        headers: { "retry-after": "1" },
      });
    case "not-kept":
      throw new ApiProblem("repeat_not_kept", "This was done; its answer held a secret and was shown once.");
    case "done":
      return new Response(before.body, {
        status: before.status,
        headers: { "content-type": "application/json", "idempotency-replayed": "true" },
      });
    case "new":
      break;
  }
  try {
    const response = await answer();
    const kept = secret ? null : { status: response.status, body: await response.clone().text() };
    await repeats.end(owner, key, kept);
    return response;
  } catch (error) {
    await repeats.forget(owner, key);
    throw error;
  }
}
