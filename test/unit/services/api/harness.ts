import { createHmac } from "node:crypto";
import { type ApiDeps, createApi } from "../../../../services/api/app.ts";
import { adminTokenOnly } from "../../../../services/api/auth.ts";
import type { BindingFilter, BindingItem } from "../../../../services/api/bindings.ts";
import type { BranchFilter, BranchItem } from "../../../../services/api/branches.ts";
import type { DestinationFilter, DestinationItem } from "../../../../services/api/destinations.ts";
import type { EventFilter, EventItem } from "../../../../services/api/events.ts";
import type { LoginFilter, LoginItem } from "../../../../services/api/logins.ts";
import type { Ingested, Reader, Repeats } from "../../../../services/api/ports.ts";
import { ApiProblem } from "../../../../services/api/problems.ts";
import type { PushFilter, PushItem } from "../../../../services/api/pushes.ts";
import type { Reveal } from "../../../../services/api/reveal-port.ts";
import type { RuleFilter, RuleItem } from "../../../../services/api/rules.ts";
import type { SourceFilter, SourceItem } from "../../../../services/api/sources.ts";
import type { TokenFilter, TokenItem } from "../../../../services/api/tokens.ts";
import { createLogger } from "../../../../services/log.ts";
import { createMetrics } from "../../../../services/metrics.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import type { Hint, Ignored } from "../../../../services/webhooks/result.ts";

export const TOKEN = "admin-token-of-a-test-0123456789";
export const AUTHORIZED = { authorization: `Bearer ${TOKEN}` };
export const NOW = Date.UTC(2026, 8, 1, 12);
export const GITHUB_KEY = "github webhook secret";
export const NEON_KEY = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

/** Pages by position; `filter` names a field and the value it must have. */
export function memoryReader<Item extends { id: string }, Filter extends object>(
  items: readonly Item[],
): Reader<Item, Filter> {
  return {
    list: async ({ limit, after, filter }) => {
      const start = after === null ? 0 : Number(after);
      if (!Number.isInteger(start)) return null;
      const wanted = Object.entries(filter).filter(([, value]) => value !== undefined);
      const matching = items.filter((item) =>
        wanted.every(([name, value]) => JSON.stringify(item[name as keyof Item]) === JSON.stringify(value)),
      );
      const page = matching.slice(start, start + limit);
      return { items: page, next: start + limit < matching.length ? String(start + limit) : null };
    },
    get: async (id) => items.find((item) => item.id === id) ?? null,
  };
}

export const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

export const someSource = (n: number, over: Partial<SourceItem> = {}): SourceItem => ({
  id: uuid(n),
  name: `shop${n}`,
  kind: "neon",
  identity: `console.neon.tech/wispy-butterfly-${n}`,
  branches: 3,
  listedAt: "2026-09-01T12:00:00.000Z",
  heldSince: null,
  code: null,
  cause: null,
  next: null,
  ...over,
});

const someReveal: Reveal = {
  connection: async () => ({
    value: new Secret("x"),
    branch: "main",
    role: "app",
    database: "shop",
    warning: null,
  }),
  variables: async () => ({ branch: "main", variables: [], warning: null }),
};

export const someBranch = (n: number, over: Partial<BranchItem> = {}): BranchItem => ({
  id: uuid(n),
  source: "shop",
  name: `preview/${n}`,
  neonId: `br-${n}`,
  default: false,
  protected: false,
  state: "ready",
  heldUntil: null,
  heldReason: null,
  bindings: { synced: 2, parked: 1 },
  ...over,
});

export const someBinding = (n: number, over: Partial<BindingItem> = {}): BindingItem => ({
  id: uuid(n),
  rule: "web-preview",
  branch: { id: uuid(900), name: "preview/900" },
  destination: "web",
  target: "vercel:acme/shop-web/preview/900",
  reference: null,
  state: "parked",
  since: "2026-09-01T12:00:00.000Z",
  wanted: 3,
  applied: 2,
  generation: 2,
  code: "forbidden",
  cause: "the token may not write",
  next: "Give it the permission.",
  warning: null,
  names: ["DATABASE_URL"],
  ...over,
});

