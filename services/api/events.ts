import type { Hono } from "hono";
import { z } from "zod";
import { listing, word } from "./lists.ts";
import type { ApiEnv, Reader } from "./ports.ts";

export const EVENT_OUTCOMES = ["pending", "processed", "ignored"] as const;

export const eventItem = z.object({
  /** Rises with time. */
  id: z.string(),
  /** github, neon, watch, sweep, manual. */
  origin: z.string(),
  /** What happened in the origin's word: push, branch.created. */
  kind: z.string(),
  /** Name of the source it points at; null if none is configured for it. */
  source: z.string().nullable(),
  /** Name of the branch it points at; null if it points at all of them or at none. */
  branch: z.string().nullable(),
  receivedAt: z.iso.datetime(),
  outcome: z.enum(EVENT_OUTCOMES),
  reason: z.string().nullable(),
});
export type EventItem = z.output<typeof eventItem>;

export const eventFilters = z
  .strictObject({
    origin: word,
    /** Name of a source. */
    source: word,
    /** Id or exact name of a branch. */
    branch: word,
    /** What became of it. */
    state: z.enum(EVENT_OUTCOMES),
  })
  .partial();
export type EventFilter = z.output<typeof eventFilters>;

/** `GET /v1/events` (newest first), `GET /v1/events/:id`. */
export function events(reader: Reader<EventItem, EventFilter>): Hono<ApiEnv> {
  // Within what a JavaScript number holds exactly.
  const id = z.string().regex(/^\d{1,15}$/);
  return listing({ noun: "event", item: eventItem, id, filters: eventFilters }, reader);
}
