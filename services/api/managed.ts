import { z } from "zod";
import { recordAudit } from "../store/audit.ts";
import { type Db, withoutDeadlock } from "../store/db.ts";
import { unmanage as letGo } from "../store/managed.ts";
import { operation, time } from "./operation.ts";
import type { Caller } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import type { Router } from "./router.ts";

export const unmanaged = z
  .object({
    file: z.string().nullable().meta({ description: "That managed it until now; null: none did." }),
    since: time.nullable(),
  })
  .meta({ id: "Unmanaged" });
export type Unmanaged = z.output<typeof unmanaged>;

/** With the audit log, in one transaction. Rejects with `conflict` while a process still has the file. */
export type Unmanage = (caller: Caller) => Promise<Unmanaged>;

export const unmanage = operation({
  id: "unmanage",
  method: "post",
  path: "/v1/unmanage",
  scope: "admin",
  whole: true,
  summary: "No file manages this installation any more: documents are taken in over the API again.",
  description:
    "Once a process was started with BRANCHLINE_CONFIG its file manages the whole installation, also after that process is gone. Refused while a process still runs that has the file.",
  answer: unmanaged,
  problems: ["conflict"],
});

/** `POST /v1/unmanage`. */
export function managing(router: Router, leave: Unmanage): void {
  router.on(unmanage, async ({ caller }) => await leave(caller));
}

export function createUnmanage(db: Db): Unmanage {
  return async ({ principal, requestId, sourceAddress }) =>
    await withoutDeadlock(
      async () =>
        await db.transaction(async (tx) => {
          const done = await letGo(tx);
          if (done.outcome === "in-use") {
            throw new ApiProblem(
              "conflict",
              `A process that has the file ${done.file} was heard of ${done.seconds} s ago. Start it without BRANCHLINE_CONFIG, and try again in half a minute.`,
            );
          }
          const was = { file: done.was?.file ?? null, since: done.was?.since.toISOString() ?? null };
          if (done.was !== null) {
            await recordAudit(tx, {
              actor: principal.name,
              action: "installation.unmanage",
              object: "installation",
              requestId,
              sourceAddress,
              details: was,
            });
          }
          return was;
        }),
    );
}
