import { Hono } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { authenticated, scoped } from "./auth.ts";
import { type BindingFilter, type BindingItem, bindings } from "./bindings.ts";
import { type BranchFilter, type BranchItem, branches } from "./branches.ts";
import { commands } from "./commands.ts";
import { connections } from "./connection.ts";
import { type EventFilter, type EventItem, events } from "./events.ts";
import { liveness, readiness } from "./health.ts";
import { matching } from "./matching.ts";
import type { ApiEnv, Authenticate, Matching, Probe, Reader, Reveal, Tell } from "./ports.ts";
import { ApiProblem, asProblem, writeProblem } from "./problems.ts";
import { identified, observed, safeHeaders } from "./requests.ts";
import { type SourceFilter, type SourceItem, sources } from "./sources.ts";
import { type WebhookDeps, webhooks } from "./webhooks.ts";

/** What the public listener needs. */
export interface PublicApiDeps {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly webhooks: Omit<WebhookDeps, "metrics">;
}

export interface ApiDeps extends PublicApiDeps {
  readonly authenticate: Authenticate;
  readonly probes: readonly Probe[];
  readonly sources: Reader<SourceItem, SourceFilter>;
  readonly reveal: Reveal;
  readonly matching: Matching;
  readonly tell: Tell;
  readonly branches: Reader<BranchItem, BranchFilter>;
  readonly bindings: Reader<BindingItem, BindingFilter>;
  readonly events: Reader<EventItem, EventFilter>;
}

/** Everything on one listener: webhooks, health, metrics, and the admin API under `/v1`. */
export function createApi(deps: ApiDeps): Hono<ApiEnv> {
  return createAdminApi(deps).route("/webhooks", webhooks({ ...deps.webhooks, metrics: deps.metrics }));
}

/** What stays inside when the webhooks have a listener of their own. */
export function createAdminApi(deps: ApiDeps): Hono<ApiEnv> {
  const app = createBase(deps);
  app.use("/v1/*", authenticated(deps.authenticate));
  // Behind a token as well: it names destinations and tells how much goes on.
  app.get("/metrics", authenticated(deps.authenticate), scoped("read"), async (c) => {
    const { contentType, text } = await deps.metrics.scrape();
    return c.body(text, 200, { "content-type": contentType });
  });
  return app
    .route("/", readiness(deps.probes))
    .route("/v1/sources", sources(deps.sources))
    .route("/v1/sources", connections(deps.reveal))
    .route("/v1/rules", matching(deps.matching))
    .route("/v1/branches", branches(deps.branches))
    .route("/v1/bindings", bindings(deps.bindings))
    .route("/v1/bindings", commands(deps.tell))
    .route("/v1/events", events(deps.events));
}

/** For a listener that faces the internet: webhooks and `/healthz`, nothing else. */
export function createPublicApi(deps: PublicApiDeps): Hono<ApiEnv> {
  return createBase(deps).route("/webhooks", webhooks({ ...deps.webhooks, metrics: deps.metrics }));
}

/** What all listeners have in common. */
function createBase({ log, metrics }: Pick<PublicApiDeps, "log" | "metrics">): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  app.use(identified(), safeHeaders(), observed(log, metrics));
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (c, methods) =>
        writeProblem(c, new ApiProblem("method_not_allowed", "", { headers: { allow: methods.join(", ") } })),
    }),
  );
  app.notFound((c) => writeProblem(c, new ApiProblem("not_found", "")));
  app.onError((error, c) => writeProblem(c, asProblem(error)));
  return app.route("/", liveness());
}
