import { z } from "zod";
import { type DocumentImport, documentImport } from "../sync/document-import.ts";
import { operation } from "./operation.ts";
import { DOCUMENT_BYTES, sentDocument } from "./plan.ts";
import type { Caller } from "./ports.ts";
import type { Router } from "./router.ts";

const importBody = z.strictObject({
  files: sentDocument.files,
  replaceUnreadable: z.boolean().default(false).meta({
    description: "Propose to replace also what nobody can read back. What it was cannot be restored.",
  }),
});

/** What exists where the document's rules lead. Rejects with `invalid_document` if it is none. */
export type ImportDocument = (asked: z.output<typeof importBody>, caller: Caller) => Promise<DocumentImport>;

export const importDocument = operation({
  id: "importDocument",
  method: "post",
  path: "/v1/import",
  scope: "admin",
  whole: true,
  summary:
    "What exists where rules lead, compared name by name with what Branchline would write; never a value.",
  description:
    "Changes nothing, here or at a vendor. Rules may leave `variables` out: then the usual names are looked for. Only sources and destinations that are stored as the document has them are contacted; the lines of others are `unchecked`.",
  body: importBody,
  answer: documentImport.meta({ id: "Import" }),
  problems: ["invalid_document"],
  bodyBytes: DOCUMENT_BYTES,
});

/** `POST /v1/import`. */
export function imports(router: Router, survey: ImportDocument): void {
  router.on(importDocument, async ({ body, caller }) => await survey(body, caller));
}
