/** What lasts takes a connection and asks the database all the while, so a token may have only so many of it at once. */
import type { Principal } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

export interface AtOnce {
  readonly perToken: number;
  /** Of all tokens together, in this process. */
  readonly all: number;
  /** For whoever wants one more: what is too much, and what to do. */
  readonly tooMany: string;
  readonly retryAfterSeconds: number;
}

/** Counts one more of a token, until the answer is called. Throws `too_many_requests`. */
export type Enter = (principal: Pick<Principal, "id">) => () => void;

export function countAtOnce({ perToken, all, tooMany, retryAfterSeconds }: AtOnce): Enter {
  const open = new Map<string, number>();
  return ({ id }) => {
    const together = [...open.values()].reduce((sum, one) => sum + one, 0);
    const mine = open.get(id) ?? 0;
    if (mine >= perToken || together >= all) {
      throw new ApiProblem("too_many_requests", tooMany, {
        headers: { "retry-after": String(retryAfterSeconds) },
      });
    }
    open.set(id, mine + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const now = (open.get(id) ?? 1) - 1;
      if (now === 0) open.delete(id);
      else open.set(id, now);
    };
  };
}
