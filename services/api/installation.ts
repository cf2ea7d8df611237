import { z } from "zod";
import { operation, time } from "./operation.ts";
import type { Suspend } from "./ports.ts";
import type { Router } from "./router.ts";
import { versionOf } from "./version.ts";

const installationItem = z
  .object({
    id: z.uuid().meta({ description: "As it stands in marks at the vendors." }),
    suspendedAt: time.nullable().meta({ description: "Nothing is written anywhere since; null: it is." }),
    suspendedWhy: z.string().nullable(),
    managedBy: z.object({ file: z.string(), since: time }).nullable().meta({
      description: "The file that says what is to be; null: documents are taken in over the API.",
    }),
  })
  .meta({ id: "Installation" });
export type InstallationItem = z.output<typeof installationItem>;
export const installationVersion = versionOf(installationItem);

export const getInstallation = operation({
  id: "getInstallation",
  method: "get",
  path: "/v1/installation",
  scope: "read",
  summary: "This installation, and whether it writes.",
  answer: installationItem,
  version: installationVersion,
});

export const suspendAll = operation({
  id: "suspendAll",
  method: "post",
  path: "/v1/suspend",
  scope: "admin",
  whole: true,
  summary: "Write nothing anywhere until resumed.",
  description: "Events go on being recorded.",
  body: z.strictObject({
    reason: z.string().min(1).max(500).optional().meta({ description: "Why, in your own words." }),
  }),
  answer: installationItem,
  version: installationVersion,
  problems: ["precondition_failed"],
});

export const resumeAll = operation({
  id: "resumeAll",
  method: "post",
  path: "/v1/resume",
  scope: "admin",
  whole: true,
  summary: "Write again, and look at every place.",
  description: "Also says that this database is the one to go on with, after it was restored or copied.",
  answer: installationItem,
  version: installationVersion,
  problems: ["precondition_failed"],
});

/** `GET /v1/installation`, `POST /v1/suspend`, `POST /v1/resume`. */
export function installation(router: Router, suspend: Suspend): void {
  router.on(getInstallation, async () => await suspend.installation());
  router.on(
    suspendAll,
    async ({ body, caller }) => await suspend.all(body.reason ?? "somebody stopped it", caller),
  );
  router.on(resumeAll, async ({ caller }) => await suspend.all(null, caller));
}
