/** Public and unauthenticated but for the signature: bounded body, verify, commit, 202. */
import { type Context, Hono } from "hono";
import type { Metrics } from "../metrics.ts";
import { GITHUB_BODY_BYTES, isSignedGitHub, verifyGitHub } from "../webhooks/github.ts";
import { isSignedNeon, NEON_BODY_BYTES, verifyNeon } from "../webhooks/neon.ts";
import type { Delivery, WebhookResult } from "../webhooks/result.ts";
import { type BodyLimits, createBodyReader } from "./body.ts";
import type { ApiEnv, Ingest, WebhookSecrets } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

export interface WebhookDeps {
  readonly ingest: Ingest;
  readonly secrets: WebhookSecrets;
  readonly metrics: Metrics;
  /** Our clock in milliseconds; for tests. */
  readonly now?: () => number;
  /** How long a body may take to arrive. GitHub itself gives up after 10 seconds. */
  readonly bodyTimeoutMs?: number;
}

/** `POST /webhooks/github`, `POST /webhooks/neon`. */
export function webhooks(deps: WebhookDeps): Hono<ApiEnv> {
  const { secrets, now = Date.now, bodyTimeoutMs = 10_000 } = deps;
  const receive = receiver(deps);
  return new Hono<ApiEnv>()
    .post("/github", (c) =>
      receive(c, {
        origin: "github",
        isSigned: isSignedGitHub,
        limits: { bytes: GITHUB_BODY_BYTES, timeoutMs: bodyTimeoutMs },
        verify: (delivery) => verifyGitHub({ ...delivery, secrets: secrets.github() }),
      }),
    )
    .post("/neon", (c) =>
      receive(c, {
        origin: "neon",
        isSigned: isSignedNeon,
        limits: { bytes: NEON_BODY_BYTES, timeoutMs: bodyTimeoutMs },
        verify: (delivery) => verifyNeon({ ...delivery, secrets: secrets.neon(), now: now() }),
      }),
    );
}

interface Sender {
  readonly origin: "github" | "neon";
  /** Looks at headers alone: who does not even claim to have signed has no body read. */
  isSigned(headers: Headers): boolean;
  readonly limits: BodyLimits;
  verify(delivery: Delivery): WebhookResult;
}

type Receive = (c: Context<ApiEnv>, sender: Sender) => Promise<Response>;

function receiver({ ingest, metrics }: WebhookDeps): Receive {
  const withBody = createBodyReader();
  return async (c, { origin, isSigned, limits, verify }) => {
    const { headers } = c.req.raw;
    try {
      if (!isSigned(headers)) throw new ApiProblem("bad_signature", "The delivery is not signed.");
      const result = await withBody(c, limits, async (body) => verify({ headers, body }));
      if (result.result === "refused") throw new ApiProblem(result.code, result.detail);
      const ingested = await ingest(result.result === "hint" ? result.hint : result.ignored);
      metrics.received({ origin, outcome: ingested.outcome });
      const { id, outcome, reason } = ingested;
      return c.json({ id, outcome, ...(reason === null ? {} : { reason }) }, 202);
    } catch (error) {
      metrics.received({ origin, outcome: error instanceof ApiProblem ? error.code : "failed" });
      throw error;
    }
  };
}
