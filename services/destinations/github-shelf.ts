/** The calls for one place at GitHub: the secrets or the variables of a repository, environment or organization. */
import { z } from "zod";
import { SyncError } from "../sync/errors.ts";
import type { OutgoingResponse, Put } from "../sync/ports.ts";
import type { GitHubCall, GitHubClient } from "./github-client.ts";
import { githubError } from "./github-errors.ts";
import { type PublicKey, PublicKeys, publicKey, seal } from "./github-seal.ts";
import { type GitHubTarget, githubPlace } from "./github-target.ts";

const item = z.object({
  name: z.string().transform((name) => name.toUpperCase()),
  created_at: z.string().nullish(),
  updated_at: z.string().nullish(),
  value: z.string().nullish(),
  visibility: z.string().nullish(),
});
export type GitHubItem = z.output<typeof item>;

const secretPage = z
  .object({ total_count: z.number(), secrets: z.array(item) })
  .transform(({ total_count, secrets }) => ({ total: total_count, items: secrets }));
const variablePage = z
  .object({ total_count: z.number(), variables: z.array(item) })
  .transform(({ total_count, variables }) => ({ total: total_count, items: variables }));
const repositoryPage = z
  .object({ total_count: z.number(), repositories: z.array(z.object({ id: z.number() })) })
  .transform(({ total_count, repositories }) => ({ total: total_count, items: repositories }));
const identified = z.object({ id: z.number() });

/** Who sees an organization's secret: sent with every write, or GitHub resets it. */
export interface Access {
  readonly visibility?: string;
  readonly selected_repository_ids?: readonly number[];
}

const keys = new PublicKeys();

export class GitHubShelf {
  readonly #client: GitHubClient;
  readonly #target: GitHubTarget;

  constructor(client: GitHubClient, target: GitHubTarget) {
    this.#client = client;
    this.#target = target;
  }

  /** Names, times and (of variables) values. One call a page. */
  list(): Promise<{ items: readonly GitHubItem[]; complete: boolean }> {
    // GitHub gives at most 30 variables a page, and 100 secrets.
    return this.#target.as === "variable"
      ? this.#client.pages(this.#call("GET", ""), 30, variablePage)
      : this.#client.pages(this.#call("GET", ""), 100, secretPage);
  }

  /** Whether the credential may read here at all; throws what GitHub says otherwise. */
  async probe(): Promise<void> {
    await this.#client.ok({ ...this.#call("GET", ""), query: { per_page: "1" } });
  }

  /**
   * Writes one secret, whether it is there or not: GitHub knows no create-only. A refusal may mean that the
   * public key has been replaced, so the key is asked for again, once.
   */
  async putSecret(put: Put, access: Access): Promise<OutgoingResponse> {
    const place = githubPlace(this.#target);
    const first = await this.#publicKey(place);
    const response = await this.#sendSecret(put, first, access);
    if (response.status === 404) keys.forget(place); // its environment may be another one next time
    if (response.status !== 422) return this.#fine(response, "PUT", "/{name}");
    keys.forget(place);
    const second = await this.#publicKey(place);
    const last = second.key_id === first.key_id ? response : await this.#sendSecret(put, second, access);
    return this.#fine(last, "PUT", "/{name}");
  }

  /** Creates a variable; 409 if there is one. */
  createVariable({ name, value }: Put, access: Access): Promise<OutgoingResponse> {
    const body = { name, value: value.reveal(), ...access };
    return this.#client.send({ ...this.#call("POST", ""), body });
  }

  /** Changes a variable; 404 if there is none. */
  updateVariable({ name, value }: Put): Promise<OutgoingResponse> {
    // Visibility is left out here: what is not sent stays.
    return this.#client.send({
      ...this.#call("PATCH", "/{name}", name),
      body: { name, value: value.reveal() },
    });
  }

  /** The error of a variable's answer. */
  refusal(response: OutgoingResponse, method: "POST" | "PATCH"): Error {
    const { operation } = this.#call(method, method === "POST" ? "" : "/{name}");
    return githubError(response, { vendor: "github", operation });
  }

  /** What is gone already counts as done. */
  async delete(name: string): Promise<void> {
    const response = await this.#client.send(this.#call("DELETE", "/{name}", name));
    if (response.status !== 404) this.#fine(response, "DELETE", "/{name}");
  }

  async one(name: string): Promise<GitHubItem> {
    return await this.#client.json(this.#call("GET", "/{name}", name), item);
  }

  /**
   * Ids of the repositories that see an organization's secret of visibility "selected": all of them, since the next
   * write takes it from those that it does not name. Throws `unavailable` if GitHub shows fewer than there are.
   */
  async selected(name: string): Promise<readonly number[]> {
    const call = this.#call("GET", "/{name}", name);
    const list = { ...call, path: `${call.path}/repositories`, operation: `${call.operation}/repositories` };
    const { items, complete } = await this.#client.pages(list, 100, repositoryPage);
    if (complete) return items.map(({ id }) => id);
    throw new SyncError("unavailable", `github shows only some of the repositories that see ${name}`, {
      vendor: "github",
      operation: list.operation,
      names: [name],
      next: "Nothing: it is not written before all of them are known, and tried again.",
    });
  }

  /** The id of a repository by name, with or without its owner. */
  async repositoryId(owner: string, name: string): Promise<number> {
    const [ofOwner, ofName] = name.includes("/") ? name.split("/") : [owner, name];
    const path = `/repos/${encodeURIComponent(ofOwner ?? "")}/${encodeURIComponent(ofName ?? "")}`;
    const call: GitHubCall = { operation: "GET /repos/{owner}/{repo}", method: "GET", path, root: true };
    return (await this.#client.json(call, identified)).id;
  }

  // -------------------------------------------------------------- helpers

  #publicKey(place: string): Promise<PublicKey> {
    return keys.get(place, () => this.#client.json(this.#call("GET", "/public-key"), publicKey));
  }

  async #sendSecret({ name, value }: Put, key: PublicKey, access: Access): Promise<OutgoingResponse> {
    const body = { ...(await seal(value, key)), ...access };
    return this.#client.send({ ...this.#call("PUT", "/{name}", name), body });
  }

  #fine(response: OutgoingResponse, method: GitHubCall["method"], rest: string): OutgoingResponse {
    if (response.status >= 200 && response.status < 300) return response;
    const { operation } = this.#call(method, rest);
    throw githubError(response, { vendor: "github", operation, write: true });
  }

  #call(method: GitHubCall["method"], rest: string, name = ""): GitHubCall {
    const { scope, environment, family, as } = this.#target;
    const base = scope.kind === "organization" ? "/orgs/{org}" : "/repos/{owner}/{repo}";
    const level = environment === null ? `/${family}` : "/environments/{environment}";
    const path = level.replace("{environment}", encodeURIComponent(environment ?? ""));
    return {
      operation: `${method} ${base}${level}/${as}s${rest}`,
      method,
      path: `${path}/${as}s${rest.replace("{name}", encodeURIComponent(name))}`,
    };
  }
}
