/** What the Vercel stand-in remembers, and the helpers with which tests look at it and act behind our back. */
import { randomBytes } from "node:crypto";

export type EnvType = "plain" | "encrypted" | "sensitive" | "system";
export const STANDARD_TARGETS = ["production", "preview", "development"] as const;
export type StandardTarget = (typeof STANDARD_TARGETS)[number];

export interface EnvRow {
  readonly id: string;
  key: string;
  value: string;
  type: EnvType;
  target: StandardTarget[];
  gitBranch: string | null;
  customEnvironmentIds: string[];
  comment: string | null;
  /** Milliseconds since the epoch, as Vercel gives them. */
  readonly createdAt: number;
  updatedAt: number;
  readonly createdBy: string;
  updatedBy: string | null;
  /** Set: an integration owns the row. */
  readonly configurationId: string | null;
}

export interface SharedRow {
  readonly id: string;
  readonly ownerId: string;
  key: string;
  value: string;
  type: "encrypted" | "sensitive";
  target: StandardTarget[];
  projectId: string[];
  applyToAllCustomEnvironments: boolean;
  comment: string | null;
  readonly createdAt: number;
  updatedAt: number;
  readonly createdBy: string;
}

export interface VercelProject {
  readonly id: string;
  name: string;
  /** A team's id or a user's id. */
  ownerId: string;
  /** The connected Git repository; null: none. */
  link: { org: string; repo: string; productionBranch: string; branches: Set<string> } | null;
  customEnvironments: { readonly id: string; readonly slug: string }[];
  /** Every push is deployed, as its settings say. */
  deploys: boolean;
  /** Being moved to another team: every write is answered with 409. */
  transferring: boolean;
  rows: EnvRow[];
  /** Deleted a moment ago and still in the way of a create. */
  ghosts: { readonly row: EnvRow; readonly until: number }[];
}

export interface VercelTeam {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  /** "Enforce Sensitive": the server turns readable types into `sensitive` outside development. */
  enforceSensitive: boolean;
}

export interface VercelToken {
  readonly token: string;
  readonly userId: string;
  /** Ids of the teams it may act for. */
  readonly teams: readonly string[];
  /** "hidden": production rows are not shown, yet can be upserted; "refused": not even that. */
  readonly production: "full" | "hidden" | "refused";
  readonly write: boolean;
}

export interface VercelProjectSeed {
  readonly id?: string;
  readonly name: string;
  /** Team id; absent: the default team. A user id makes it a personal project. */
  readonly ownerId?: string;
  readonly repository?: {
    org: string;
    repo: string;
    productionBranch?: string;
    branches?: readonly string[];
  } | null;
  readonly customEnvironments?: readonly { id: string; slug: string }[];
}

/** Switches for what Vercel's documentation leaves open, and for scaled-down limits. */
export interface VercelRules {
  /** 2026-08 docs: sensitive is refused on development; CLI 64 sends it. Default "refuse". */
  sensitiveOnDevelopment: "refuse" | "allow";
  /** Whether PATCH and upsert may change a readable row into a sensitive one, or silently keep its type. */
  typeChange: "allow" | "keep";
  /** Code that goes with `Branch "x" not found in the connected Git repository`. */
  missingBranchCode: string;
  /** "single": a list of one answers the bare variable; "pagination": pages of `pageSize`. */
  listShape: "envs" | "single" | "pagination";
  pageSize: number;
  variablesPerEnvironment: number;
  /** Names and values together, per deployment. */
  deploymentBytes: number;
  /** A deleted row stands in the way of a create for so long. */
  deleteLagMs: number;
  /** Calls per window and team; null: no limits. Vercel: 500, 120, 120, 60, 60 per 60 s. */
  rateLimits: RateLimits | null;
}

export interface RateLimits {
  readonly windowMs: number;
  readonly read: number;
  readonly create: number;
  readonly update: number;
  readonly delete: number;
  readonly batchDelete: number;
}

export const VERCEL_RATE_LIMITS: RateLimits = {
  windowMs: 60_000,
  read: 500,
  create: 120,
  update: 120,
  delete: 60,
  batchDelete: 60,
};

/** What a start without seeds knows; the demo and `branchline.yaml` examples use the same names. */
export const VERCEL_DEFAULTS = {
  token: "vcp_sandbox_0123456789abcdefghijklmn",
  userId: "user_sandbox",
  teamId: "team_acme00000000000000000000",
  teamSlug: "acme",
  projectId: "prj_shopweb000000000000000000",
  projectName: "shop-web",
  customEnvironmentId: "env_staging000000000000000000",
} as const;

export interface VercelSeeds {
  readonly teams?: readonly { id: string; slug: string; name?: string }[];
  readonly tokens?: readonly (Partial<VercelToken> & { token: string })[];
  readonly projects?: readonly VercelProjectSeed[];
  readonly rules?: Partial<VercelRules>;
  /** Milliseconds since the epoch; default the real time. */
  readonly clock?: () => number;
}

