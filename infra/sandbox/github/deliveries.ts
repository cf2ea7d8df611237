/** Webhook deliveries as GitHub signs them. https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries */
import { createHmac, randomUUID } from "node:crypto";

export interface Delivery {
  readonly headers: Readonly<Record<string, string>>;
  /** Send these very characters: the signature is over them. */
  readonly body: string;
}

/** A redelivery keeps its `guid`: pass the first one's `x-github-delivery` to play one. */
export function signDelivery(
  secret: string,
  event: string,
  payload: unknown,
  guid: string = randomUUID(),
): Delivery {
  const body = typeof payload === "string" ? payload : JSON.stringify(payload);
  const hmac = (algorithm: string) => createHmac(algorithm, secret).update(body).digest("hex");
  return {
    body,
    headers: {
      "content-type": "application/json",
      "user-agent": "GitHub-Hookshot/5a4b3c2",
      "x-github-event": event,
      "x-github-delivery": guid,
      "x-github-hook-id": "482917364",
      "x-github-hook-installation-target-type": "repository",
      "x-github-hook-installation-target-id": "4711",
      "x-hub-signature": `sha1=${hmac("sha1")}`,
      "x-hub-signature-256": `sha256=${hmac("sha256")}`,
    },
  };
}
