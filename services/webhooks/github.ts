/**
 * GitHub's webhooks: raw body and headers in, a verified hint out.
 *
 * Facts (docs.github.com, "Validating webhook deliveries", "Webhook events and payloads", checked 2026-09):
 * - `X-Hub-Signature-256` is `sha256=` and the hex HMAC-SHA256 of the raw body, form-encoded or not.
 * - Headers are not signed. So the event's name and the delivery's id are believed as far as a hint is.
 * - Payloads are at most 25 MB. Delivery is at least once, in any order, and never repeated by itself.
 * - `create` and `delete` carry a short ref of a branch or a tag, `push` a full one.
 * - `after` of a push is the commit that the ref points at from then on, zeros if it is deleted; `create` names none.
 * - `head.repo` of a pull request is null once the fork is gone.
 */
import { z } from "zod";
import type { Secret } from "../sync/secret.ts";
import { decodeText, misfits, parseJson, plainText } from "./json.ts";
import { type Delivery, type GitHubHint, type GitHubKind, refused, type WebhookResult } from "./result.ts";
import { anyEqual, hmacSha256 } from "./signature.ts";

/** GitHub drops what is larger than 25 MB, so nothing it sends is larger than this. */
export const GITHUB_BODY_BYTES = 25 * 1024 * 1024;

/** A signature is there and has the right form, so that reading the body may be worth it. */
export function isSignedGitHub(headers: Delivery["headers"]): boolean {
  return givenSignature(headers) !== undefined;
}

/** Any of the secrets may have signed: two are valid while one replaces the other. Never throws. */
export function verifyGitHub(delivery: Delivery & { readonly secrets: readonly Secret[] }): WebhookResult {
  const { headers, body, secrets } = delivery;
  const given = givenSignature(headers);
  // An empty secret would let everybody sign.
  const expected = secrets
    .filter((secret) => secret.bytes > 0)
    .map((secret) => hmacSha256(secret.reveal(), body));
  if (given === undefined || !anyEqual([given], expected)) {
    return refused(
      "bad_signature",
      "X-Hub-Signature-256 is missing or made with none of the secrets known here.",
    );
  }
  const deliveryId = headers.get("x-github-delivery") ?? "";
  if (!/^[\w-]{1,64}$/.test(deliveryId))
    return refused("malformed", "X-GitHub-Delivery is missing or not an id.");
  const event = headers.get("x-github-event") ?? "";
  if (!/^[a-z0-9_]{1,64}$/.test(event))
    return refused("malformed", "X-GitHub-Event is missing or not a name.");

  const text = jsonText(headers.get("content-type"), body);
  if (text === null) {
    return refused("unsupported_media_type", "Send application/json or application/x-www-form-urlencoded.");
  }
  const payload = text === undefined ? undefined : parseJson(text);
  if (payload === undefined) return refused("malformed", "The body is not JSON.");
  return understand(deliveryId, event, payload);
}

function givenSignature(headers: Delivery["headers"]): Uint8Array | undefined {
  const hex = /^sha256=([0-9a-f]{64})$/i.exec(headers.get("x-hub-signature-256") ?? "")?.[1];
  return hex === undefined ? undefined : Buffer.from(hex, "hex");
}

/** The JSON inside the body; undefined: there is none; null: a type that GitHub does not send. */
function jsonText(contentType: string | null, body: Uint8Array): string | undefined | null {
  const type = contentType?.split(";", 1)[0]?.trim().toLowerCase();
  const text = decodeText(body);
  if (type === "application/json") return text;
  if (type !== "application/x-www-form-urlencoded") return null;
  return text === undefined ? undefined : (new URLSearchParams(text).get("payload") ?? undefined);
}

function understand(deliveryId: string, event: string, payload: unknown): WebhookResult {
  if (!isUnderstood(event)) return ignored(deliveryId, event, "This event says nothing about branches.");
  const read = PAYLOADS[event].safeParse(payload);
  if (!read.success)
    return refused("malformed", `The payload does not fit its event: ${misfits(read.error)}.`);
  if ("reason" in read.data) {
    const { action, reason } = read.data;
    return ignored(deliveryId, action === null ? event : `${event}.${action}`, reason);
  }
  return { result: "hint", hint: { origin: "github", deliveryId, kind: event, ...read.data } };
}

function isUnderstood(event: string): event is GitHubKind {
  return Object.hasOwn(PAYLOADS, event);
}

function ignored(deliveryId: string, kind: string, reason: string): WebhookResult {
  return { result: "ignored", ignored: { origin: "github", deliveryId, kind, reason } };
}

// ---------------------------------------------------------------- payloads

/** The part of a hint that the payload decides, or why it is of no use. */
type Reading =
  | Pick<GitHubHint, "repository" | "gitBranch" | "action" | "sha" | "fork">
  | { readonly reason: string; readonly action: string | null };

const TAG: Reading = { reason: "It is about a tag, not a branch.", action: null };

/** What can change whether a preview's branch exists. Labels, reviews and the like cannot. */
const PULL_REQUEST_ACTIONS = new Set(["opened", "reopened", "synchronize", "closed"]);

const repository = z
  .object({ id: z.int().positive(), full_name: plainText(255) })
  .transform(({ id, full_name }) => ({ id, fullName: full_name }));

/** A commit of SHA-1 or SHA-256, whole. What is none of these is not believed to be one. */
const commit = z
  .string()
  .regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/)
  .nullable()
  .catch(null);

const anyRepository = z.object({ id: z.int() });

/** `create` and `delete`: a short name, and what it is the name of. */
const refChange = z
  .object({ ref: plainText(255), ref_type: z.string(), repository })
  .transform(({ ref, ref_type, repository }): Reading => {
    if (ref_type !== "branch") return TAG;
    return { repository, gitBranch: ref, action: null, sha: null, fork: false };
  });

const push = z
  .object({
    ref: plainText(266),
    created: z.boolean().default(false),
    deleted: z.boolean().default(false),
    after: commit,
    repository,
  })
  .transform(({ ref, created, deleted, after, repository }): Reading => {
    const gitBranch = /^refs\/heads\/(.+)$/.exec(ref)?.[1];
    if (gitBranch === undefined) return TAG;
    const action = deleted ? "deleted" : created ? "created" : "updated";
    return { repository, gitBranch, action, sha: deleted ? null : after, fork: false };
  });

const pullRequest = z
  .object({
    action: z.string().regex(/^[a-z_]{1,64}$/),
    pull_request: z.object({
      head: z.object({ ref: plainText(255), sha: commit, repo: anyRepository.nullable() }),
      base: z.object({ repo: anyRepository }),
    }),
    repository,
  })
  .transform(({ action, pull_request: { head, base }, repository }): Reading => {
    if (!PULL_REQUEST_ACTIONS.has(action)) return { reason: "This action changes no branch.", action };
    const fork = head.repo?.id !== base.repo.id;
    return { repository, gitBranch: head.ref, action, sha: action === "closed" ? null : head.sha, fork };
  });

const ping = z
  .object({ repository: repository.nullable().default(null) })
  .transform(
    ({ repository }): Reading => ({ repository, gitBranch: null, action: null, sha: null, fork: false }),
  );

const PAYLOADS: Readonly<Record<GitHubKind, z.ZodType<Reading>>> = {
  create: refChange,
  delete: refChange,
  push,
  pull_request: pullRequest,
  ping,
};
