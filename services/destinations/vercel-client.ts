/**
 * Vercel's calls, as narrow as we need them. Answers are read tolerantly: unknown fields and values pass, since
 * a client that insists on a closed list turns successful writes into failures (vercel/sdk#104).
 */
import { z } from "zod";
import { type CallContext, decodeJson } from "../http.ts";
import { SyncError } from "../sync/errors.ts";
import type { Io, OutgoingResponse } from "../sync/ports.ts";
import type { Secret } from "../sync/secret.ts";
import { isAbout, itemError, vercelError, vercelProblem } from "./vercel-errors.ts";

const row = z.object({
  id: z.string().nullish(),
  key: z.string(),
  value: z.string().nullish(),
  type: z.string().nullish(),
  target: z
    .union([z.array(z.string()), z.string().transform((one) => [one])])
    .nullish()
    .transform((targets) => targets ?? []),
  gitBranch: z
    .string()
    .nullish()
    .transform((branch) => (branch === undefined || branch === "" ? null : branch)),
  customEnvironmentIds: z
    .array(z.string())
    .nullish()
    .transform((ids) => ids ?? []),
  comment: z.string().nullish(),
  createdAt: z.number().nullish(),
  updatedAt: z.number().nullish(),
  configurationId: z.string().nullish(),
});
/** One variable as Vercel shows it, of a project or of a team. */
export type VercelRow = z.output<typeof row>;

const pagination = z.object({ next: z.union([z.number(), z.string()]).nullish() }).nullish();
const envList = z.union([
  z.object({ envs: z.array(row), hiddenProductionEnvCount: z.number().nullish(), pagination }),
  row.transform((only) => ({ envs: [only], hiddenProductionEnvCount: 0, pagination: null })),
]);
const sharedList = z.object({ data: z.array(row), pagination });

/** What was refused of a batch. An item that cannot be read is a refusal all the same, of nobody knows what. */
const failed = z
  .array(z.object({ error: vercelProblem }).catch({ error: vercelProblem.parse({}) }))
  .nullish()
  .transform((items) => (items ?? []).map(({ error }) => error));

/** A batch, whether it went well, in part, or not at all. Items that are in neither list are unknown. */
const batch = z.object({
  created: z
    .union([z.array(row), row.transform((one) => [one])])
    .nullish()
    .transform((rows) => rows ?? []),
  updated: z
    .array(row)
    .nullish()
    .transform((rows) => rows ?? []),
  failed,
});
export type VercelBatch = z.output<typeof batch>;

/** A project's variables answer with how many and which, a team's with which. */
const removal = z
  .object({
    deleted: z.union([z.array(z.string()), z.number()]).nullish(),
    ids: z.array(z.string()).nullish(),
    failed,
  })
  .transform(({ deleted, ids, failed }) => ({ ids: ids ?? (Array.isArray(deleted) ? deleted : []), failed }));

/** What became of records that were to go. */
export interface VercelRemoval {
  /** Of those that are gone for sure. */
  readonly ids: readonly string[];
  /** Why a record stays, if Vercel says so. */
  refusalOf(name: string, id: string): SyncError | null;
}

const project = z.object({
  id: z.string(),
  accountId: z.string().nullish(),
  customEnvironments: z
    .array(z.object({ id: z.string(), slug: z.string() }))
    .nullish()
    .transform((environments) => environments ?? []),
  /** The git repository; without one there are no git branches either. */
  link: z.looseObject({}).nullish(),
  gitProviderOptions: z.object({ createDeployments: z.string().nullish() }).nullish(),
});
export type VercelProject = z.output<typeof project>;

const deployments = z.object({ deployments: z.array(z.unknown()) });
const team = z.object({ id: z.string(), slug: z.string().nullish() });
const user = z.object({ user: z.object({ username: z.string().nullish() }) });

/** A variable to be written. */
export interface VercelDraft {
  readonly key: string;
  readonly value: string;
  readonly type: string;
  readonly target?: readonly string[];
  readonly customEnvironmentIds?: readonly string[];
  readonly gitBranch?: string;
  readonly comment: string;
}

export interface VercelAccount {
  readonly api: string;
  readonly project: string;
  readonly team?: string | undefined;
}

/** Pages after which a listing is taken for endless. */
const MAX_PAGES = 50;

export class VercelClient {
  readonly #account: VercelAccount;
  readonly #token: Secret;
  readonly #io: Io;

  constructor(account: VercelAccount, token: Secret, io: Io) {
    this.#account = account;
    this.#token = token;
    this.#io = io;
  }