export const someEvent = (n: number, over: Partial<EventItem> = {}): EventItem => ({
  id: String(n),
  origin: "github",
  kind: "push",
  source: "shop",
  branch: null,
  receivedAt: "2026-09-01T12:00:00.000Z",
  outcome: "processed",
  reason: null,
  processedAt: "2026-09-01T12:00:01.000Z",
  pushes: [],
  ...over,
});

export interface Harness {
  readonly app: ReturnType<typeof createApi>;
  readonly deps: ApiDeps;
  /** What reached `ingest`, in order. */
  readonly ingested: (Hint | Ignored)[];
  readonly logged: () => string;
}

/** Remembers as the database does, without ever forgetting. */
export function memoryRepeats(): Repeats {
  const known = new Map<string, { request: string; answer?: { status: number; body: string } | null }>();
  return {
    begin: async (owner, key, request) => {
      const before = known.get(`${owner} ${key}`);
      if (before === undefined) {
        known.set(`${owner} ${key}`, { request });
        return { kind: "new" };
      }
      if (before.request !== request) return { kind: "other" };
      if (before.answer === undefined) return { kind: "under-way" };
      return before.answer === null ? { kind: "not-kept" } : { kind: "done", ...before.answer };
    },
    end: async (owner, key, answer) => {
      const before = known.get(`${owner} ${key}`);
      if (before !== undefined) known.set(`${owner} ${key}`, { ...before, answer });
    },
    forget: async (owner, key) => void known.delete(`${owner} ${key}`),
  };
}

const SINCE = "2026-09-01T12:00:00.000Z";
export const someDestination: DestinationItem = {
  id: uuid(1),
  name: "web",
  kind: "vercel",
  places: 1,
  bindings: {},
  suspendedAt: null,
};
export const someRule: RuleItem = {
  id: uuid(1),
  name: "web-preview",
  source: "shop",
  destination: "web",
  revision: 1,
  orphanedAt: null,
  bindings: {},
  definition: {},
};
const someLogin: LoginItem = {
  id: uuid(1),
  source: "shop",
  branch: { id: uuid(900), name: "preview/900" },
  role: "app",
  database: "shop",
  generation: 2,
  changedAt: SINCE,
  proven: true,
  provenAt: SINCE,
};
export const somePush: PushItem = {
  id: uuid(1),
  destination: "web",
  target: "vercel:acme/shop-web/preview/900",
  outcome: "synced",
  code: null,
  cause: null,
  next: null,
  startedAt: SINCE,
  finishedAt: SINCE,
  ms: 12,
  steps: { check: 1.5 },
  calls: 3,
  written: 1,
  deleted: 0,
  bindings: [],
};
export const someToken: TokenItem = {
  id: uuid(1),
  name: "ci",
  scopes: ["read"],
  limits: null,
  revealDefault: false,
  expiresAt: null,
  createdAt: SINCE,
  createdBy: "admin token",
  lastUsedAt: null,
  revokedAt: null,
  revision: 1,
};
const someInstallation = { id: uuid(1), suspendedAt: null, suspendedWhy: null, managedBy: null };
const whole = { id: uuid(1), name: "preview/1", source: "shop" };

/** The nouns that most tests do not look at, one of each. */
function others(): Pick<ApiDeps, Others> {
  return {
    repeats: memoryRepeats(),
    destinations: memoryReader<DestinationItem, DestinationFilter>([someDestination]),
    rules: memoryReader<RuleItem, RuleFilter>([someRule]),
    logins: memoryReader<LoginItem, LoginFilter>([someLogin]),
    pushes: memoryReader<PushItem, PushFilter>([somePush]),
    audit: {
      list: async () => ({ items: [], next: null }),
      export: () => (async function* () {})(),
      verify: async () => ({ ok: true, rows: 0, head: null }),
    },
    tokens: {
      ...memoryReader<TokenItem, TokenFilter>([someToken]),
      create: async () => ({ token: someToken, secret: new Secret("blt_canary") }),
      change: async () => someToken,
      revoke: async () => someToken,
    },
    custody: async () => ({ branch: whole, at: SINCE, held: [] }),
    standing: {
      of: async () => ({ branch: whole, unread: false, heldUntil: null, bindings: [] }),
      pause: async () => {},
    },
    changes: {
      follow: ({ began, ended }) => {
        queueMicrotask(() => {
          began();
          ended();
        });
        return () => {};
      },
    },
    confirm: async () => ({ source: someSource(1), confirmed: [] }),
    redeliver: async () => someEvent(1),
    hold: async () => someBranch(1),
    suspend: {
      destination: async () => someDestination,
      installation: async () => someInstallation,
      all: async () => someInstallation,
    },
    unmanage: async () => ({ file: null, since: null }),
    plan: async () => {
      throw new ApiProblem("invalid_document", "not in this test");
    },
    survey: async () => {
      throw new ApiProblem("invalid_document", "not in this test");
    },
    document: {
      apply: async () => {
        throw new ApiProblem("invalid_document", "not in this test");
      },
      progress: async () => ({ working: 0, parked: [] }),
    },
  };
}

