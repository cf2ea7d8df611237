/** A Branchline without a file of its own, on a sandbox: what is to be is told to it over the API. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { addressed, credentialsOf } from "../../infra/demo/world.ts";
import { type Sandbox, startSandbox } from "../../infra/sandbox/index.ts";
import type { AppliedDocument, Progress } from "../../services/api/apply.ts";
import { type Service, startService } from "../../services/cli/service.ts";
import { createLogger } from "../../services/log.ts";
import type { DocumentPlan } from "../../services/sync/document-plan.ts";
import { Secret } from "../../services/sync/secret.ts";
import { createDatabase } from "./postgres.ts";
import { ROOT } from "./process.ts";
import { until } from "./until.ts";

export interface InstallationOptions {
  /** Patterns of BRANCHLINE_REFS. */
  readonly allowed: readonly string[];
  /** Beside what opens the sandbox. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Answer<T> {
  readonly status: number;
  /** A problem, where the status is none of the good ones. */
  readonly body: T & { readonly type?: string; readonly detail?: string };
}

export interface Installation {
  readonly sandbox: Sandbox;
  readonly service: Service;
  readonly url: string;
  readonly token: string;
  readonly databaseUrl: string;
  readonly masterKey: Uint8Array;
  /** The names of variables that were looked up so far. */
  readonly resolved: ReadonlySet<string>;
  /** The demo's file at this sandbox, without proofs. */
  readonly file: string;
  /** How many requests reached the stand-ins. */
  requests(): number;
  plan(text: string, more?: object): Promise<Answer<DocumentPlan>>;
  apply(text: string, more?: object): Promise<Answer<AppliedDocument>>;
  get<T>(path: string): Promise<Answer<T>>;
  /** Waits until nothing is on its way any more. */
  settled(): Promise<Progress>;
  stop(): Promise<void>;
}

export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  const [sandbox, database] = await Promise.all([startSandbox(), createDatabase({ migrated: true })]);
  const token = randomBytes(24).toString("base64url");
  const masterKey = randomBytes(32);
  const resolved = new Set<string>();
  const known: Record<string, string> = { ...credentialsOf(sandbox), ...options.environment };
  const environment = new Proxy(known, {
    get: (target, name) => {
      if (typeof name === "string") resolved.add(name);
      return Reflect.get(target, name) as string | undefined;
    },
  });
  const service = await startService({
    databaseUrl: database.url,
    redisUrl: null,
    masterKey,
    adminToken: new Secret(token),
    configuration: null,
    environment,
    allowedReferences: options.allowed,
    roles: { api: true, worker: true },
    host: "127.0.0.1",
    port: 0,
    webhookPort: null,
    settings: { watchEveryMs: 200 },
    log: createLogger({ level: "silent" }),
  });
  const url = service.apiUrl ?? "";
  const call = async <T>(path: string, body?: object): Promise<Answer<T>> => {
    const response = await fetch(`${url}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Answer<T>["body"] };
  };
  const vendors = [sandbox.neon, sandbox.vercel, sandbox.github, sandbox.aws, sandbox.vault];
  const sent = (text: string, more: object) => ({ files: [{ name: "branchline.yaml", text }], ...more });
  const demo = readFileSync(join(ROOT, "infra/demo/branchline.yaml"), "utf8");
  const file = addressed(demo, sandbox, "")
    .replaceAll("    database: shop\n", "    database: shop\n    proof: never\n")
    .replace("  database: shop\n  onBranchDelete", "  database: shop\n  proof: never\n  onBranchDelete");
  return {
    sandbox,
    service,
    url,
    token,
    databaseUrl: database.url,
    masterKey,
    resolved,
    file,
    requests: () => vendors.reduce((sum, { log }) => sum + log.length, 0),
    plan: async (text, more = {}) => await call("/v1/plan", sent(text, more)),
    apply: async (text, more = {}) => await call("/v1/apply", sent(text, more)),
    get: async (path) => await call(path),
    settled: async () =>
      await until(
        async () => {
          const { body } = await call<Progress>("/v1/apply");
          return body.working === 0 ? body : null;
        },
        { what: "everything to be settled" },
      ),
    stop: async () => {
      await service.stop();
      await sandbox.close();
      await database.drop();
    },
  };
}