  /** All variables of the project that the token may see, and how many production ones it may not. */
  async envs(): Promise<{ rows: readonly VercelRow[]; hidden: number }> {
    const rows: VercelRow[] = [];
    let hidden = 0;
    await this.#pages("GET /v10/projects/{id}/env", this.#path("v10", "/env"), (response, context) => {
      const page = decodeJson(response, envList, context);
      rows.push(...page.envs);
      hidden = Math.max(hidden, page.hiddenProductionEnvCount ?? 0);
      return page.pagination?.next;
    });
    return { rows, hidden };
  }

  /** One variable with its value, if its type can be read. */
  async env(id: string): Promise<VercelRow> {
    const operation = "GET /v1/projects/{id}/env/{id}";
    const response = await this.#ok(operation, "GET", this.#path("v1", `/env/${encodeURIComponent(id)}`));
    return decodeJson(response, row, { vendor: "vercel", operation });
  }

  /** One batch. Resolves on any status: what became of each item is in the answer. */
  postEnvs(drafts: readonly VercelDraft[], upsert: boolean): Promise<OutgoingResponse> {
    const query = upsert ? { upsert: "true" } : {};
    return this.#call("POST /v10/projects/{id}/env", "POST", this.#path("v10", "/env"), query, drafts);
  }

  async deleteEnvs(ids: readonly string[]): Promise<VercelRemoval> {
    const operation = "DELETE /v1/projects/{id}/env";
    const response = await this.#ok(operation, "DELETE", this.#path("v1", "/env"), {}, { ids });
    return removalOf(response, { vendor: "vercel", operation });
  }

  async project(): Promise<VercelProject> {
    const operation = "GET /v9/projects/{id}";
    const response = await this.#ok(operation, "GET", this.#path("v9", ""));
    return decodeJson(response, project, { vendor: "vercel", operation });
  }

  /** Whether anything was ever deployed from this git branch. */
  async hasDeployed(projectId: string, branch: string): Promise<boolean> {
    const operation = "GET /v6/deployments";
    const query = { projectId, branch, limit: "1" };
    const response = await this.#ok(operation, "GET", "/v6/deployments", query);
    return decodeJson(response, deployments, { vendor: "vercel", operation }).deployments.length > 0;
  }

  /** The team by its id or slug. */
  async team(idOrSlug: string): Promise<z.output<typeof team>> {
    const operation = "GET /v2/teams/{id}";
    const response = await this.#ok(operation, "GET", `/v2/teams/${encodeURIComponent(idOrSlug)}`);
    return decodeJson(response, team, { vendor: "vercel", operation });
  }

  /** Whose token this is. */
  async username(): Promise<string | null> {
    const operation = "GET /v2/user";
    const response = await this.#call(operation, "GET", "/v2/user", {}, undefined, { scoped: false });
    if (response.status !== 200) return null;
    return decodeJson(response, user, { vendor: "vercel", operation }).user.username ?? null;
  }

  // -------------------------------------------------------------- variables of the team

  async sharedEnvs(): Promise<readonly VercelRow[]> {
    const rows: VercelRow[] = [];
    await this.#pages("GET /v1/env", "/v1/env", (response, context) => {
      const page = decodeJson(response, sharedList, context);
      rows.push(...page.data);
      return page.pagination?.next;
    });
    return rows;
  }

  async sharedEnv(id: string): Promise<VercelRow> {
    const operation = "GET /v1/env/{id}";
    const response = await this.#ok(operation, "GET", `/v1/env/${encodeURIComponent(id)}`);
    return decodeJson(response, row, { vendor: "vercel", operation });
  }

  postSharedEnvs(body: unknown): Promise<OutgoingResponse> {
    return this.#call("POST /v1/env", "POST", "/v1/env", {}, body);
  }

  patchSharedEnvs(body: unknown): Promise<OutgoingResponse> {
    return this.#call("PATCH /v1/env", "PATCH", "/v1/env", {}, body);
  }

  async deleteSharedEnvs(ids: readonly string[]): Promise<VercelRemoval> {
    const operation = "DELETE /v1/env";
    const response = await this.#ok(operation, "DELETE", "/v1/env", {}, { ids });
    return removalOf(response, { vendor: "vercel", operation });
  }

  // -------------------------------------------------------------- the call itself

  async #pages(
    operation: string,
    path: string,
    take: (response: OutgoingResponse, context: CallContext) => string | number | null | undefined,
  ): Promise<void> {
    let until: string | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const response = await this.#ok(operation, "GET", path, until === undefined ? {} : { until });
      const next = take(response, { vendor: "vercel", operation });
      if (next === null || next === undefined) return;
      if (String(next) === until) break;
      until = String(next);
    }
    // Half a listing would look like absence.
    throw new SyncError("internal", "the listing of vercel does not come to an end", {
      vendor: "vercel",
      operation,
    });
  }

  async #ok(
    operation: string,
    method: string,
    path: string,
    query: Readonly<Record<string, string>> = {},
    body?: unknown,
  ): Promise<OutgoingResponse> {
    const response = await this.#call(operation, method, path, query, body);
    if (response.status >= 200 && response.status < 300) return response;
    throw vercelError(response, { vendor: "vercel", operation });
  }

  #call(
    operation: string,
    method: string,
    path: string,
    query: Readonly<Record<string, string>> = {},
    body?: unknown,
    { scoped = true }: { scoped?: boolean } = {},
  ): Promise<OutgoingResponse> {
    const search = new URLSearchParams({ ...query, ...(scoped ? this.#scope() : {}) }).toString();
    return this.#io.fetch({
      vendor: "vercel",
      operation,
      method,
      url: `${this.#account.api}${path}${search === "" ? "" : `?${search}`}`,
      headers: {
        authorization: `Bearer ${this.#token.reveal()}`,
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  #scope(): Record<string, string> {
    const { team } = this.#account;
    if (team === undefined) return {};
    return team.startsWith("team_") ? { teamId: team } : { slug: team };
  }

  #path(version: string, rest: string): string {
    return `/${version}/projects/${encodeURIComponent(this.#account.project)}${rest}`;
  }
}

/** What a batch's answer says, whatever its status; null if it says nothing that can be read. */
export const batchOf = (response: OutgoingResponse): VercelBatch | null => read(response, batch);

/** An answer that cannot be read confirms nothing. */
function removalOf(response: OutgoingResponse, context: CallContext): VercelRemoval {
  const { ids, failed } = read(response, removal) ?? { ids: [], failed: [] };
  return {
    ids,
    refusalOf: (name, id) => {
      const problem = failed.find((each) => isAbout(each, name, id));
      return problem === undefined ? null : itemError(problem, name, response, context);
    },
  };
}

function read<T>({ body }: OutgoingResponse, schema: z.ZodType<T>): T | null {
  try {
    return schema.parse(JSON.parse(body));
  } catch {
    return null; // the status has to do
  }
}
