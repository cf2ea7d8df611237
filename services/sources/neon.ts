/**
 * Neon as a source, over its API v2 (checked 2026-11-20 against the OpenAPI document of
 * `@neondatabase/api-client` 2.7.3).
 *
 * - Polled: Neon announces nothing about branches, roles or computes. Operations are the dirty flag.
 * - Branch lists page by `pagination.next`, operations by `pagination.cursor`, endpoints, roles and
 *   databases not at all. Roles and branches never carry passwords; each is revealed on its own.
 * - 423 and 503 may always be tried again; 700 requests a minute and 40 a second per route are allowed.
 * - Only `default` tells the default branch: a root branch need not be it.
 */
import { z } from "zod";
import { credentialRef } from "../sync/credential.ts";
import { asSyncError, SyncError } from "../sync/errors.ts";
import type {
  BranchReading,
  LoginReading,
  Moved,
  Source,
  SourceAdapter,
  SourceBranch,
  SourceEndpoint,
  SourceRole,
} from "../sync/ports.ts";
import type { Secret } from "../sync/secret.ts";
import { dialBlock } from "./dial.ts";
import { createLimit } from "./limit.ts";
import { createNeonClient, type NeonClient, nextPage, orAbsent } from "./neon-client.ts";
import { neonLimits } from "./neon-limits.ts";
import type { NeonBranch, NeonEndpoint, NeonRole, Pagination } from "./neon-shapes.ts";
import { movedSince, outline } from "./neon-watch.ts";

export const neonBlock = z
  .strictObject({
    project: z
      .string()
      .regex(/^[a-z0-9-]{1,60}$/, "expected a project id such as wispy-butterfly-25042691")
      .meta({ description: "The project's id as in the console's address; its name will not do." }),
    apiKey: credentialRef,
    api: z
      .url({ protocol: /^https?$/ })
      .refine((text) => isBareUrl(text), "expected an address without user, query and fragment")
      .default("https://console.neon.tech/api/v2")
      .meta({ description: "Neon's API, version 2." }),
    privateNetwork: z
      .boolean()
      .default(false)
      .meta({ description: "The API may be at a private address, and without TLS." }),
    caFile: z
      .string()
      .startsWith("/")
      .optional()
      .meta({ description: "PEM certificates to trust for the API instead of the system's." }),
    dial: dialBlock.optional(),
  })
  .refine((block) => block.privateNetwork || !/^http:/i.test(block.api), {
    path: ["api"],
    message: "expected https, since the API key goes there; or say privateNetwork: true",
  })
  .meta({ description: "One Neon project." });
export type NeonBlock = z.output<typeof neonBlock>;

export const neonSource: SourceAdapter<NeonBlock> = {
  kind: "neon",
  block: neonBlock,
  identity: ({ api, project }) => `${new URL(api).host}/${project}`,
  limits: neonLimits,
  open(block, credential, io) {
    const apiKey = credential(block.apiKey);
    const client = createNeonClient({ api: block.api, project: block.project, apiKey, io });
    return new NeonSource(client, block.project);
  },
};

/** At most this many passwords of one reading at once, far below the 40 a second that Neon allows. */
const READS_AT_ONCE = 4;
/** A million branches: a list that is longer than that never ends. */
const MAX_PAGES = 1000;

class NeonSource implements Source {
  readonly #neon: NeonClient;
  readonly #project: string;
  /** Of the endpoints that a list was made with. */
  readonly #outlines = new WeakMap<readonly SourceBranch[], string>();

  constructor(client: NeonClient, project: string) {
    this.#neon = client;
    this.#project = project;
  }

