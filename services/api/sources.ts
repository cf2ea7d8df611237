import { z } from "zod";
import { CODES } from "../sync/errors.ts";
import { listOperation, serveList } from "./lists.ts";
import { byName, operation, time, word } from "./operation.ts";
import type { Confirm, Reader } from "./ports.ts";
import type { Router } from "./router.ts";
import { versionOf } from "./version.ts";

export const sourceItem = z
  .object({
    id: z.uuid(),
    name: z.string().meta({ description: "In the configuration." }),
    kind: z.string().meta({ description: "The adapter's: neon." }),
    identity: z.string().meta({ description: "What makes it another source: API host and project id." }),
    branches: z.int().nonnegative().meta({ description: "There now, as of the last complete list." }),
    listedAt: time.nullable().meta({ description: "The last complete list of branches; null: not yet." }),
    heldSince: time.nullable().meta({
      description: "Set while deletes wait for confirmation, since too many branches vanished at once.",
    }),
    code: z
      .enum(CODES)
      .nullable()
      .meta({ description: "Why it cannot be watched right now; null: all is well." }),
    cause: z.string().nullable(),
    next: z.string().nullable().meta({ description: "What to do about it." }),
  })
  .meta({ id: "Source" });
export type SourceItem = z.output<typeof sourceItem>;
export const sourceVersion = versionOf(sourceItem, "listedAt");

const filters = { name: word.optional(), kind: word.optional() };
export type SourceFilter = z.output<z.ZodObject<typeof filters>>;

export const listSources = listOperation({
  id: "listSources",
  path: "/v1/sources",
  summary: "List the sources.",
  item: sourceItem,
  filters,
});

export const getSource = operation({
  id: "getSource",
  method: "get",
  path: "/v1/sources/{id}",
  scope: "read",
  summary: "One source, by id or name.",
  noun: "source",
  params: byName,
  answer: sourceItem,
  version: sourceVersion,
});

export const confirmDeletes = operation({
  id: "confirmDeletes",
  method: "post",
  path: "/v1/sources/{id}/confirm",
  scope: "write",
  whole: true,
  summary:
    "Let go the deletes that are held at a source, by its id or name, since these branches are gone on purpose.",
  description:
    "Deletes are held while more branches vanish at once than is believed. Only branches that are missing now are confirmed; what vanishes later is held anew.",
  noun: "source",
  params: byName,
  body: z.strictObject({
    branches: z
      .array(z.uuid())
      .min(1)
      .max(10_000)
      .optional()
      .meta({ description: "Ids of branches; left out: all that are missing." }),
  }),
  answer: z.object({
    source: sourceItem,
    confirmed: z.array(z.object({ id: z.uuid(), name: z.string() })).readonly(),
  }),
  problems: ["precondition_failed", "conflict"],
  version: ({ source }) => sourceVersion(source),
});

/** `GET /v1/sources`, `GET /v1/sources/:id`, `POST /v1/sources/:id/confirm`. */
export function sources(router: Router, reader: Reader<SourceItem, SourceFilter>, confirm: Confirm): void {
  serveList(router, listSources, reader);
  router.on(getSource, async ({ params, caller }) => await reader.get(params.id, caller.principal.limits));
  router.on(
    confirmDeletes,
    async ({ params, body, caller }) => await confirm(params.id, body.branches ?? null, caller),
  );
}
