/** What a person tells a binding: `POST /v1/bindings/:id/{push,sweep,adopt,release,suspend,resume}`. */
import { z } from "zod";
import { bindingItem, bindingVersion } from "./bindings.ts";
import { byId, operation } from "./operation.ts";
import type { Tell } from "./ports.ts";
import type { Router } from "./router.ts";

const adoption = z.strictObject({
  names: z
    .array(z.string().min(1).max(512))
    .min(1)
    .max(1_000)
    .optional()
    .meta({ description: "As the rule spells them; left out: all of the rule's variables." }),
  expect: z.enum(["same", "replace-unreadable"]).default("same"),
});

export const told = z
  .object({
    binding: bindingItem,
    names: z.array(z.string()).readonly().meta({ description: "The names that the command was about." }),
    note: z.string().nullable().meta({
      description: "What else there is to know, above all what cannot be undone; null: nothing.",
    }),
  })
  .meta({ id: "Told" });

const command = (name: string, summary: string) =>
  operation({
    id: `${name}Binding`,
    method: "post",
    path: `/v1/bindings/{id}/${name}`,
    scope: "write",
    summary,
    description: "What follows happens soon after, and shows in the binding's state.",
    noun: "binding",
    params: byId,
    answer: told,
    version: ({ binding }) => bindingVersion(binding),
    problems: ["precondition_failed", "conflict"],
  });

export const pushBinding = command(
  "push",
  "Bring it to what is wanted now, also where drift is only reported or workers died of it.",
);
export const sweepBinding = command("sweep", "Compare what the vendor holds with what was written, now.");
export const releaseBinding = command(
  "release",
  "Give its names back: they stay at the vendor and are written no more.",
);
export const suspendBinding = command("suspend", "Write nothing of it until it is resumed.");
export const resumeBinding = command("resume", "Write it again, and forget what others have changed so far.");

const PLAIN = {
  push: pushBinding,
  sweep: sweepBinding,
  release: releaseBinding,
  suspend: suspendBinding,
  resume: resumeBinding,
} as const;

export const adoptBinding = operation({
  id: "adoptBinding",
  method: "post",
  path: "/v1/bindings/{id}/adopt",
  scope: "write",
  summary: "Take over names that exist at the vendor and that Branchline did not make.",
  description: "A value that can be read and is another one is never replaced this way.",
  noun: "binding",
  params: byId,
  body: adoption,
  answer: told,
  version: ({ binding }) => bindingVersion(binding),
  problems: ["precondition_failed", "conflict"],
});

/** All need the scope write. */
export function commands(router: Router, tell: Tell): void {
  router.on(
    adoptBinding,
    async ({ params, body: { names = null, expect }, caller }) =>
      await tell(params.id, { command: "adopt", names, expect }, caller),
  );
  for (const name of ["push", "sweep", "release", "suspend", "resume"] as const) {
    router.on(PLAIN[name], async ({ params, caller }) => await tell(params.id, { command: name }, caller));
  }
}
