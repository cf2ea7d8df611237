/** Vercel's variables, seen and changed. One listing to observe; one batch to create, one to update, one to delete. */
import { asSyncError, SyncError } from "../sync/errors.ts";
import type {
  Applied,
  Change,
  Claim,
  Destination,
  Io,
  Observation,
  ObservedName,
  ObserveOptions,
} from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";
import { parseMark } from "./mark.ts";
import { VercelBatchWriter } from "./vercel-batch.ts";
import { VercelClient, type VercelProject, type VercelRow } from "./vercel-client.ts";
import { covers, foreignOf, inEnvironment, type ResolvedTarget, versionOf } from "./vercel-rows.ts";
import { projectShelf, sharedShelf, type VercelShelf } from "./vercel-shelves.ts";
import type { VercelBlock, VercelTarget } from "./vercel-target.ts";

/** Ids of projects and custom environments change rarely: one look per process, renewed when they are not found. */
const projects = new Map<string, Promise<VercelProject>>();

export class VercelDestination implements Destination<VercelTarget> {
  readonly #block: VercelBlock;
  readonly #client: VercelClient;
  readonly #io: Io;
  /** Ids of the records that were observed, so that a delete need not list again. */
  readonly #ids = new WeakMap<ObservedName, string>();

  constructor(block: VercelBlock, token: Secret, io: Io) {
    this.#block = block;
    this.#client = new VercelClient(block, token, io);
    this.#io = io;
  }

