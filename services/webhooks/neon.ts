/**
 * "Look at Neon": signed by whoever changes something there, a CI job or a script.
 *
 * Neon itself announces neither branches nor passwords (its API has webhooks for Neon Auth only, checked
 * 2026-09), so this is a scheme of our own on top of Standard Webhooks
 * (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md):
 * - `webhook-signature` is a list of `v1,<base64>`, each an HMAC-SHA256 over `id.timestamp.body`;
 * - `webhook-timestamp` is in seconds and must be close to our clock; `webhook-id` stays on repeats;
 * - a secret is `whsec_` and the base64 of 24 to 64 random bytes.
 *
 * Body: `{ "type": "branch.created", "data": { "project_id": "...", "branch_id": "br-...", "role": "..." } }`.
 */
import { z } from "zod";
import type { Secret } from "../sync/secret.ts";
import { decodeText, misfits, parseJson, plainText } from "./json.ts";
import { type Delivery, NEON_KINDS, type NeonKind, refused, type WebhookResult } from "./result.ts";
import { anyEqual, hmacSha256 } from "./signature.ts";

/** A message is a few hundred bytes. */
export const NEON_BODY_BYTES = 256 * 1024;

/** How far the sender's clock may be from ours, both ways. */
const TOLERANCE_SECONDS = 5 * 60;

/** More signatures than any rotation needs would only be work for us. */
const MAX_SIGNATURES = 8;

/** Why a configured secret cannot be used, in words that do not hold it, or null. */
export function refuseNeonSecret(secret: Secret): string | null {
  return decodeKey(secret) === undefined ? "expected whsec_ and the base64 of 24 to 64 bytes" : null;
}

/** All three headers are there and at least one signature has the right form. */
export function isSignedNeon(headers: Delivery["headers"]): boolean {
  return signedHeaders(headers) !== undefined;
}

export interface NeonDelivery extends Delivery {
  readonly secrets: readonly Secret[];
  /** Our clock in milliseconds. */
  readonly now: number;
}

/** Any of the secrets may have signed. Never throws. */
export function verifyNeon({ headers, body, secrets, now }: NeonDelivery): WebhookResult {
  const signed = signedHeaders(headers);
  const expected = secrets
    .map(decodeKey)
    .filter((key) => key !== undefined)
    .map((key) => hmacSha256(key, `${signed?.id}.${signed?.timestamp}.`, body));
  if (signed === undefined || !anyEqual(signed.signatures, expected)) {
    return refused(
      "bad_signature",
      "webhook-signature is missing or made with none of the secrets known here.",
    );
  }
  const seconds = /^\d{1,12}$/.test(signed.timestamp) ? Number(signed.timestamp) : Number.NaN;
  if (!(Math.abs(now / 1_000 - seconds) <= TOLERANCE_SECONDS)) {
    return refused("stale_timestamp", "webhook-timestamp is not within five minutes of this server's clock.");
  }
  const text = decodeText(body);
  const payload = text === undefined ? undefined : parseJson(text);
  if (payload === undefined) return refused("malformed", "The body is not JSON.");
  return understand(signed.id, payload);
}

interface Signed {
  readonly id: string;
  /** As sent, since that is what was signed. */
  readonly timestamp: string;
  readonly signatures: readonly Uint8Array[];
}

function signedHeaders(headers: Delivery["headers"]): Signed | undefined {
  const id = headers.get("webhook-id") ?? "";
  const timestamp = headers.get("webhook-timestamp") ?? "";
  const signatures = (headers.get("webhook-signature") ?? "")
    .split(" ", MAX_SIGNATURES)
    .map((entry) => /^v1,([A-Za-z0-9+/]{43}=)$/.exec(entry)?.[1])
    .filter((base64) => base64 !== undefined)
    .map((base64) => Buffer.from(base64, "base64"));
  if (!/^[!-~]{1,128}$/.test(id) || timestamp === "" || signatures.length === 0) return undefined;
  return { id, timestamp, signatures };
}

function decodeKey(secret: Secret): Uint8Array | undefined {
  const base64 = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret.reveal())?.[1];
  const key = base64 === undefined ? undefined : Buffer.from(base64, "base64");
  return key !== undefined && key.length >= 24 && key.length <= 64 ? key : undefined;
}

// ---------------------------------------------------------------- payload

const envelope = z.object({ type: z.string().regex(/^[\w.-]{1,64}$/) });
const message = z.object({
  type: z.enum(NEON_KINDS),
  data: z.object({
    project_id: plainText(64),
    branch_id: plainText(64).nullish(),
    role: plainText(63).nullish(),
  }),
});

function understand(deliveryId: string, payload: unknown): WebhookResult {
  const outer = envelope.safeParse(payload);
  if (!outer.success) return refused("malformed", `The payload does not fit: ${misfits(outer.error)}.`);
  const { type } = outer.data;
  if (!NEON_KINDS.includes(type as NeonKind)) {
    const reason = "This type says nothing about branches or passwords.";
    return { result: "ignored", ignored: { origin: "neon", deliveryId, kind: type, reason } };
  }
  const inner = message.safeParse(payload);
  if (!inner.success) return refused("malformed", `The payload does not fit: ${misfits(inner.error)}.`);
  const { project_id, branch_id, role } = inner.data.data;
  const where = { projectId: project_id, branchId: branch_id ?? null, role: role ?? null };
  return { result: "hint", hint: { origin: "neon", deliveryId, kind: inner.data.type, ...where } };
}