type Others =
  | "repeats"
  | "destinations"
  | "rules"
  | "logins"
  | "pushes"
  | "audit"
  | "tokens"
  | "custody"
  | "standing"
  | "changes"
  | "confirm"
  | "redeliver"
  | "hold"
  | "suspend"
  | "unmanage"
  | "plan"
  | "survey"
  | "document";

/** The whole app on memory. `over` replaces ports. */
export function harness(
  over: Partial<Omit<ApiDeps, "webhooks">> & { webhooks?: Partial<ApiDeps["webhooks"]> } = {},
): Harness {
  const lines: string[] = [];
  const ingested: (Hint | Ignored)[] = [];
  const ingest = async (delivery: Hint | Ignored): Promise<Ingested> => {
    ingested.push(delivery);
    const ignored = "reason" in delivery;
    return { id: "1", outcome: ignored ? "ignored" : "accepted", reason: ignored ? delivery.reason : null };
  };
  const deps: ApiDeps = {
    log: createLogger({ level: "trace", destination: { write: (line) => lines.push(line) } }),
    metrics: createMetrics(),
    authenticate: adminTokenOnly(new Secret(TOKEN)),
    probes: [],
    sources: memoryReader<SourceItem, SourceFilter>([1, 2, 3].map((n) => someSource(n))),
    reveal: someReveal,
    matching: async (rule) => ({ rule, source: "shop", matches: 0, of: 0, branches: [], nearMisses: [] }),
    branches: memoryReader<BranchItem, BranchFilter>([1, 2, 3].map((n) => someBranch(n))),
    bindings: memoryReader<BindingItem, BindingFilter>([1, 2, 3].map((n) => someBinding(n))),
    events: memoryReader<EventItem, EventFilter>([3, 2, 1].map((n) => someEvent(n))),
    tell: async () => ({ binding: someBinding(1), names: [], note: null }),
    rate: { burst: 10_000, perSecond: 10_000 },
    ...others(),
    ...over,
    webhooks: {
      ingest,
      secrets: { github: () => [new Secret(GITHUB_KEY)], neon: () => [new Secret(NEON_KEY)] },
      now: () => NOW,
      ...over.webhooks,
    },
  };
  return { app: createApi(deps), deps, ingested, logged: () => lines.join("") };
}

export function githubHeaders(
  body: string | Uint8Array,
  event = "push",
  key = GITHUB_KEY,
): Record<string, string> {
  return {
    "content-type": "application/json",
    "x-github-event": event,
    "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    "x-hub-signature-256": `sha256=${createHmac("sha256", key).update(body).digest("hex")}`,
  };
}

export function neonHeaders(
  body: string | Uint8Array,
  seconds = NOW / 1_000,
  key = NEON_KEY,
): Record<string, string> {
  const bytes = Buffer.from(key.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", bytes).update(`msg_1.${seconds}.`).update(body).digest("base64");
  return {
    "content-type": "application/json",
    "webhook-id": "msg_1",
    "webhook-timestamp": String(seconds),
    "webhook-signature": `v1,${signature}`,
  };
}

export const PUSH = JSON.stringify({
  ref: "refs/heads/preview/login",
  repository: { id: 7, full_name: "acme/shop" },
});
export const BRANCH_CREATED = JSON.stringify({
  type: "branch.created",
  data: { project_id: "wispy-butterfly-1", branch_id: "br-1" },
});
