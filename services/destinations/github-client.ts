/** GitHub's REST API as we need it: authorisation, moved repositories, and pages. */
import type { z } from "zod";
import { type CallContext, decodeJson } from "../http.ts";
import { SyncError } from "../sync/errors.ts";
import type { Io, OutgoingResponse } from "../sync/ports.ts";
import type { Secret } from "../sync/secret.ts";
import { API_HEADERS, type GitHubAuth, type Narrowing } from "./github-auth.ts";
import { githubError } from "./github-errors.ts";
import type { GitHubTarget } from "./github-target.ts";

export interface GitHubCall {
  /** "PUT /repos/{owner}/{repo}/actions/secrets/{name}" */
  readonly operation: string;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Below the repository or organization, for example "/actions/secrets"; or absolute with `root`. */
  readonly path: string;
  readonly root?: boolean;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface GitHubClientOptions {
  readonly api: string;
  readonly scope: GitHubTarget["scope"];
  readonly auth: GitHubAuth;
  readonly io: Io;
}

/** Old address to id of repositories that were renamed or transferred, for the life of the process. */
const moved = new Map<string, number>();

const MAX_PAGES = 50;

export class GitHubClient {
  readonly #options: GitHubClientOptions;

  constructor(options: GitHubClientOptions) {
    this.#options = options;
  }

  /** The answer, whatever its status. A refused app token is replaced once, a moved repository followed once. */
  async send(call: GitHubCall): Promise<OutgoingResponse> {
    const pass = await this.#authorise();
    let response = await this.#once(call, pass.token);
    if (response.status === 401 && this.#options.auth.renew(pass.narrowing)) {
      response = await this.#once(call, (await this.#authorise()).token);
    }
    if (this.#learnMove(response)) response = await this.#once(call, (await this.#authorise()).token);
    return response;
  }

  /** The answer if it is a success; throws what it means otherwise. */
  async ok(call: GitHubCall): Promise<OutgoingResponse> {
    const response = await this.send(call);
    if (response.status >= 200 && response.status < 300) return response;
    throw githubError(response, contextOf(call));
  }

  async json<T>(call: GitHubCall, schema: z.ZodType<T>): Promise<T> {
    return decodeJson(await this.ok(call), schema, contextOf(call));
  }

  /** Every page of a listing, and whether as much came as GitHub says there is. */
  async pages<T>(
    call: GitHubCall,
    perPage: number,
    schema: z.ZodType<{ total: number; items: readonly T[] }>,
  ): Promise<{ items: readonly T[]; complete: boolean }> {
    const items: T[] = [];
    for (let page = 1; page <= MAX_PAGES; page += 1) {
      const query = {
        ...call.query,
        per_page: String(perPage),
        ...(page === 1 ? {} : { page: String(page) }),
      };
      const part = await this.json({ ...call, query }, schema);
      items.push(...part.items);
      if (items.length >= part.total) return { items, complete: true };
      if (part.items.length === 0) break;
    }
    return { items, complete: false };
  }

  // -------------------------------------------------------------- one request

  async #once(call: GitHubCall, token: Secret): Promise<OutgoingResponse> {
    const { api, io } = this.#options;
    const search = new URLSearchParams(call.query).toString();
    const path = call.root === true ? call.path : `${this.#base()}${call.path}`;
    return await io.fetch({
      vendor: "github",
      operation: call.operation,
      method: call.method,
      url: `${api}${path}${search === "" ? "" : `?${search}`}`,
      headers: {
        ...API_HEADERS,
        authorization: `Bearer ${token.reveal()}`,
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
    });
  }

  #base(): string {
    const { scope } = this.#options;
    if (scope.kind === "organization") return `/orgs/${encodeURIComponent(scope.login)}`;
    const id = this.#repositoryId();
    return id === null ? this.#nameBase(scope) : `/repositories/${id}`;
  }

  #nameBase({ owner, name }: { owner: string; name: string }): string {
    return `/repos/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`;
  }

  /** The id by configuration, or as a redirect has taught it. */
  #repositoryId(): number | null {
    const { scope } = this.#options;
    if (scope.kind === "organization") return null;
    return scope.id ?? moved.get(this.#moveKey()) ?? null;
  }

  /**
   * A renamed or transferred repository answers with its id. Only an address of this very API is followed, and
   * only by us: the token goes nowhere else. Calls that left together learn it each for itself. https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
   */
  #learnMove({ status, headers }: OutgoingResponse): boolean {
    const { api, scope } = this.#options;
    if (![301, 302, 307, 308].includes(status) || scope.kind === "organization" || scope.id !== null) {
      return false;
    }
    const location = headers["location"] ?? "";
    const prefix = `${api}/repositories/`;
    const [, id] = location.startsWith(prefix)
      ? (/^(\d{1,15})([/?]|$)/.exec(location.slice(prefix.length)) ?? [])
      : [];
    if (id === undefined) return false;
    moved.set(this.#moveKey(), Number(id));
    return true;
  }

  #moveKey(): string {
    const { api, scope } = this.#options;
    return scope.kind === "organization" ? "" : `${api} ${scope.owner}/${scope.name}`.toLowerCase();
  }

  // -------------------------------------------------------------- app tokens for a moved repository

  /**
   * A token, narrowed to the repository. An app cannot ask for one by its old name, so when that is refused the
   * repository's id is looked up once with a token of the installation as it is.
   */
  async #authorise(): Promise<{ narrowing: Narrowing; token: Secret }> {
    const { scope, auth } = this.#options;
    const id = this.#repositoryId();
    const byName = scope.kind === "organization" ? null : { repository: scope.name };
    const narrowing = id === null ? byName : { repositoryId: id };
    try {
      return { narrowing, token: await auth.token(narrowing) };
    } catch (thrown) {
      const unknown = thrown instanceof SyncError && thrown.where.status === 422;
      if (!unknown || scope.kind === "organization") throw thrown;
      if (id === null && this.#repositoryId() === null) await this.#lookUpMove();
      // Another call may have learned it meanwhile.
      if (id !== null || this.#repositoryId() === null) throw outOfReach(scope);
      return await this.#authorise();
    }
  }

  async #lookUpMove(): Promise<void> {
    const call: GitHubCall = { operation: "GET /repos/{owner}/{repo}", method: "GET", path: "" };
    this.#learnMove(await this.#once(call, await this.#options.auth.token(null)));
  }
}

function outOfReach({ owner, name }: { owner: string; name: string }): SyncError {
  return new SyncError("target_missing", `github's app has no access to ${owner}/${name}`, {
    vendor: "github",
    operation: "POST /app/installations/{id}/access_tokens",
    status: 422,
    next: "Correct `repository`, or add it to the installation of the app.",
  });
}

function contextOf({ operation, method }: GitHubCall): CallContext {
  return { vendor: "github", operation, write: method !== "GET" };
}