  async check(target: VercelTarget): Promise<void> {
    projects.delete(this.#projectKey);
    try {
      const project = await this.#project();
      await this.#requireAccount(project);
    } catch (thrown) {
      throw await this.#named(asSyncError(thrown));
    }
    await this.#resolve(target);
  }

  /**
   * Vercel says only to a write whether it knows a git branch. It deploys every push, so a branch of which it has
   * deployed nothing is one that it does not know yet; a project that deploys nothing by itself tells nothing.
   */
  async foretell({ gitBranch }: VercelTarget): Promise<void> {
    if (gitBranch === null) return;
    const { id, link, gitProviderOptions } = await this.#project();
    if (link == null) {
      throw new SyncError("target_missing", "vercel has no git repository connected to the project", {
        vendor: "vercel",
        operation: "GET /v9/projects/{id}",
        next: "Connect the repository in Vercel or leave out `gitBranch`.",
      });
    }
    if (gitProviderOptions?.createDeployments === "disabled") return;
    if (await this.#client.hasDeployed(id, gitBranch)) return;
    throw new SyncError("target_missing", `vercel has deployed nothing of the git branch ${gitBranch} yet`, {
      vendor: "vercel",
      operation: "GET /v6/deployments",
      next: "Nothing if the branch is about to be pushed: it is tried again then. Else correct `gitBranch`.",
    });
  }

  async observe(targets: readonly VercelTarget[], options: ObserveOptions): Promise<readonly Observation[]> {
    const [first] = targets;
    if (first === undefined) return [];
    const resolved: ResolvedTarget[] = [];
    for (const target of targets) resolved.push(await this.#resolve(target));
    const shelf = this.#shelf(first);
    const { rows, hidden } = await shelf.list();
    return Promise.all(resolved.map((target) => this.#see(target, rows, hidden, options)));
  }

  async apply(target: VercelTarget, changes: readonly Change[], claim: Claim): Promise<readonly Applied[]> {
    const resolved = await this.#resolve(target);
    const writer = new VercelBatchWriter(this.#shelf(target), resolved, claim, this.#ids);
    try {
      return await writer.apply(changes);
    } finally {
      if (writer.targetMissing) projects.delete(this.#projectKey);
    }
  }

  // -------------------------------------------------------------- seeing

  async #see(
    target: ResolvedTarget,
    rows: readonly VercelRow[],
    hidden: number,
    options: ObserveOptions,
  ): Promise<Observation> {
    const names = new Map<string, ObservedName>();
    for (const row of rows) {
      if (!covers(row, target)) continue;
      const seen = await this.#seeRow(row, target, options);
      // Of two records that cover one target, the one that is not ours to touch decides.
      if (names.get(row.key)?.foreign == null) names.set(row.key, seen);
    }
    return {
      // A hidden record covers production. Seen from elsewhere it is no record of exactly this target.
      complete: hidden === 0 || !(target.environment === "production" || target.custom),
      contents: true,
      exists: true,
      version: null,
      mark: null,
      foreign: null,
      names: [...names.values()],
      used: { names: rows.filter((row) => inEnvironment(row, target)).length },
    };
  }

  async #seeRow(
    row: VercelRow,
    target: ResolvedTarget,
    { contents, compare }: ObserveOptions,
  ): Promise<ObservedName> {
    const mark = parseMark(row.comment);
    const foreign = foreignOf(row, target);
    // What nobody marked as Branchline's or handed over is not read: its value is none of our business.
    const ours = mark !== null || compare?.has(row.key) === true;
    const read = contents && ours && foreign === null && row.id && isReadable(row.type);
    const seen: ObservedName = {
      name: row.key,
      fingerprint: read ? await this.#fingerprint(target, row.id ?? "") : null,
      version: versionOf(row),
      mark,
      foreign,
      createdAt: row.createdAt == null ? null : new Date(row.createdAt),
    };
    if (row.id) this.#ids.set(seen, row.id);
    return seen;
  }

  async #fingerprint(target: ResolvedTarget, id: string): Promise<string | null> {
    const { type, value } = await this.#shelf(target).read(id);
    if (!isReadable(type) || typeof value !== "string") return null;
    return this.#io.fingerprint(new Secret(value));
  }

  // -------------------------------------------------------------- account and project

  #shelf(target: VercelTarget): VercelShelf {
    if (!target.shared) return projectShelf(this.#client);
    const { project } = this.#block;
    return sharedShelf(this.#client, async () =>
      project.startsWith("prj_") ? project : (await this.#project()).id,
    );
  }

  /** Looks up the id of a custom environment; Vercel's own need none. */
  async #resolve(target: VercelTarget): Promise<ResolvedTarget> {
    if (!target.custom) return { ...target, customId: null };
    const customId = find(await this.#project(), target) ?? find(await this.#project(true), target);
    if (customId !== undefined) return { ...target, customId };
    throw new SyncError("target_missing", `vercel has no environment ${target.environment} in this project`, {
      vendor: "vercel",
      operation: "GET /v9/projects/{id}",
      next: "Create the custom environment in Vercel or correct `environment`.",
    });
  }

  #project(renew = false): Promise<VercelProject> {
    const known = renew ? undefined : projects.get(this.#projectKey);
    if (known !== undefined) return known;
    const asked = this.#client.project();
    projects.set(this.#projectKey, asked);
    asked.catch(() => projects.delete(this.#projectKey));
    return asked;
  }

  get #projectKey(): string {
    const { api, team = "", project } = this.#block;
    return JSON.stringify([api, team, project]);
  }

  /** The project must belong to the team that the configuration names. */
  async #requireAccount(project: VercelProject): Promise<void> {
    const { team } = this.#block;
    if (team === undefined || !project.accountId) return;
    const id = team.startsWith("team_") ? team : (await this.#client.team(team)).id;
    if (project.accountId === id) return;
    throw new SyncError("wrong_account", `expected team ${team}, the project belongs to another account`, {
      vendor: "vercel",
      operation: "GET /v9/projects/{id}",
      next: "Correct `team` or `project`, or use a token of that team.",
    });
  }

  /** "Not your team" is said with whose token it is, since that is the first question. */
  async #named(error: SyncError): Promise<SyncError> {
    const { team } = this.#block;
    if (error.code !== "wrong_account" || team === undefined) return error;
    const name = await this.#client.username().catch(() => null);
    const whose = name !== null && /^[\w.-]{1,60}$/.test(name) ? `user ${name}` : "another account";
    return new SyncError("wrong_account", `expected team ${team}, credential belongs to ${whose}`, {
      ...error.where,
      next: "Use a token of the team that the destination names, or correct `team`.",
    });
  }
}

function find(project: VercelProject, { environment }: VercelTarget): string | undefined {
  return project.customEnvironments.find(({ id, slug }) => slug === environment || id === environment)?.id;
}

function isReadable(type: string | null | undefined): boolean {
  return type === "plain" || type === "encrypted";
}
