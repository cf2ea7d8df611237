/** What a GitHub stand-in is started with. */
import { createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";

/** Permission name as in the REST documentation ("secrets", "environments") to level; "all": everything. */
export type Permissions = Readonly<Record<string, "read" | "write">> | "all";

export interface GitHubToken {
  readonly kind: "personal" | "installation";
  /** As rate limits name it. */
  readonly who: string;
  readonly permissions: Permissions;
  readonly repositoryIds: readonly number[] | "all";
  /** Milliseconds since the epoch; null: never. */
  readonly expiresAt: number | null;
}

export interface Installation {
  readonly id: number;
  /** Login of the organization or user it is installed on. */
  readonly account: string;
  permissions: Permissions;
  repositoryIds: readonly number[] | "all";
  suspended: boolean;
}

export interface GitHubApp {
  readonly id: number;
  readonly clientId: string;
  readonly publicKey: KeyObject;
  /** PEM, for the client under test; null if the test brought its own public key. */
  readonly privateKey: string | null;
  readonly installations: Installation[];
}

export interface RepositorySeed {
  readonly fullName: string;
  readonly id?: number;
  readonly private?: boolean;
  readonly defaultBranch?: string;
  readonly environments?: readonly string[];
}

export interface AppSeed {
  readonly id: number;
  readonly clientId?: string;
  /** PEM; absent: a key pair is made and its private half shown in `state.apps`. */
  readonly publicKey?: string;
  readonly installations?: readonly (Partial<Installation> & { id: number; account: string })[];
}

/** Limits and switches. https://docs.github.com/actions/reference/limits and .../rate-limits-for-the-rest-api */
export interface GitHubRules {
  secretsPer: { repository: number; environment: number; organization: number };
  variablesPer: { repository: number; environment: number; organization: number };
  valueBytes: number;
  /** How much later than the answer's `Date` a secret's `updated_at` is. */
  updatedAtSkewMs: number;
  installationTokenMs: number;
  /** Requests per window and token; null: counted and shown, never enforced. */
  primary: { limit: number; windowMs: number } | null;
  /** Points per window and token (a read 1, a write 5); null: none. GitHub: 900 a minute. */
  secondary: { points: number; windowMs: number } | null;
}

export interface GitHubSeeds {
  readonly organizations?: readonly { login: string; enterprise?: boolean }[];
  readonly repositories?: readonly RepositorySeed[];
  readonly tokens?: readonly { token: string; permissions?: Permissions; repositories?: readonly string[] }[];
  readonly apps?: readonly AppSeed[];
  readonly rules?: Partial<GitHubRules>;
  readonly clock?: () => number;
}

/** What a start without seeds knows; the demo and `branchline.yaml` examples use the same names. */
export const GITHUB_DEFAULTS = {
  token: "github_pat_sandbox0123456789abcdefghijklmnop",
  organization: "acme",
  repository: "acme/shop",
  repositoryId: 4711,
  appId: 1,
  installationId: 2,
  webhookSecret: "sandbox-webhook-secret",
} as const;

export const DEFAULT_RULES: GitHubRules = {
  secretsPer: { repository: 100, environment: 100, organization: 1000 },
  variablesPer: { repository: 500, environment: 100, organization: 1000 },
  valueBytes: 48 * 1024,
  updatedAtSkewMs: 0,
  installationTokenMs: 3_600_000,
  primary: null,
  secondary: null,
};

/** Apps with their keys. Making an RSA key takes a while, so one is made per process and shared. */
export async function appsOf(seeds: readonly AppSeed[] | undefined): Promise<GitHubApp[]> {
  return Promise.all((seeds ?? [DEFAULT_APP]).map(appOf));
}

const DEFAULT_APP: AppSeed = {
  id: GITHUB_DEFAULTS.appId,
  installations: [{ id: GITHUB_DEFAULTS.installationId, account: GITHUB_DEFAULTS.organization }],
};

async function appOf(seed: AppSeed): Promise<GitHubApp> {
  const pair = seed.publicKey === undefined ? await sharedPair() : null;
  return {
    id: seed.id,
    clientId: seed.clientId ?? `Iv23li${String(seed.id).padStart(14, "0")}`,
    publicKey: createPublicKey(seed.publicKey ?? pair?.publicKey ?? ""),
    privateKey: pair?.privateKey ?? null,
    installations: (seed.installations ?? []).map((each) => ({
      permissions: "all",
      repositoryIds: "all",
      suspended: false,
      ...each,
    })),
  };
}

const makePair = promisify(generateKeyPair);
let pairOfThisProcess: Promise<{ publicKey: string; privateKey: string }> | undefined;

function sharedPair(): Promise<{ publicKey: string; privateKey: string }> {
  pairOfThisProcess ??= makePair("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  return pairOfThisProcess;
}