  async check(): Promise<void> {
    const { project } = await this.#neon.project();
    if (project.id === this.#project) return;
    throw new SyncError("wrong_account", `Neon answered for another project than ${this.#project}`, {
      vendor: "neon",
      next: "Check `api` and `project`.",
    });
  }

  moved(cursor: string | null, listed?: readonly SourceBranch[]): Promise<Moved> {
    return movedSince(this.#neon, cursor, (listed && this.#outlines.get(listed)) ?? null);
  }

  async integrations(): Promise<readonly string[]> {
    const { project } = await this.#neon.project();
    const { integrations, applications } = await this.#neon.listed(project.org_id ?? null);
    const installed = [integrations, applications].flatMap((all) => all?.[this.#project] ?? []);
    return [...new Set(installed)].sort();
  }

  /** A list that is shorter than Neon's own count would look like deletions, so it is not believed. */
  async branches(): Promise<readonly SourceBranch[]> {
    for (let attempt = 1; attempt <= 2; attempt++) {
      const [{ branches, annotations }, { count }, { endpoints }] = await Promise.all([
        this.#list(),
        this.#neon.branchCount(),
        this.#neon.endpoints(),
      ]);
      if (branches.length >= count) {
        const of = groupByBranch(endpoints);
        const listed = branches
          .filter(isLive)
          .map((branch) => toBranch(branch, annotations.get(branch.id), of.get(branch.id) ?? []));
        this.#outlines.set(listed, outline(endpoints));
        return listed;
      }
    }
    throw new SyncError("unavailable", "Neon's list of branches is shorter than its own count, twice", {
      vendor: "neon",
      operation: "GET /projects/{id}/branches",
    });
  }

  async branch(id: string): Promise<SourceBranch | null> {
    return await this.#orGone(id, () => this.#branch(id));
  }

  async read(id: string, roles: readonly string[]): Promise<BranchReading | null> {
    return await this.#orGone(id, () => this.#read(id, roles));
  }

  async reread(id: string, roles: readonly string[]): Promise<LoginReading | null> {
    return await this.#orGone(id, () => this.#reread(id, roles));
  }

  async #list() {
    const branches = new Map<string, NeonBranch>();
    const annotations = new Map<string, Record<string, string>>();
    let at: Pagination;
    for (let page = 0; page < MAX_PAGES; page++) {
      const answer = await this.#neon.branches(nextPage(at));
      for (const branch of answer.branches) branches.set(branch.id, branch);
      for (const [id, { value }] of Object.entries(answer.annotations ?? {})) annotations.set(id, value);
      const next = nextPage(answer.pagination);
      if (next === undefined) return { branches: [...branches.values()], annotations };
      // Neon's own client stops at an empty page as well: a cursor may come even with the last one.
      if (answer.branches.length === 0) return { branches: [...branches.values()], annotations };
      at = answer.pagination;
    }
    throw new SyncError("unavailable", "Neon's list of branches does not end", { vendor: "neon" });
  }

  async #branch(id: string): Promise<SourceBranch | null> {
    const [{ branch, annotation }, { endpoints }] = await Promise.all([
      this.#neon.branch(id),
      this.#neon.branchEndpoints(id),
    ]);
    const own = endpoints.filter((endpoint) => endpoint.branch_id === branch.id);
    return isLive(branch) ? toBranch(branch, annotation?.value, own) : null;
  }

  /** One round of calls: passwords are asked for before it is known which of the roles can log in. */
  async #read(id: string, wanted: readonly string[]): Promise<BranchReading | null> {
    const [branch, { roles: neonRoles }, { databases }, answers] = await Promise.all([
      this.#branch(id),
      this.#neon.roles(id),
      this.#neon.databases(id),
      this.#reveal(id, wanted),
    ]);
    if (branch === null) return null;
    const roles = neonRoles.map(toRole);
    const able = roles.flatMap(({ name, login }) => (login ? [name] : []));
    return {
      branch,
      roles,
      databases: databases.map(({ name, owner_name }) => ({ name, owner: owner_name })),
      passwords: passwordsOf(able, answers),
    };
  }

  async #reread(id: string, roles: readonly string[]): Promise<LoginReading | null> {
    const [branch, answers] = await Promise.all([this.#branch(id), this.#reveal(id, roles)]);
    if (branch === null) return null;
    // A role that can log in no more has no password to be told; reconcile finds out what has become of it.
    const able = roles.filter((role) => !isRefused(answers.get(role)));
    return { branch, passwords: passwordsOf(able, answers) };
  }

  /** By role: what is wrong matters only if it is one that can log in. */
  async #reveal(
    id: string,
    roles: readonly string[],
  ): Promise<ReadonlyMap<string, Secret | SyncError | null>> {
    const limit = createLimit(READS_AT_ONCE);
    const answers = [...new Set(roles)].map(async (role) => {
      const answer = await limit(() => orAbsent(this.#neon.password(id, role)).catch(asSyncError));
      return [role, answer === null || answer instanceof SyncError ? answer : answer.password] as const;
    });
    return new Map(await Promise.all(answers));
  }

  /**
   * Believes a 404 only if Neon repeats it for the branch itself while the project answers: with a key
   * that has lost its rights, or at a wrong address, everything is a 404.
   */
  async #orGone<T>(id: string, ask: () => Promise<T | null>): Promise<T | null> {
    if (!ID.test(id) || id === "count") return null; // `branches/count` is another call
    const answer = await orAbsent(ask());
    if (answer !== null) return answer;
    await this.check();
    const again = await orAbsent(this.#neon.branch(id));
    if (again === null || !isLive(again.branch)) return null;
    throw new SyncError("unavailable", "Neon contradicts itself on whether a branch exists", {
      vendor: "neon",
    });
  }
}

/** A role that went between the two questions is simply not there. */
function passwordsOf(
  able: readonly string[],
  answers: ReadonlyMap<string, Secret | SyncError | null>,
): ReadonlyMap<string, Secret> {
  const passwords = new Map<string, Secret>();
  for (const role of able) {
    const answer = answers.get(role);
    if (answer == null) continue;
    if (answer instanceof SyncError) throw answer;
    passwords.set(role, answer);
  }
  return passwords;
}

/** Neon refuses the question itself, which says nothing about the key, the project or the moment. */
const isRefused = (answer: Secret | SyncError | null | undefined): boolean =>
  answer instanceof SyncError && (answer.where.status === 400 || answer.where.status === 422);

const ID = /^[a-z0-9-]{1,60}$/;

/** What was deleted and can still be recovered does not exist for us. */
function isLive(branch: NeonBranch): boolean {
  return !branch.recovery;
}

function toBranch(
  branch: NeonBranch,
  annotations: Record<string, string> | undefined,
  endpoints: readonly NeonEndpoint[],
): SourceBranch {
  return {
    id: branch.id,
    name: branch.name,
    parentId: branch.parent_id ?? null,
    default: branch.default,
    protected: branch.protected,
    expiresAt: branch.expires_at ?? null,
    createdAt: branch.created_at,
    state: branch.current_state,
    annotations: annotations ?? {},
    endpoints: endpoints.flatMap(toEndpoint),
  };
}

function groupByBranch(endpoints: readonly NeonEndpoint[]): ReadonlyMap<string, readonly NeonEndpoint[]> {
  const groups = new Map<string, NeonEndpoint[]>();
  for (const endpoint of endpoints) {
    const group = groups.get(endpoint.branch_id);
    if (group === undefined) groups.set(endpoint.branch_id, [endpoint]);
    else group.push(endpoint);
  }
  return groups;
}

/** An endpoint of a type that we do not know is left out: nothing could be said about what it serves. */
function toEndpoint({ id, name, host, type, disabled, current_state }: NeonEndpoint): SourceEndpoint[] {
  if (type !== "read_write" && type !== "read_only") return [];
  const named = name ? { name } : {};
  return [{ id, ...named, host, type, disabled, active: current_state === "active" }];
}

function toRole({ name, authentication_method }: NeonRole): SourceRole {
  return { name, login: (authentication_method ?? "password") === "password" };
}

function isBareUrl(text: string): boolean {
  if (!URL.canParse(text)) return true; // refused already
  const url = new URL(text);
  return url.username === "" && url.password === "" && url.search === "" && url.hash === "";
}