export class VercelState {
  readonly teams: VercelTeam[];
  readonly tokens = new Map<string, VercelToken>();
  readonly projects: VercelProject[];
  readonly shared: SharedRow[] = [];
  readonly rules: VercelRules;
  readonly #clock: () => number;
  #aheadMs = 0;

  constructor(seeds: VercelSeeds = {}) {
    const { teamId, teamSlug, token } = VERCEL_DEFAULTS;
    this.#clock = seeds.clock ?? Date.now;
    this.rules = { ...DEFAULT_RULES, ...seeds.rules };
    const teams = seeds.teams ?? [{ id: teamId, slug: teamSlug, name: "Acme" }];
    this.teams = teams.map((team) => ({ name: team.slug, ...team, enforceSensitive: false }));
    for (const seed of seeds.tokens ?? [{ token }]) this.addToken(seed);
    this.projects = (seeds.projects ?? [DEFAULT_PROJECT]).map((seed) => this.#project(seed));
  }

  now(): number {
    return this.#clock() + this.#aheadMs;
  }

  /** Moves this vendor's clock; nobody has to wait. */
  advance(ms: number): void {
    this.#aheadMs += ms;
  }

  addToken(seed: Partial<VercelToken> & { token: string }): void {
    const everywhere = this.teams.map((team) => team.id);
    const { userId } = VERCEL_DEFAULTS;
    this.tokens.set(seed.token, { userId, teams: everywhere, production: "full", write: true, ...seed });
  }

  /** By id or name. Throws on an unknown one: a test that asks for it is wrong. */
  project(idOrName: string): VercelProject {
    const found = this.projects.find(({ id, name }) => id === idOrName || name === idOrName);
    if (found === undefined) throw new Error(`the sandbox has no Vercel project ${idOrName}`);
    return found;
  }

  /** Name to value as the next deployment there would see them. */
  values(project: string, scope: { target?: string; gitBranch?: string } = {}): Record<string, string> {
    const { target = "production", gitBranch = null } = scope;
    const here = this.project(project).rows.filter((row) => inScope(row, target));
    const base = here.filter((row) => row.gitBranch === null);
    const own = gitBranch === null ? [] : here.filter((row) => row.gitBranch === gitBranch);
    return Object.fromEntries([...base, ...own].map((row) => [row.key, row.value]));
  }

  /** Somebody else writes: a person in the dashboard, or an integration if `configurationId` is given. */
  seed(project: string, row: Partial<Omit<EnvRow, "id">> & { key: string; value: string }): EnvRow {
    const now = this.now();
    const made: EnvRow = {
      type: "encrypted",
      target: ["production"],
      gitBranch: null,
      customEnvironmentIds: [],
      comment: null,
      createdAt: now,
      updatedAt: now,
      createdBy: "user_somebody",
      updatedBy: null,
      configurationId: null,
      ...row,
      id: newId(16),
    };
    this.project(project).rows.push(made);
    return made;
  }

  addBranch(project: string, gitBranch: string): void {
    this.project(project).link?.branches.add(gitBranch);
  }

  /** The branch goes; its variables stay, as at Vercel. */
  removeBranch(project: string, gitBranch: string): void {
    this.project(project).link?.branches.delete(gitBranch);
  }

  #project(seed: VercelProjectSeed): VercelProject {
    const { repository } = seed;
    const { productionBranch = "main", branches = [] } = repository ?? {};
    return {
      id: seed.id ?? `prj_${newId(24)}`,
      name: seed.name,
      ownerId: seed.ownerId ?? this.teams[0]?.id ?? VERCEL_DEFAULTS.userId,
      link: repository
        ? { ...repository, productionBranch, branches: new Set([productionBranch, ...branches]) }
        : null,
      customEnvironments: [...(seed.customEnvironments ?? [])],
      deploys: true,
      transferring: false,
      rows: [],
      ghosts: [],
    };
  }
}

/** Whether a row reaches deployments of a standard target or of a custom environment's id. */
export function inScope(row: Pick<EnvRow, "target" | "customEnvironmentIds">, target: string): boolean {
  return row.customEnvironmentIds.includes(target) || (row.target as readonly string[]).includes(target);
}

/** Letters and digits, like Vercel's own ids. */
export function newId(length: number): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  return Array.from(randomBytes(length), (byte) => alphabet[byte % alphabet.length]).join("");
}

const DEFAULT_RULES: VercelRules = {
  sensitiveOnDevelopment: "refuse",
  typeChange: "allow",
  missingBranchCode: "git_branch_not_found",
  listShape: "envs",
  pageSize: 20,
  variablesPerEnvironment: 1000,
  deploymentBytes: 64 * 1024,
  deleteLagMs: 0,
  rateLimits: null,
};

const DEFAULT_PROJECT: VercelProjectSeed = {
  id: VERCEL_DEFAULTS.projectId,
  name: VERCEL_DEFAULTS.projectName,
  repository: { org: "acme", repo: "shop", productionBranch: "main", branches: ["feature-x", "feature-y"] },
  customEnvironments: [{ id: VERCEL_DEFAULTS.customEnvironmentId, slug: "staging" }],
};
