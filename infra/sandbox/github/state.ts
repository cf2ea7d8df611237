/** What the GitHub stand-in remembers, and the helpers with which tests look at it and act behind our back. */
import { randomBytes } from "node:crypto";
import sodium from "libsodium-wrappers";
import {
  DEFAULT_RULES,
  GITHUB_DEFAULTS,
  type GitHubApp,
  type GitHubRules,
  type GitHubSeeds,
  type GitHubToken,
  type Permissions,
  type RepositorySeed,
} from "./seeds.ts";

/** A secret or a variable. */
export interface Stored {
  readonly name: string;
  /** Decrypted, as a workflow would see it. */
  value: string;
  readonly createdAt: number;
  updatedAt: number;
  /** Organizations only. */
  visibility: "all" | "private" | "selected";
  selected: Set<number>;
}

/** One level at which secrets live: its own key pair, its own names. Names are upper case. */
export interface Level {
  readonly kind: "repository" | "environment" | "organization";
  keyId: string;
  publicKey: Uint8Array;
  privateKey: Uint8Array;
  readonly secrets: Map<string, Stored>;
  readonly variables: Map<string, Stored>;
}

export interface Environment {
  readonly id: number;
  readonly name: string;
  readonly createdAt: number;
  updatedAt: number;
  protection: Record<string, unknown>;
  readonly actions: Level;
}

export interface Repository {
  readonly id: number;
  owner: string;
  name: string;
  readonly private: boolean;
  readonly defaultBranch: string;
  readonly actions: Level;
  readonly dependabot: Level;
  /** By lower-case name: GitHub does not tell cases apart. */
  readonly environments: Map<string, Environment>;
}

export interface Organization {
  readonly id: number;
  readonly login: string;
  /** On Enterprise, protection rules work on private repositories. */
  readonly enterprise: boolean;
  readonly actions: Level;
  readonly dependabot: Level;
}

/** Where a helper looks: `acme/shop` is a repository, `acme` an organization. */
export interface Corner {
  readonly environment?: string;
  readonly family?: "actions" | "dependabot";
}

export class GitHubState {
  readonly organizations: Organization[];
  readonly repositories: Repository[];
  readonly apps: GitHubApp[];
  readonly tokens = new Map<string, GitHubToken>();
  readonly rules: GitHubRules;
  /** Old `owner/name` in lower case to repository id, after a rename or a transfer. */
  readonly moved = new Map<string, number>();
  /** The next requests are answered with a limit; see `throttle`. */
  throttled: { kind: "primary" | "secondary"; times: number; retryAfterSeconds: number } | null = null;
  readonly #clock: () => number;
  #aheadMs = 0;
  #ids = 1000;

  /** `sodium.ready` must have resolved. */
  constructor(seeds: GitHubSeeds, apps: GitHubApp[]) {
    this.#clock = seeds.clock ?? Date.now;
    this.rules = { ...DEFAULT_RULES, ...seeds.rules };
    this.apps = apps;
    this.organizations = (seeds.organizations ?? [{ login: GITHUB_DEFAULTS.organization }]).map((seed) => ({
      id: this.#nextId(),
      enterprise: false,
      ...seed,
      actions: level("organization"),
      dependabot: level("organization"),
    }));
    this.repositories = [];
    for (const seed of seeds.repositories ?? DEFAULT_REPOSITORIES) this.addRepository(seed);
    for (const seed of seeds.tokens ?? [{ token: GITHUB_DEFAULTS.token }]) this.addToken(seed);
  }

  now(): number {
    return this.#clock() + this.#aheadMs;
  }

  /** Moves this vendor's clock; nobody has to wait. */
  advance(ms: number): void {
    this.#aheadMs += ms;
  }

  addRepository(seed: RepositorySeed): Repository {
    const [owner = "", name = ""] = seed.fullName.split("/");
    const repository: Repository = {
      id: seed.id ?? this.#nextId(),
      owner,
      name,
      private: seed.private ?? true,
      defaultBranch: seed.defaultBranch ?? "main",
      actions: level("repository"),
      dependabot: level("repository"),
      environments: new Map(),
    };
    this.repositories.push(repository);
    // A new repository under an old name ends the redirect.
    this.moved.delete(seed.fullName.toLowerCase());
    for (const environment of seed.environments ?? []) this.addEnvironment(repository, environment);
    return repository;
  }

  addEnvironment(repository: Repository, name: string): Environment {
    const now = this.now();
    const made: Environment = {
      id: this.#nextId(),
      name,
      createdAt: now,
      updatedAt: now,
      protection: {},
      actions: level("environment"),
    };
    repository.environments.set(name.toLowerCase(), made);
    return made;
  }

