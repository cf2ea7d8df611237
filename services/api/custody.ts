/** Where each generation of what opens a branch lives, and since when. */
import { z } from "zod";
import { BINDING_STATES } from "../sync/model.ts";
import { byId, operation, time } from "./operation.ts";
import type { CustodyOf } from "./ports.ts";
import type { Router } from "./router.ts";

export const custodyRow = z
  .object({
    role: z.string().nullable().meta({ description: "Of the login; null: the name holds nothing secret." }),
    database: z.string().nullable(),
    generation: z.int().nonnegative().nullable().meta({
      description: "That was written there; null: written before generations were noted, or not secret.",
    }),
    current: z.boolean().meta({ description: "It is the generation that Neon has now." }),
    since: time.nullable().meta({ description: "When this value was first written there; null: not yet." }),
    destination: z.string(),
    target: z.string(),
    name: z.string(),
    rule: z.string(),
    binding: z.uuid(),
    state: z.enum(BINDING_STATES),
    confirmed: z.boolean().meta({ description: "False: a write or a delete is under way or in doubt." }),
  })
  .meta({ id: "CustodyRow" });
export type CustodyRow = z.output<typeof custodyRow>;

export const getCustody = operation({
  id: "getCustody",
  method: "get",
  path: "/v1/branches/{id}/custody",
  scope: "read",
  summary: "Where each generation of a branch's credentials lives, and since when.",
  description: "JSON, or CSV by `Accept: text/csv` or `format=csv`.",
  noun: "branch",
  params: byId,
  query: z.strictObject({ format: z.enum(["json", "csv"]).optional() }),
  answer: z.object({
    branch: z.object({ id: z.uuid(), name: z.string(), source: z.string() }),
    at: time,
    held: z.array(custodyRow).readonly(),
  }),
  media: ["application/json", "text/csv"],
});

const COLUMNS = [
  "role",
  "database",
  "generation",
  "current",
  "since",
  "destination",
  "target",
  "name",
  "rule",
  "binding",
  "state",
  "confirmed",
] as const satisfies readonly (keyof CustodyRow)[];

/** `GET /v1/branches/:id/custody`. */
export function custody(router: Router, custodyOf: CustodyOf): void {
  router.on(getCustody, async ({ params, query, caller, c }) => {
    const found = await custodyOf(params.id, caller.principal.limits);
    if (found === null) return null;
    const accepted = /^text\/csv\b/i.test(c.req.header("accept") ?? "") ? "csv" : "json";
    if ((query.format ?? accepted) === "json") return found;
    return c.body(csv(found.held.map((row) => custodyRow.parse(row))), 200, {
      "content-type": "text/csv; charset=utf-8; header=present",
    });
  });
}

/** RFC 4180. */
function csv(rows: readonly CustodyRow[]): string {
  const lines = [
    COLUMNS.join(","),
    ...rows.map((row) => COLUMNS.map((column) => cell(row[column])).join(",")),
  ];
  return lines.map((line) => `${line}\r\n`).join("");
}

/** Names are other people's: what a spreadsheet would take for a formula is made text. */
function cell(value: string | number | boolean | null): string {
  const text = value === null ? "" : String(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
