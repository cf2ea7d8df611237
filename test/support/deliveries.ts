/** Webhooks as their senders make them, for processes under test. */
import { createHmac, randomUUID } from "node:crypto";
import { type Delivery, signDelivery } from "../../infra/sandbox/github.ts";

/** A git branch of `acme/shop` appeared or went. */
export function gitBranchDelivery(secret: string, event: "create" | "delete", name: string): Delivery {
  return signDelivery(secret, event, {
    ref: name,
    ref_type: "branch",
    ...(event === "create" ? { master_branch: "main" } : {}),
    pusher_type: "user",
    repository: { id: 4711, full_name: "acme/shop", name: "shop", owner: { login: "acme" } },
    sender: { login: "dev" },
  });
}

/** A Standard Webhooks message. `at` in milliseconds since the epoch; a text is sent as it is. */
export function neonDelivery(secret: string, message: object | string, at = Date.now()): Delivery {
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const body = typeof message === "string" ? message : JSON.stringify(message);
  const id = `msg_${randomUUID()}`;
  const timestamp = String(Math.floor(at / 1_000));
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return {
    body,
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${signature}`,
    },
  };
}

export const postTo = async (url: string, { headers, body }: Delivery): Promise<Response> =>
  await fetch(url, { method: "POST", headers, body });
