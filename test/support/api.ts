/** The admin API over a whole Branchline in this process, asked without sockets. */
import { adminRouter } from "../../services/api/app.ts";
import { depsFromStore } from "../../services/api/from-store.ts";
import { ApiProblem } from "../../services/api/problems.ts";
import type { RateLimit } from "../../services/api/rate.ts";
import type { Router } from "../../services/api/router.ts";
import type { TrustedIssuer } from "../../services/file/auth.ts";
import { Secret } from "../../services/sync/secret.ts";
import { openSource } from "../../workers/runtime.ts";
import type { TestApp } from "./app.ts";

const ADMIN = "admin-token-of-a-test-0123456789";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers have many shapes, and a test that expects another one fails by it
  readonly json: any;
}

export interface TestApi {
  readonly router: Router;
  readonly admin: string;
  ask(method: string, path: string, more?: Asking): Promise<Answer>;
  get(path: string, token?: string): Promise<Answer>;
  post(path: string, body?: unknown, token?: string): Promise<Answer>;
  /** The answer as it comes, for what does not end by itself. */
  raw(method: string, path: string, more?: Asking): Promise<Response>;
  stop(): void;
}

export interface Asking {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Instead of `body`: as it is. */
  readonly text?: string;
}

export interface ApiOptions {
  readonly rate?: RateLimit;
  readonly sourcesOf?: (repository: string) => readonly string[];
  readonly trusted?: () => readonly TrustedIssuer[];
}

export function adminApi(
  app: TestApp,
  { rate, sourcesOf = () => [], trusted = () => [] }: ApiOptions = {},
): TestApi {
  const { runtime, database } = app;
  const refuse = async () => {
    throw new ApiProblem("invalid_document", "not in this test");
  };
  const { stop, ...deps } = depsFromStore({
    database,
    adminToken: new Secret(ADMIN),
    sourcesOf,
    traits: (kind) => runtime.destinations.get(kind)?.traits,
    open: (row, signal) => openSource(runtime, row, signal),
    fingerprint: runtime.fingerprint,
    kick: runtime.kick,
    onError: () => {},
    trusted,
  });
  const router = adminRouter({
    ...deps,
    log: runtime.log,
    metrics: runtime.metrics,
    rate: rate ?? { burst: 100_000, perSecond: 100_000 },
    plan: refuse,
    survey: refuse,
    document: { apply: refuse, progress: async () => ({ working: 0, parked: [] }) },
    webhooks: {
      ingest: async () => ({ id: "1", outcome: "accepted", reason: null }),
      secrets: { github: () => [], neon: () => [] },
    },
  });
  const raw: TestApi["raw"] = async (method, path, { token = ADMIN, headers = {}, body, text } = {}) => {
    const sent = text ?? (body === undefined ? undefined : JSON.stringify(body));
    return await router.app.request(path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(sent === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(sent === undefined ? {} : { body: sent }),
    });
  };
  const ask: TestApi["ask"] = async (method, path, more) => {
    const response = await raw(method, path, more);
    const text = await response.text();
    const isJson = /json$/.test(response.headers.get("content-type") ?? "");
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : null,
    };
  };
  return {
    router,
    admin: ADMIN,
    raw,
    ask,
    get: async (path, token) => await ask("GET", path, token === undefined ? {} : { token }),
    post: async (path, body, token) =>
      await ask("POST", path, { body, ...(token === undefined ? {} : { token }) }),
    stop,
  };
}
