import { z } from "zod";
import { listOperation, serveList } from "./lists.ts";
import { operation, time, word } from "./operation.ts";
import type { AuditTrail } from "./ports.ts";
import type { Router } from "./router.ts";

export const auditItem = z
  .object({
    seq: z.int().positive().meta({ description: "Without gaps, from 1." }),
    at: z.string().meta({ description: "UTC, with microseconds: as it is part of the hash." }),
    actor: z.string().meta({ description: "A token's name." }),
    action: z.string().meta({ description: "What was done: connection.reveal." }),
    object: z.string().meta({ description: "To what: source/shop/branch/preview/x." }),
    requestId: z.string().nullable(),
    sourceAddress: z.string().nullable(),
    details: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
      .meta({ description: "Names, choices, states before and after; never a value." }),
    previous: z.string(),
    hash: z.string().meta({ description: "Over the content and the hash of the row before." }),
  })
  .meta({ id: "AuditEntry" });
export type AuditItem = z.output<typeof auditItem>;

const filters = {
  actor: word.optional(),
  action: word.optional(),
  object: word.optional().meta({ description: "This, or anything below it." }),
  from: time.optional(),
  to: time.optional(),
};
export type AuditFilter = z.output<z.ZodObject<typeof filters>>;

export const listAudit = listOperation({
  id: "listAudit",
  path: "/v1/audit",
  summary: "List who did what, the newest first.",
  item: auditItem,
  filters,
  scope: "admin",
  whole: true,
});

export const exportAudit = operation({
  id: "exportAudit",
  method: "get",
  path: "/v1/audit/export",
  scope: "admin",
  whole: true,
  summary: "The whole audit log in order, one JSON object a line.",
  query: z.strictObject({
    after: z
      .string()
      .regex(/^\d{1,15}$/)
      .transform(Number)
      .default(0)
      .meta({ description: "Only rows with a higher number.", type: "integer" }),
    limit: z
      .string()
      .regex(/^[1-9]\d{0,6}$/)
      .transform(Number)
      .optional()
      .meta({ description: "So many rows at most; left out: all.", type: "integer" }),
  }),
  answer: z.string(),
  media: ["application/jsonl"],
});

export const verifyAudit = operation({
  id: "verifyAudit",
  method: "get",
  path: "/v1/audit/verify",
  scope: "admin",
  whole: true,
  summary: "Walk the whole chain, and say the first row that does not fit.",
  answer: z.object({
    ok: z.boolean(),
    rows: z.int().nonnegative().nullable(),
    head: z.object({ seq: z.int(), hash: z.string() }).nullable(),
    problem: z.object({ seq: z.int(), problem: z.string() }).nullable(),
  }),
});

/** `GET /v1/audit`, `GET /v1/audit/export`, `GET /v1/audit/verify`. */
export function audits(router: Router, trail: AuditTrail): void {
  serveList(router, listAudit, trail);
  router.on(exportAudit, async ({ query, c }) =>
    c.body(jsonLines(trail.export(query.after), query.limit ?? Number.POSITIVE_INFINITY), 200, {
      "content-type": "application/jsonl",
    }),
  );
  router.on(verifyAudit, async () => {
    const verified = await trail.verify();
    return verified.ok
      ? { ok: true, rows: verified.rows, head: verified.head, problem: null }
      : { ok: false, rows: null, head: null, problem: { seq: verified.seq, problem: verified.problem } };
  });
}

/** Page after page as the reader takes them: a log of years is never in memory whole. */
function jsonLines(pages: AsyncIterator<readonly AuditItem[]>, limit: number): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let left = limit;
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = left > 0 ? await pages.next() : { done: true as const, value: [] };
      if (done === true) {
        await pages.return?.();
        return controller.close();
      }
      const some = value.slice(0, left);
      left -= some.length;
      controller.enqueue(
        encoder.encode(some.map((row) => `${JSON.stringify(auditItem.parse(row))}\n`).join("")),
      );
    },
    async cancel() {
      await pages.return?.();
    },
  });
}
