import { z } from "zod";
import { CODES } from "../sync/errors.ts";
import { eventId } from "./events.ts";
import { listOperation, serveList } from "./lists.ts";
import { byId, operation, time, word } from "./operation.ts";
import type { Reader } from "./ports.ts";
import type { Router } from "./router.ts";
import { versionOf } from "./version.ts";

const why = {
  code: z.enum(CODES).nullable(),
  cause: z.string().nullable(),
  next: z.string().nullable(),
};

export const pushItem = z
  .object({
    id: z.uuid(),
    destination: z.string(),
    target: z.string().meta({ description: "The place, as its adapter writes it." }),
    outcome: z.string().meta({ description: "synced, unchanged, superseded, retrying or parked." }),
    ...why,
    startedAt: time,
    finishedAt: time,
    ms: z.number().nonnegative(),
    steps: z.record(z.string(), z.number().nonnegative()).meta({
      description: "Milliseconds per step, in the order they were taken.",
    }),
    calls: z.int().nonnegative().meta({ description: "Requests to the vendor." }),
    written: z.int().nonnegative().meta({ description: "Names." }),
    deleted: z.int().nonnegative().meta({ description: "Names." }),
    bindings: z
      .array(z.object({ id: z.uuid(), outcome: z.string(), ...why }))
      .readonly()
      .meta({ description: "What became of each binding at the place." }),
  })
  .meta({ id: "Push", description: "One attempt to bring a place to what its bindings want." });
export type PushItem = z.output<typeof pushItem>;
export const pushVersion = versionOf(pushItem);

const filters = {
  binding: z.uuid().optional(),
  event: eventId.optional().meta({ description: "Only those that this event led to." }),
  destination: word.optional(),
  outcome: word.optional(),
  code: z.enum(CODES).optional(),
};
export type PushFilter = z.output<z.ZodObject<typeof filters>>;

export const listPushes = listOperation({
  id: "listPushes",
  path: "/v1/pushes",
  summary: "List the pushes, the newest first.",
  description: "With `binding`: the history of one. With `event`: what came of one.",
  item: pushItem,
  filters,
});

export const getPush = operation({
  id: "getPush",
  method: "get",
  path: "/v1/pushes/{id}",
  scope: "read",
  summary: "One push.",
  noun: "push",
  params: byId,
  answer: pushItem,
  version: pushVersion,
});

/** `GET /v1/pushes` (newest first), `GET /v1/pushes/:id`. */
export function pushes(router: Router, reader: Reader<PushItem, PushFilter>): void {
  serveList(router, listPushes, reader);
  router.on(getPush, async ({ params, caller }) => await reader.get(params.id, caller.principal.limits));
}
