import { z } from "zod";
import { type DocumentPlan, documentPlan } from "../sync/document-plan.ts";
import { operation } from "./operation.ts";
import type { Caller } from "./ports.ts";
import type { Router } from "./router.ts";

/** A name inside the main file's folder. */
const fileName = z
  .string()
  .max(512)
  .regex(/^(?!\/)[^\\\p{Cc}]+$/u);

const MOST_BYTES = 1024 * 1024;

/** A document as it is sent: the main file first, then those that it includes. */
export const sentDocument = {
  files: z
    .array(z.strictObject({ name: fileName, text: z.string().max(MOST_BYTES) }))
    .min(1)
    .max(100)
    .refine((files) => files.reduce((sum, { text }) => sum + text.length, 0) <= MOST_BYTES, {
      message: "the files together are larger than 1 MiB",
    })
    .meta({ description: "The main file first, then what it includes, named relative to its folder." }),
  prune: z.boolean().default(false).meta({ description: "Rules that left are let go." }),
};

const planBody = z.strictObject(sentDocument);

/** What applying the document would do. Rejects with `invalid_document` if it is none. */
export type PlanDocument = (asked: z.output<typeof planBody>, caller: Caller) => Promise<DocumentPlan>;

/** JSON of a document and its includes, every character escaped at worst. */
export const DOCUMENT_BYTES = 4 * MOST_BYTES;

export const makePlan = operation({
  id: "makePlan",
  method: "post",
  path: "/v1/plan",
  scope: "read",
  whole: true,
  summary: "What applying a document would do, per rule, branch, destination and name; never a value.",
  description:
    "Changes nothing. References that BRANCHLINE_REFS does not allow are not resolved, and new or changed addresses are not contacted: such lines are `unchecked`.",
  body: planBody,
  answer: documentPlan.meta({ id: "Plan" }),
  problems: ["invalid_document"],
  bodyBytes: DOCUMENT_BYTES,
});

/** `POST /v1/plan`. */
export function plans(router: Router, plan: PlanDocument): void {
  router.on(makePlan, async ({ body, caller }) => await plan(body, caller));
}
