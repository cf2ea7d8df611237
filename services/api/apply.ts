import { z } from "zod";
import { documentPlan } from "../sync/document-plan.ts";
import { CODES } from "../sync/errors.ts";
import { nothing, operation } from "./operation.ts";
import { DOCUMENT_BYTES, sentDocument } from "./plan.ts";
import type { Caller } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import type { Router } from "./router.ts";

const planId = z.string().regex(/^[0-9a-f]{32}$/);

const applyBody = z.strictObject({
  ...sentDocument,
  plan: planId.optional().meta({ description: "Stop if what would be done now is not what this plan said." }),
  confirm: planId.optional().meta({ description: "The id of a plan that is unsafe, to do it all the same." }),
});

export const applied = z
  .object({
    outcome: z.enum(["applied", "unchanged"]),
    plan: documentPlan,
  })
  .meta({ id: "Applied", description: "What was taken in. What follows happens soon after." });
export type AppliedDocument = z.output<typeof applied>;

export const progress = z
  .object({
    working: z.int().nonnegative().meta({
      description: "Branches and targets that are still to be looked at, and bindings on their way.",
    }),
    parked: z
      .array(
        z.object({
          rule: z.string(),
          branch: z.string(),
          code: z.enum(CODES).nullable(),
          cause: z.string().nullable(),
          next: z.string().nullable(),
        }),
      )
      .readonly(),
  })
  .meta({ id: "Progress" });
export type Progress = z.output<typeof progress>;

/** Takes in documents. Rejects with an `ApiProblem` that says why nothing was done. */
export interface ApplyDocument {
  apply(asked: z.output<typeof applyBody>, caller: Caller): Promise<AppliedDocument>;
  progress(): Promise<Progress>;
}

export const applyDocument = operation({
  id: "applyDocument",
  method: "post",
  path: "/v1/apply",
  scope: "write",
  whole: true,
  summary: "Take in a document: does what the plan said, or nothing.",
  description:
    "Needs the scope admin where sources or destinations change. Recorded in the audit log together with what is done.",
  body: applyBody,
  answer: applied,
  problems: [
    "invalid_document",
    "managed_by_file",
    "plan_moved",
    "unconfirmed",
    "old_revision",
    "refused_references",
  ],
  bodyBytes: DOCUMENT_BYTES,
});

export const readProgress = operation({
  id: "readProgress",
  method: "get",
  path: "/v1/apply",
  scope: "read",
  whole: true,
  summary: "How far everything that was taken in has come.",
  query: nothing,
  answer: progress,
});

/** `POST /v1/apply`, `GET /v1/apply`. */
export function applies(router: Router, document: ApplyDocument): void {
  router.on(applyDocument, async ({ body, caller }) => await document.apply(body, caller));
  router.on(readProgress, async () => await document.progress());
}

/** Where a file that some process was started with says what is to be, the API does not, whichever process is asked. */
export const managedByFile = (file: string): ApiProblem =>
  new ApiProblem(
    "managed_by_file",
    `This installation is configured by a file (BRANCHLINE_CONFIG: ${file}). Change that file and start its server again; or start without it and say so with branchline unmanage.`,
    { members: { file } },
  );
