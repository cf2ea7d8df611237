import { OpenAPIHono } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { z } from "zod";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { type ApplyDocument, applies } from "./apply.ts";
import { audits } from "./audits.ts";
import { authenticated } from "./auth.ts";
import { type BindingFilter, type BindingItem, bindings } from "./bindings.ts";
import { type BranchFilter, type BranchItem, branches } from "./branches.ts";
import { commands } from "./commands.ts";
import { connections } from "./connection.ts";
import { custody } from "./custody.ts";
import { type DestinationFilter, type DestinationItem, destinations } from "./destinations.ts";
import { documents } from "./document.ts";
import { type EventFilter, type EventItem, events } from "./events.ts";
import { liveness, readiness } from "./health.ts";
import { holds } from "./hold.ts";
import { type ImportDocument, imports } from "./import.ts";
import { installation } from "./installation.ts";
import { type LoginFilter, type LoginItem, logins } from "./logins.ts";
import { managing, type Unmanage } from "./managed.ts";
import { matching } from "./matching.ts";
import { operation } from "./operation.ts";
import { type PlanDocument, plans } from "./plan.ts";
import type {
  ApiEnv,
  AuditTrail,
  Authenticate,
  Changes,
  Confirm,
  CustodyOf,
  Hold,
  Matching,
  Probe,
  Reader,
  Redeliver,
  Repeats,
  Standing,
  Suspend,
  Tell,
  Tokens,
} from "./ports.ts";
import { ApiProblem, asProblem, writeProblem } from "./problems.ts";
import { type PushFilter, type PushItem, pushes } from "./pushes.ts";
import { createRate, DEFAULT_RATE, type RateLimit } from "./rate.ts";
import { identified, observed, safeHeaders } from "./requests.ts";
import type { Reveal } from "./reveal-port.ts";
import { createRouter, type Router } from "./router.ts";
import { type RuleFilter, type RuleItem, rules } from "./rules.ts";
import { type SourceFilter, type SourceItem, sources } from "./sources.ts";
import { stream } from "./stream.ts";
import { tokens } from "./tokens.ts";
import { waits } from "./wait.ts";
import { type WebhookDeps, webhooks } from "./webhooks.ts";

/** What the public listener needs. */
export interface PublicApiDeps {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly webhooks: Omit<WebhookDeps, "metrics">;
}

export interface ApiDeps extends PublicApiDeps {
  readonly authenticate: Authenticate;
  /** Of one token. Left out: as usual. */
  readonly rate?: RateLimit;
  readonly repeats: Repeats;
  readonly probes: readonly Probe[];
  /** Told at `/readyz` beside the probes, and no reason not to be ready. Left out: nothing. */
  readonly warnings?: readonly Probe[];
  readonly sources: Reader<SourceItem, SourceFilter>;
  readonly destinations: Reader<DestinationItem, DestinationFilter>;
  readonly rules: Reader<RuleItem, RuleFilter>;
  readonly branches: Reader<BranchItem, BranchFilter>;
  readonly logins: Reader<LoginItem, LoginFilter>;
  readonly bindings: Reader<BindingItem, BindingFilter>;
  readonly pushes: Reader<PushItem, PushFilter>;
  readonly events: Reader<EventItem, EventFilter>;
  readonly audit: AuditTrail;
  readonly tokens: Tokens;
  readonly reveal: Reveal;
  readonly matching: Matching;
  readonly custody: CustodyOf;
  readonly standing: Standing;
  readonly changes: Changes;
  readonly tell: Tell;
  readonly confirm: Confirm;
  readonly redeliver: Redeliver;
  readonly suspend: Suspend;
  readonly unmanage: Unmanage;
  readonly hold: Hold;
  readonly plan: PlanDocument;
  readonly survey: ImportDocument;
  readonly document: ApplyDocument;
}

/** Everything on one listener: webhooks, health, metrics, and the admin API under `/v1`. */
export function createApi(deps: ApiDeps): Hono<ApiEnv> {
  return createAdminApi(deps).route("/webhooks", webhooks({ ...deps.webhooks, metrics: deps.metrics }));
}

/** What stays inside when the webhooks have a listener of their own. */
export function createAdminApi(deps: ApiDeps): Hono<ApiEnv> {
  return adminRouter(deps).app;
}

/** The admin API with the list of what it serves. */
export function adminRouter(deps: ApiDeps): Router {
  const app = createBase(deps);
  const guard = authenticated(deps.authenticate, createRate(deps.rate ?? DEFAULT_RATE));
  app.use("/v1/*", guard);
  app.use("/metrics", guard);
  app.route("/", readiness(deps.probes, { warnings: deps.warnings ?? [] }));
  const router = createRouter(app, deps.repeats);
  router.on(scrapeMetrics, async ({ c }) => {
    const { contentType, text } = await deps.metrics.scrape();
    return c.body(text, 200, { "content-type": contentType });
  });
  sources(router, deps.sources, deps.confirm);
  connections(router, deps.reveal);
  destinations(router, deps.destinations, deps.suspend);
  matching(router, deps.matching);
  rules(router, deps.rules);
  branches(router, deps.branches);
  custody(router, deps.custody);
  waits(router, deps.standing);
  holds(router, deps.hold);
  logins(router, deps.logins);
  bindings(router, deps.bindings);
  commands(router, deps.tell);
  pushes(router, deps.pushes);
  events(router, deps.events, deps.redeliver);
  stream(router, deps.changes);
  audits(router, deps.audit);
  tokens(router, deps.tokens);
  installation(router, deps.suspend);
  managing(router, deps.unmanage);
  plans(router, deps.plan);
  imports(router, deps.survey);
  applies(router, deps.document);
  documents(router);
  return router;
}

/** Behind a token as well: it names destinations and tells how much goes on. */
const scrapeMetrics = operation({
  id: "scrapeMetrics",
  method: "get",
  path: "/metrics",
  scope: "read",
  whole: true,
  summary: "Metrics in the text format of Prometheus.",
  answer: z.string(),
  media: ["text/plain"],
});

/** For a listener that faces the internet: webhooks and `/healthz`, nothing else. */
export function createPublicApi(deps: PublicApiDeps): Hono<ApiEnv> {
  return createBase(deps).route("/webhooks", webhooks({ ...deps.webhooks, metrics: deps.metrics }));
}

/** What all listeners have in common. */
function createBase({ log, metrics }: Pick<PublicApiDeps, "log" | "metrics">): OpenAPIHono<ApiEnv> {
  const app = new OpenAPIHono<ApiEnv>();
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
  app.route("/", liveness());
  return app;
}
