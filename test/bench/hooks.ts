/** Deliveries as GitHub sends them. */

import { type Delivery, signDelivery } from "../../infra/sandbox/github.ts";
import type { Sandbox } from "../../infra/sandbox/index.ts";

/** What the demo's rules put before the name of a git branch. */
export const BRANCH_PREFIX = "preview/";

/** A delivery about one git branch of the demo's repository, signed. */
export function deliveryOf(
  { credentials }: Sandbox,
  event: "create" | "delete" | "push",
  gitBranch: string,
): Delivery {
  const subject =
    event === "push"
      ? { ref: `refs/heads/${gitBranch}` }
      : { ref: gitBranch, ref_type: "branch", master_branch: "main", pusher_type: "user" };
  return signDelivery(credentials.github.webhookSecret, event, {
    ...subject,
    repository: { id: 4711, full_name: "acme/shop", name: "shop", owner: { login: "acme" } },
    sender: { login: "dev" },
  });
}

/** Sends it, and throws unless it was accepted. */
export async function deliver(
  sandbox: Sandbox,
  apiUrl: string,
  event: "create" | "delete" | "push",
  gitBranch: string,
): Promise<void> {
  const { headers, body } = deliveryOf(sandbox, event, gitBranch);
  const response = await fetch(`${apiUrl}/webhooks/github`, { method: "POST", headers, body });
  if (response.status !== 202) throw new Error(`the webhook was answered ${response.status}`);
}
