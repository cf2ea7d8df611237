/**
 * Applies one push to one place at GitHub: name after name, a pause between writes, and one listing at the
 * end that tells the version which every name has now.
 */
import { asSyncError, SyncError } from "../sync/errors.ts";
import type { Applied, Change, ObservedName, OutgoingResponse, Put } from "../sync/ports.ts";
import type { Access, GitHubShelf } from "./github-shelf.ts";
import type { GitHubTarget } from "./github-target.ts";
import { done, failed, failsAll, notTried } from "./results.ts";

/** A version further from the answer's `Date` than this was made by somebody else's write. */
const SAME_WRITE_MS = 1_000;

export interface GitHubWriterOptions {
  readonly shelf: GitHubShelf;
  readonly target: GitHubTarget;
  /** Visibility of organization secrets as observed. */
  readonly visibility: WeakMap<ObservedName, string>;
  /** Creates the environment if it is missing and may be created; false if there is nothing to do. */
  readonly createEnvironment: () => Promise<boolean>;
  /** It was not there when the place was looked at. */
  readonly environmentIsMissing: boolean;
}

export class GitHubWriter {
  readonly #options: GitHubWriterOptions;
  /** When the vendor answered each put that it took. */
  readonly #taken = new Map<string, Date | undefined>();
  readonly #results = new Map<string, Applied>();

  constructor(options: GitHubWriterOptions) {
    this.#options = options;
  }

  /** One result per change, in order. Puts come first; nothing is deleted while a put has failed. */
  async apply(changes: readonly Change[]): Promise<readonly Applied[]> {
    const puts = changes.some(({ op }) => op === "put");
    // Should that fail, the first name fails in the same way and says so.
    if (puts && this.#options.environmentIsMissing)
      await this.#options.createEnvironment().catch(() => false);
    let trouble: SyncError | null = null;
    for (const change of changes) {
      if (change.op !== "put") continue;
      if (trouble !== null) this.#set(notTried(change.name, trouble));
      else trouble = await this.#put(change);
    }
    await this.#readBack();
    trouble = [...this.#results.values()].find(({ error }) => error !== null)?.error ?? null;
    for (const change of changes) {
      if (change.op !== "delete") continue;
      if (trouble !== null) this.#set(notTried(change.name, trouble));
      else trouble = await this.#delete(change.name);
    }
    return changes.map(({ name }) => this.#results.get(name) ?? done(name, null));
  }

  // -------------------------------------------------------------- one change

  /** Answers the error if it would meet the next name too. */
  async #put(put: Put): Promise<SyncError | null> {
    try {
      const { date } = await this.#inEnvironment(() => this.#write(put));
      this.#taken.set(put.name, date);
      return null;
    } catch (thrown) {
      const error = asSyncError(thrown);
      this.#set(failed(put.name, error));
      return failsAll(error) ? error : null;
    }
  }

  async #delete(name: string): Promise<SyncError | null> {
    try {
      await this.#options.shelf.delete(name);
      this.#set(done(name, null));
      return null;
    } catch (thrown) {
      const error = asSyncError(thrown);
      this.#set(failed(name, error));
      return failsAll(error) ? error : null;
    }
  }

  async #write(put: Put): Promise<OutgoingResponse> {
    const { shelf, target } = this.#options;
    if (target.as === "secret") return await shelf.putSecret(put, await this.#access(put));
    return put.observed === null && !put.owned
      ? await this.#createVariable(put)
      : await this.#updateVariable(put);
  }

  /** A variable that is there already is fine if it has our value: then an answer of ours was lost. */
  async #createVariable(put: Put): Promise<OutgoingResponse> {
    const { shelf } = this.#options;
    const response = await shelf.createVariable(put, await this.#access(put));
    if (response.status === 201) return response;
    if (response.status !== 409) throw shelf.refusal(response, "POST");
    const there = await shelf.one(put.name);
    if (there.value === put.value.reveal()) return response;
    throw new SyncError("not_owned", `${put.name} is a variable that exists already`, {
      vendor: "github",
      names: [put.name],
      status: 409,
      next: "Adopt the name or choose another.",
    });
  }

  async #updateVariable(put: Put): Promise<OutgoingResponse> {
    const { shelf } = this.#options;
    const response = await shelf.updateVariable(put);
    if (response.status === 404) return await this.#createVariable(put);
    if (response.status >= 300) throw shelf.refusal(response, "PATCH");
    return response;
  }

  /** Runs once more if the environment was missing and has been created. */
  async #inEnvironment(run: () => Promise<OutgoingResponse>): Promise<OutgoingResponse> {
    try {
      return await run();
    } catch (thrown) {
      const missing = asSyncError(thrown).code === "target_missing";
      if (!missing || !(await this.#options.createEnvironment())) throw thrown;
      return await run();
    }
  }

  // -------------------------------------------------------------- who may see it

  /** Organization: what exists keeps its visibility and its repositories, whatever the rule says. */
  async #access(put: Put): Promise<Access> {
    const { shelf, target, visibility } = this.#options;
    if (target.scope.kind !== "organization") return {};
    if (put.observed === null && !put.owned) return await this.#accessOfNew(target.scope.login);
    const seen = put.observed === null ? undefined : visibility.get(put.observed);
    const now = seen ?? (await shelf.one(put.name).catch(missingAsNull))?.visibility;
    if (now == null) return await this.#accessOfNew(target.scope.login);
    if (now !== "selected") return { visibility: now };
    return { visibility: now, selected_repository_ids: await shelf.selected(put.name) };
  }

  async #accessOfNew(login: string): Promise<Access> {
    const { shelf, target } = this.#options;
    const { visibility, selectedRepositories } = target;
    if (visibility !== "selected") return { visibility };
    const ids: number[] = [];
    for (const each of selectedRepositories) {
      ids.push(typeof each === "number" ? each : await shelf.repositoryId(login, each));
    }
    return { visibility, selected_repository_ids: ids };
  }

  // -------------------------------------------------------------- versions

  /** GitHub answers a put with nothing, so the versions are read back by one listing. */
  async #readBack(): Promise<void> {
    if (this.#taken.size === 0) return;
    const listed = await this.#options.shelf.list().catch(() => null);
    const versions = new Map(listed?.items.map(({ name, updated_at }) => [name, updated_at ?? null]));
    for (const [name, answered] of this.#taken) {
      const version = versions.get(name) ?? null;
      const apart = Math.abs(Date.parse(version ?? "") - (answered?.getTime() ?? Number.NaN));
      // Not a number is not within a second either.
      this.#set({ name, version, unsettled: !(apart <= SAME_WRITE_MS), error: null });
    }
  }

  #set(result: Applied): void {
    this.#results.set(result.name, result);
  }
}

function missingAsNull(thrown: unknown): null {
  if (asSyncError(thrown).code === "target_missing") return null;
  throw thrown;
}
