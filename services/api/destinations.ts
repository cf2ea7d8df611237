import { z } from "zod";
import { stateCounts } from "./branches.ts";
import { listOperation, serveList } from "./lists.ts";
import { byName, operation, time, word } from "./operation.ts";
import type { Reader, Suspend } from "./ports.ts";
import type { Router } from "./router.ts";
import { versionOf } from "./version.ts";

export const destinationItem = z
  .object({
    id: z.uuid(),
    name: z.string().meta({ description: "In the configuration." }),
    kind: z.string().meta({ description: "The adapter's: vercel, github." }),
    places: z.int().nonnegative().meta({ description: "Targets there that anything was ever meant for." }),
    bindings: stateCounts,
    suspendedAt: time.nullable().meta({ description: "Nothing is written there since; null: it is." }),
  })
  .meta({ id: "Destination", description: "An account at a vendor, as configured." });
export type DestinationItem = z.output<typeof destinationItem>;
export const destinationVersion = versionOf(destinationItem, "places", "bindings");

const filters = { name: word.optional(), kind: word.optional() };
export type DestinationFilter = z.output<z.ZodObject<typeof filters>>;

export const listDestinations = listOperation({
  id: "listDestinations",
  path: "/v1/destinations",
  summary: "List the destinations.",
  item: destinationItem,
  filters,
});

export const getDestination = operation({
  id: "getDestination",
  method: "get",
  path: "/v1/destinations/{id}",
  scope: "read",
  summary: "One destination, by id or name.",
  noun: "destination",
  params: byName,
  answer: destinationItem,
  version: destinationVersion,
});

const stop = (name: "suspend" | "resume", summary: string) =>
  operation({
    id: `${name}Destination`,
    method: "post",
    path: `/v1/destinations/{id}/${name}`,
    scope: "admin",
    summary,
    description: "Events go on being recorded while it is suspended.",
    noun: "destination",
    params: byName,
    answer: destinationItem,
    version: destinationVersion,
    problems: ["precondition_failed"],
  });

export const suspendDestination = stop("suspend", "Write nothing there until it is resumed.");
export const resumeDestination = stop("resume", "Write there again, and look at every place.");

/** `GET /v1/destinations`, `GET /v1/destinations/:id`, `POST /v1/destinations/:id/{suspend,resume}`. */
export function destinations(
  router: Router,
  reader: Reader<DestinationItem, DestinationFilter>,
  suspend: Suspend,
): void {
  serveList(router, listDestinations, reader);
  router.on(
    getDestination,
    async ({ params, caller }) => await reader.get(params.id, caller.principal.limits),
  );
  router.on(
    suspendDestination,
    async ({ params, caller }) => await suspend.destination(params.id, true, caller),
  );
  router.on(
    resumeDestination,
    async ({ params, caller }) => await suspend.destination(params.id, false, caller),
  );
}
