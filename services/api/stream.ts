/** Server-sent events: how bindings change their state, as it happens. */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { countAtOnce } from "./at-once.ts";
import { stillEntitled } from "./auth.ts";
import { bindingItem } from "./bindings.ts";
import { operation } from "./operation.ts";
import type { Change, Changes, Principal } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import type { Router } from "./router.ts";

export const streamChanges = operation({
  id: "streamChanges",
  method: "get",
  path: "/v1/stream",
  scope: "read",
  summary: "Server-sent events: each binding whose state changes, as it is then.",
  description:
    "Event `binding`, data as in `Binding`. Each change at least once, the latest state of each; states that pass within a moment may be left out. `Last-Event-ID` goes on where a stream broke off. A comment every 15 seconds keeps the line open. A stream ends after an hour, when its reader does not keep up, and within seconds when its token is revoked, expires or may see something else than before: connect again.",
  query: z.strictObject({}),
  answer: bindingItem,
  media: ["text/event-stream"],
});

export interface StreamLimits {
  readonly heartbeatMs: number;
  /** Of one stream. */
  readonly lifeMs: number;
  /** At once in this process, and of one token. */
  readonly streams: number;
  readonly perToken: number;
  /** Bytes that a reader may be behind. */
  readonly backlog: number;
  /** How often it is asked whether the token is still good for all of it. */
  readonly recheckMs: number;
}

export const STREAM_LIMITS: StreamLimits = {
  heartbeatMs: 15_000,
  lifeMs: 3_600_000,
  streams: 200,
  perToken: 10,
  backlog: 1_000_000,
  recheckMs: 2_000,
};

/** `GET /v1/stream`. */
export function stream(router: Router, changes: Changes, limits: StreamLimits = STREAM_LIMITS): void {
  const enter = countAtOnce({
    perToken: limits.perToken,
    all: limits.streams,
    tooMany: "Too many streams are open.",
    retryAfterSeconds: 10,
  });
  router.on(streamChanges, async ({ caller, c }) => {
    const { principal } = caller;
    const since = readId(c.req.header("last-event-id"));
    const leave = enter(principal);
    const same = async (): Promise<boolean> => {
      const now = await stillEntitled(c, "read").catch(() => null);
      return now !== null && isDeepStrictEqual(now.limits, principal.limits);
    };
    const body = follow(changes, { since, limits, principal, leave, same, signal: c.req.raw.signal });
    return c.body(body, 200, { "content-type": "text/event-stream" });
  });
}

function readId(header: string | undefined): string | null {
  if (header === undefined || header === "") return null;
  if (z.iso.datetime().safeParse(header).success) return header;
  throw new ApiProblem("invalid_request", "Last-Event-ID is none of this stream.");
}

interface Following {
  readonly since: string | null;
  readonly limits: StreamLimits;
  readonly principal: Principal;
  readonly leave: () => void;
  /** The token may still see what it might see at first. */
  readonly same: () => Promise<boolean>;
  readonly signal: AbortSignal;
}

function follow(changes: Changes, { since, limits, principal, leave, same, signal }: Following) {
  const encoder = new TextEncoder();
  let end = (): void => {};
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const send = (text: string): void => {
          const bytes = encoder.encode(text);
          // Whoever does not read is cut off rather than remembered for.
          if ((controller.desiredSize ?? 0) < bytes.byteLength) end();
          else controller.enqueue(bytes);
        };
        const stop = changes.follow({
          since,
          limits: principal.limits,
          began: () => send(": following\nretry: 3000\n\n"),
          take: (change) => send(eventOf(change)),
          ended: () => end(),
        });
        const beat = setInterval(() => send(": still here\n\n"), limits.heartbeatMs);
        const life = setTimeout(() => end(), limits.lifeMs);
        const check = setInterval(() => void same().then((is) => (is ? undefined : end())), limits.recheckMs);
        end = () => {
          end = () => {};
          clearInterval(beat);
          clearTimeout(life);
          clearInterval(check);
          stop();
          leave();
          try {
            controller.close();
          } catch {
            // The reader has gone already.
          }
        };
        signal.addEventListener("abort", () => end(), { once: true });
      },
      cancel: () => end(),
    },
    { highWaterMark: limits.backlog, size: (chunk) => chunk.byteLength },
  );
}

const eventOf = ({ id, binding }: Change): string =>
  `id: ${id}\nevent: binding\ndata: ${JSON.stringify(bindingItem.parse(binding))}\n\n`;
