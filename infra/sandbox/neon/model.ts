/** What the stand-in of Neon remembers, and how Neon names things. */
import { randomBytes, randomInt, randomUUID } from "node:crypto";

export type EndpointType = "read_write" | "read_only";

export interface NeonRole {
  readonly name: string;
  password: string | null;
  readonly noLogin: boolean;
  readonly createdAt: number;
  /** Deliberately unhelpful: not moved by a password reset, since nothing promises that it is. */
  updatedAt: number;
  /** The password before the last reset: logs in until that reset's operation has finished. */
  previous: string | null;
}

export interface NeonDatabase {
  readonly id: number;
  readonly name: string;
  readonly owner: string;
  readonly createdAt: number;
}

export interface NeonEndpoint {
  readonly id: string;
  readonly projectId: string;
  /** Moves to another branch when a restore takes the computes over. */
  branchId: string;
  readonly host: string;
  readonly type: EndpointType;
  /** As somebody called it; most have none. */
  readonly name: string | null;
  disabled: boolean;
  state: "init" | "active" | "idle";
  readonly createdAt: number;
  updatedAt: number;
}

export interface NeonAnnotation {
  readonly value: Readonly<Record<string, string>>;
  readonly at: number;
}

export interface NeonBranch {
  readonly id: string;
  readonly projectId: string;
  parentId: string | null;
  name: string;
  default: boolean;
  protected: boolean;
  /** Moved to cheaper storage; still there, still with its hosts. */
  archived: boolean;
  expiresAt: number | null;
  ttlSeconds: number | null;
  readonly initSource: "parent-data" | "schema-only";
  readonly createdAt: number;
  updatedAt: number;
  lastResetAt: number | null;
  /** Made from a snapshot of this branch and not finalised yet. */
  restoredAs: string | null;
  annotation: NeonAnnotation | null;
  readonly roles: Map<string, NeonRole>;
  readonly databases: Map<string, NeonDatabase>;
}

export interface NeonProject {
  readonly id: string;
  readonly name: string;
  readonly orgId: string;
  storePasswords: boolean;
  readonly createdAt: number;
  readonly branches: Map<string, NeonBranch>;
  readonly endpoints: Map<string, NeonEndpoint>;
  /** What Neon itself has connected to it: vercel, github. Tests add some. */
  readonly integrations: Set<string>;
}

/** An API key: `projects` null reaches all of its organization. */
export interface NeonKey {
  readonly token: string;
  readonly kind: "user" | "org";
  readonly projects: readonly string[] | null;
}

// ---------------------------------------------------------------- seeds

export interface RoleSeed {
  readonly name: string;
  readonly noLogin?: boolean;
  readonly password?: string;
}

export interface BranchSeed {
  readonly name: string;
  /** Name or id; default: the project's default branch. */
  readonly parent?: string;
  readonly protected?: boolean;
  readonly expiresAt?: Date;
  /** Default: one read-write endpoint. */
  readonly endpoints?: readonly EndpointType[];
  readonly annotation?: Readonly<Record<string, string>>;
}

export interface ProjectSeed {
  readonly id?: string;
  readonly name?: string;
  readonly orgId?: string;
  readonly storePasswords?: boolean;
  /** Of the root branch; passwords are made up where none is given. */
  readonly roles?: readonly RoleSeed[];
  readonly databases?: readonly { readonly name: string; readonly owner: string }[];
  /** The root branch. */
  readonly root?: { readonly name?: string; readonly protected?: boolean };
  readonly branches?: readonly BranchSeed[];
}

// ---------------------------------------------------------------- names

const ADJECTIVES =
  "aged ancient autumn bitter bold calm cold crimson damp dark dawn divine falling frosty".split(" ");
const NOUNS =
  "bird brook bush butterfly cell cherry cloud dew dream dust feather field fire flower fog".split(" ");

const pick = (words: readonly string[]): string => words[randomInt(words.length)] ?? "odd";
const words = (): string => `${pick(ADJECTIVES)}-${pick(NOUNS)}`;
const ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** `br-aged-salad-a1b2c3d4`. */
export const newBranchId = (): string => `br-${words()}-a${randomBytes(4).toString("hex").slice(1)}`;
/** `ep-soft-violet-a1b2c3d4`. */
export const newEndpointId = (): string => `ep-${words()}-a${randomBytes(4).toString("hex").slice(1)}`;
export const newOperationId = (): string => randomUUID();
export const newDatabaseId = (): number => randomInt(100_000, 99_999_999);

/** As Neon makes them now: `npg_` and twelve alphanumerics. */
export function newPassword(): string {
  return `npg_${Array.from({ length: 12 }, () => ALPHANUMERIC[randomInt(ALPHANUMERIC.length)]).join("")}`;
}