  /** A personal access token, by default with every permission on every repository. */
  addToken(seed: { token: string; permissions?: Permissions; repositories?: readonly string[] }): void {
    const { token, permissions = "all", repositories } = seed;
    const repositoryIds =
      repositories === undefined ? "all" : repositories.map((name) => this.repository(name).id);
    this.tokens.set(token, {
      kind: "personal",
      who: "user ID 1",
      permissions,
      repositoryIds,
      expiresAt: null,
    });
  }

  /** By `owner/name` (cases ignored). Throws on an unknown one: a test that asks for it is wrong. */
  repository(fullName: string): Repository {
    const found = this.findRepository(fullName);
    if (found === undefined) throw new Error(`the sandbox has no GitHub repository ${fullName}`);
    return found;
  }

  findRepository(fullName: string): Repository | undefined {
    const wanted = fullName.toLowerCase();
    return this.repositories.find(({ owner, name }) => `${owner}/${name}`.toLowerCase() === wanted);
  }

  findOrganization(login: string): Organization | undefined {
    return this.organizations.find((each) => each.login.toLowerCase() === login.toLowerCase());
  }

  /** Rename or transfer: the id stays, the old name redirects. */
  move(fullName: string, to: string): void {
    const repository = this.repository(fullName);
    const [owner = "", name = ""] = to.split("/");
    Object.assign(repository, { owner, name });
    this.moved.set(fullName.toLowerCase(), repository.id);
  }

  removeRepository(fullName: string): void {
    this.repositories.splice(this.repositories.indexOf(this.repository(fullName)), 1);
  }

  /** The value as a workflow would see it, or undefined. */
  secret(where: string, name: string, corner: Corner = {}): string | undefined {
    return this.level(where, corner).secrets.get(name.toUpperCase())?.value;
  }

  /** Name to value. */
  secrets(where: string, corner: Corner = {}): Record<string, string> {
    return Object.fromEntries(
      [...this.level(where, corner).secrets].map(([name, { value }]) => [name, value]),
    );
  }

  variables(where: string, corner: Corner = {}): Record<string, string> {
    return Object.fromEntries(
      [...this.level(where, corner).variables].map(([name, { value }]) => [name, value]),
    );
  }

  /** Somebody else sets a secret; its `updated_at` moves with this vendor's clock. */
  edit(where: string, name: string, value: string, corner: Corner = {}): void {
    storeIn(this.level(where, corner).secrets, name, value, this.now());
  }

  /** The level's key pair is replaced: whoever kept the old public key is refused. */
  rotateKey(where: string, corner: Corner = {}): void {
    const { keyId, publicKey, privateKey } = level("repository");
    Object.assign(this.level(where, corner), { keyId, publicKey, privateKey });
  }

  /** The next `times` requests meet a rate limit with GitHub's own headers and body. */
  throttle(
    kind: "primary" | "secondary",
    options: { times?: number; retryAfterSeconds?: number } = {},
  ): void {
    this.throttled = { kind, times: options.times ?? 1, retryAfterSeconds: options.retryAfterSeconds ?? 60 };
  }

  level(where: string, corner: Corner = {}): Level {
    const { environment, family = "actions" } = corner;
    if (!where.includes("/")) {
      const organization = this.findOrganization(where);
      if (organization === undefined) throw new Error(`the sandbox has no GitHub organization ${where}`);
      return organization[family];
    }
    const repository = this.repository(where);
    if (environment === undefined) return repository[family];
    const found = repository.environments.get(environment.toLowerCase());
    if (found === undefined) throw new Error(`the sandbox has no environment ${environment} in ${where}`);
    return found.actions;
  }

  #nextId(): number {
    this.#ids += 1;
    return this.#ids;
  }
}

/** Creates or replaces; answers whether it was new. */
export function storeIn(map: Map<string, Stored>, name: string, value: string, now: number): boolean {
  const key = name.toUpperCase();
  const known = map.get(key);
  if (known !== undefined) {
    Object.assign(known, { value, updatedAt: now });
    return false;
  }
  map.set(key, {
    name: key,
    value,
    createdAt: now,
    updatedAt: now,
    visibility: "private",
    selected: new Set(),
  });
  return true;
}

function level(kind: Level["kind"]): Level {
  const { publicKey, privateKey } = sodium.crypto_box_keypair();
  const keyId = randomBytes(8).readBigUInt64BE().toString();
  return { kind, keyId, publicKey, privateKey, secrets: new Map(), variables: new Map() };
}

const DEFAULT_REPOSITORIES: readonly RepositorySeed[] = [
  {
    fullName: GITHUB_DEFAULTS.repository,
    id: GITHUB_DEFAULTS.repositoryId,
    environments: ["production", "preview"],
  },
];
