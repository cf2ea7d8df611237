/** GitHub's secrets and variables, seen and changed. */
import { z } from "zod";
import { SyncError } from "../sync/errors.ts";
import type {
  Applied,
  Change,
  Destination,
  Io,
  Observation,
  ObservedName,
  ObserveOptions,
  ResolveCredential,
} from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";
import { appAuth, type GitHubAuth, tokenAuth } from "./github-auth.ts";
import { type GitHubCall, GitHubClient } from "./github-client.ts";
import { githubError } from "./github-errors.ts";
import { type GitHubItem, GitHubShelf } from "./github-shelf.ts";
import { type GitHubBlock, type GitHubTarget, githubPlace, githubRoom } from "./github-target.ts";
import { GitHubWriter } from "./github-writer.ts";

const repository = z.object({ id: z.number() });

export class GitHubDestination implements Destination<GitHubTarget> {
  readonly #block: GitHubBlock;
  readonly #auth: GitHubAuth;
  readonly #io: Io;
  /** Visibility of organization secrets as they were observed, to be sent again with every write. */
  readonly #visibility = new WeakMap<ObservedName, string>();
  /** Places whose environment was not there when they were observed. */
  readonly #missing = new Set<string>();

  constructor(block: GitHubBlock, credential: ResolveCredential, io: Io) {
    this.#block = block;
    this.#auth = authOf(block, credential, io);
    this.#io = io;
  }

  async check(target: GitHubTarget): Promise<void> {
    await this.#requireAccount(target);
    const client = this.#client(target);
    if (target.scope.kind === "repository") {
      const { id } = await client.json(REPOSITORY, repository);
      if (target.scope.id !== null && target.scope.id !== id) throw otherRepository(target.scope.id, id);
    }
    if (target.environment !== null && !(await this.#hasEnvironment(client, target.environment))) {
      if (target.createEnvironment) return;
      throw missingEnvironment(target.environment);
    }
    await new GitHubShelf(client, target).probe();
  }

  /** GitHub lists each repository, environment and organization by itself, so all targets here are one place. */
  async observe(
    targets: readonly GitHubTarget[],
    { first = false }: Pick<ObserveOptions, "first"> = {},
  ): Promise<readonly Observation[]> {
    const [target] = targets;
    if (target === undefined) return [];
    const { items, complete } = await this.#list(target, first);
    return targets.map(() => ({
      complete,
      contents: true,
      exists: true,
      version: null,
      mark: null,
      foreign: null,
      names: items.map((item) => this.#see(item, target)),
      room: githubRoom(target),
    }));
  }

  async apply(target: GitHubTarget, changes: readonly Change[]): Promise<readonly Applied[]> {
    const client = this.#client(target);
    const writer = new GitHubWriter({
      shelf: new GitHubShelf(client, target),
      target,
      visibility: this.#visibility,
      createEnvironment: () => this.#createEnvironment(client, target),
      environmentIsMissing: this.#missing.has(githubPlace(target)),
    });
    return await writer.apply(changes);
  }

  // -------------------------------------------------------------- seeing

  async #list(
    target: GitHubTarget,
    first: boolean,
  ): Promise<{ items: readonly GitHubItem[]; complete: boolean }> {
    const client = this.#client(target);
    const { environment, createEnvironment } = target;
    const creates = environment !== null && createEnvironment;
    // Absent only if the repository is there and says that it has no such environment.
    const ask = async (name: string): Promise<boolean> => {
      const [there] = await Promise.all([
        this.#hasEnvironment(client, name),
        client.json(REPOSITORY, repository),
      ]);
      return there;
    };
    const listed = new GitHubShelf(client, target).list();
    const asked = first && creates ? ask(environment) : null;
    asked?.catch(() => undefined); // counts only where the list finds nothing
    try {
      return await listed;
    } catch (thrown) {
      const missing = thrown instanceof SyncError && thrown.code === "target_missing";
      if (!missing || !creates) throw thrown;
      if (await (asked ?? ask(environment))) throw thrown;
      this.#missing.add(githubPlace(target));
      return { items: [], complete: true };
    }
  }

  #see(item: GitHubItem, target: GitHubTarget): ObservedName {
    const readable = target.as === "variable" && typeof item.value === "string";
    const seen: ObservedName = {
      name: item.name,
      fingerprint: readable ? this.#io.fingerprint(new Secret(item.value ?? "")) : null,
      version: item.updated_at ?? null,
      mark: null,
      foreign: null,
      createdAt: dateOf(item.created_at),
    };
    if (item.visibility) this.#visibility.set(seen, item.visibility);
    return seen;
  }

