import { z } from "zod";
import { listOperation, serveList } from "./lists.ts";
import { operation, time, word } from "./operation.ts";
import type { Reader, Redeliver } from "./ports.ts";
import type { Router } from "./router.ts";
import { versionOf } from "./version.ts";

export const EVENT_OUTCOMES = ["pending", "processed", "ignored"] as const;

export const eventItem = z
  .object({
    id: z.string().meta({ description: "Rises with time." }),
    origin: z.string().meta({ description: "github, neon, watch, sweep, push, manual." }),
    kind: z.string().meta({ description: "What happened in the origin's word: push, branch.created." }),
    source: z
      .string()
      .nullable()
      .meta({ description: "Name of the source; null: none is configured for it." }),
    branch: z.string().nullable().meta({ description: "Name of the branch; null: all of them, or none." }),
    receivedAt: time,
    outcome: z.enum(EVENT_OUTCOMES).meta({ description: "What became of it." }),
    reason: z.string().nullable().meta({ description: "Why it was ignored, or what came of it, in words." }),
    processedAt: time
      .nullable()
      .meta({ description: "When it had been looked into; null: not yet, or never." }),
    pushes: z.array(z.uuid()).readonly().meta({
      description: "The newest pushes that it led to, at most 20; all of them: `/v1/pushes?event=`.",
    }),
  })
  .meta({ id: "Event", description: "A hint that something may have changed, with what became of it." });
export type EventItem = z.output<typeof eventItem>;
export const eventVersion = versionOf(eventItem, "pushes");

const filters = {
  origin: word.optional(),
  source: word.optional().meta({ description: "Name of a source." }),
  branch: word.optional().meta({ description: "Id or exact name of a branch." }),
  state: z.enum(EVENT_OUTCOMES).optional().meta({ description: "What became of it." }),
  push: z
    .uuid()
    .optional()
    .meta({ description: "Only those that led to this push; there may be thousands." }),
};
export type EventFilter = z.output<z.ZodObject<typeof filters>>;

/** Within what a JavaScript number holds exactly. */
export const eventId = z.string().regex(/^\d{1,15}$/);
const byNumber = z.strictObject({ id: eventId });

export const listEvents = listOperation({
  id: "listEvents",
  path: "/v1/events",
  summary: "List the events, the newest first.",
  item: eventItem,
  filters,
});

export const getEvent = operation({
  id: "getEvent",
  method: "get",
  path: "/v1/events/{id}",
  scope: "read",
  summary: "One event.",
  noun: "event",
  params: byNumber,
  answer: eventItem,
  version: eventVersion,
});

export const redeliverEvent = operation({
  id: "redeliverEvent",
  method: "post",
  path: "/v1/events/{id}/redeliver",
  scope: "write",
  summary: "Look again at what an event points at, as if it had just come.",
  description: "One that was ignored is taken in if a source is configured for it by now.",
  noun: "event",
  params: byNumber,
  answer: eventItem,
  problems: ["precondition_failed", "conflict"],
  version: eventVersion,
});

/** `GET /v1/events` (newest first), `GET /v1/events/:id`, `POST /v1/events/:id/redeliver`. */
export function events(router: Router, reader: Reader<EventItem, EventFilter>, redeliver: Redeliver): void {
  serveList(router, listEvents, reader);
  router.on(getEvent, async ({ params, caller }) => await reader.get(params.id, caller.principal.limits));
  router.on(redeliverEvent, async ({ params, caller }) => await redeliver(params.id, caller));
}