  // -------------------------------------------------------------- environments

  async #hasEnvironment(client: GitHubClient, environment: string): Promise<boolean> {
    const call = environmentCall("GET", environment);
    const response = await client.send(call);
    if (response.status === 200) return true;
    if (response.status === 404) return false;
    throw githubError(response, { vendor: "github", operation: call.operation });
  }

  /** Only one that is certainly not there, and without a body: a put resets the rules of one that is. */
  async #createEnvironment(
    client: GitHubClient,
    { environment, createEnvironment }: GitHubTarget,
  ): Promise<boolean> {
    if (environment === null || !createEnvironment) return false;
    if (await this.#hasEnvironment(client, environment)) return false;
    await client.ok(environmentCall("PUT", environment));
    return true;
  }

  // -------------------------------------------------------------- account

  #client(target: GitHubTarget): GitHubClient {
    return new GitHubClient({
      api: this.#block.api,
      scope: target.scope,
      auth: this.#auth,
      io: this.#io,
    });
  }

  /** An app must be installed on the very owner that the configuration names. */
  async #requireAccount({ scope }: GitHubTarget): Promise<void> {
    const login = await this.#auth.account();
    const expected = scope.kind === "organization" ? scope.login : scope.owner;
    if (login === null || login.toLowerCase() === expected.toLowerCase()) return;
    const named = /^[\w-]{1,100}$/.test(login) ? login : "another account";
    throw new SyncError("wrong_account", `expected ${expected}, credential belongs to ${named}`, {
      vendor: "github",
      operation: "GET /app/installations/{id}",
      next: "Correct `app.installation`, or the repository or organization.",
    });
  }
}

/** There is no room for a mark, so the core tells an unrecorded claim by this. */
function dateOf(text: string | null | undefined): Date | null {
  const ms = Date.parse(text ?? "");
  return Number.isNaN(ms) ? null : new Date(ms);
}

const REPOSITORY: GitHubCall = { operation: "GET /repos/{owner}/{repo}", method: "GET", path: "" };

function environmentCall(method: "GET" | "PUT", environment: string): GitHubCall {
  return {
    operation: `${method} /repos/{owner}/{repo}/environments/{environment}`,
    method,
    path: `/environments/${encodeURIComponent(environment)}`,
  };
}

function authOf(block: GitHubBlock, credential: ResolveCredential, io: Io): GitHubAuth {
  const { api, app, token } = block;
  if (app !== undefined) return appAuth(api, app, credential(app.privateKey), io);
  if (token !== undefined) return tokenAuth(credential(token));
  throw new SyncError("internal", "a github destination without token and app");
}

function otherRepository(expected: number, found: number): SyncError {
  return new SyncError("wrong_account", `expected the repository of id ${expected}, found ${found}`, {
    vendor: "github",
    operation: REPOSITORY.operation,
    next: "Correct `repositoryId` or `repository`.",
  });
}

function missingEnvironment(environment: string): SyncError {
  const named = /^[\w /.-]{1,100}$/.test(environment) ? environment : "of the target";
  return new SyncError("target_missing", `github's repository has no environment ${named}`, {
    vendor: "github",
    operation: environmentCall("GET", "").operation,
    next: "Create the environment, or say `createEnvironment: true` in the target.",
  });
}
