/** What the surroundings tell us: environment variables, and the credentials that references point at. */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { z } from "zod";
import { LOG_LEVELS, type LogLevel } from "./log.ts";
import { isStoredRef, refuseCredentialRef } from "./sync/credential.ts";
import { SyncError } from "./sync/errors.ts";
import { checkPattern, matchesGlob } from "./sync/patterns.ts";
import type { CredentialRef } from "./sync/ports.ts";
import { Secret } from "./sync/secret.ts";
import { nearest } from "./sync/suggest.ts";

/** What `serve`, `migrate` and `demo` read from the environment. */
export interface Environment {
  /** Null: an embedded server is started. */
  readonly databaseUrl: Secret | null;
  /** Null: the queue is in PostgreSQL. */
  readonly redisUrl: Secret | null;
  /** Path of branchline.yaml. */
  readonly configPath: string | null;
  /** 32 bytes, to seal what must lie in the database. */
  readonly masterKey: Uint8Array | null;
  /** The one before it, while it is being replaced. */
  readonly formerMasterKey: Uint8Array | null;
  /** Patterns of references that a posted file may name. */
  readonly allowedReferences: readonly string[];
  readonly adminToken: Secret | null;
  readonly host: string;
  readonly port: number;
  /** Null: webhooks come in on `port`. */
  readonly webhookPort: number | null;
  readonly logLevel: LogLevel;
}

export type EnvironmentVariables = Readonly<Record<string, string | undefined>>;

/** One thing that is wrong with what somebody configured. Our words; never repeats a value. */
export interface Problem {
  /** Where to look: `PORT`, or `branchline.yaml:12:5 rules.web.tier`. */
  readonly where: string;
  /** What is wrong and what was expected, without a full stop. */
  readonly problem: string;
  /** What to do; may be empty. */
  readonly hint: string;
}

/** Everything that is wrong, at once. The command line shows the problems without a stack and exits with 78. */
export class ConfigurationError<P extends Problem = Problem> extends Error {
  readonly problems: readonly P[];

  constructor(problems: readonly P[]) {
    const [first] = problems;
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
    super(first === undefined ? "the configuration is wrong" : `${first.where}: ${first.problem}${more}`);
    this.name = "ConfigurationError";
    this.problems = problems;
  }
}

/**
 * Variables that libraries read behind our back: a driver's options that Neon's pooler refuses, and a
 * notice about Node's version that would stand in the middle of a table. Once, before anything starts.
 */
export function settleEnvironment(env: Record<string, string | undefined> = process.env): void {
  delete env["PGOPTIONS"];
  env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true";
}

/** Throws `ConfigurationError` with every problem. A variable that is set to nothing counts as not set. */
export function readEnvironment(env: EnvironmentVariables = process.env): Environment {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = schema.safeParse(given);
  const problems: Problem[] = [...(parsed.error?.issues ?? []).map(toProblem), ...misspelt(given)];
  if (
    given["WEBHOOK_PORT"] !== undefined &&
    given["WEBHOOK_PORT"] === (given["PORT"] ?? String(DEFAULT_PORT)) &&
    given["WEBHOOK_PORT"] !== "0"
  )
    problems.push({
      where: "WEBHOOK_PORT",
      problem: "is the same as PORT",
      hint: "Leave it out to receive webhooks on PORT, or choose another.",
    });
  if (!parsed.success || problems.length > 0) throw new ConfigurationError(problems);
  const { data } = parsed;
  return {
    databaseUrl: data.DATABASE_URL ?? null,
    redisUrl: data.REDIS_URL ?? null,
    configPath: data.BRANCHLINE_CONFIG ?? null,
    masterKey: data.BRANCHLINE_MASTER_KEY ?? null,
    formerMasterKey: data.BRANCHLINE_MASTER_KEY_OLD ?? null,
    allowedReferences: data.BRANCHLINE_REFS,
    adminToken: data.BRANCHLINE_ADMIN_TOKEN ?? null,
    host: data.HOST,
    port: data.PORT,
    webhookPort: data.WEBHOOK_PORT ?? null,
    logLevel: data.LOG_LEVEL,
  };
}

/** The file's path alone, so that its problems can be told beside those of the rest of the environment. */
export const readConfigPath = (env: EnvironmentVariables = process.env): string | null =>
  env["BRANCHLINE_CONFIG"] || null;

/** Without it the database is the embedded one. */
export const namesDatabase = (env: EnvironmentVariables = process.env) => Boolean(env["DATABASE_URL"]);

/** What commands that talk to a running Branchline read from the environment. */
export interface ClientEnvironment {
  /** Of the API, as somebody wrote it. */
  readonly url: string;
  readonly token: Secret | null;
  /** Where to get a token instead, in a job of GitHub Actions that may ask for one; null: nowhere. */
  readonly idToken: IdTokenRequest | null;
  /** The file that a step of GitHub Actions adds variables to; null: not in such a job. */
  readonly githubEnvPath: string | null;
}

/** How a job of GitHub Actions asks for a token that proves who it is. */
export interface IdTokenRequest {
  readonly url: string;
  readonly token: Secret;
  /** As the server's branchline.yaml says it: BRANCHLINE_AUDIENCE, or the address of the API. */
  readonly audience: string;
}

/** What the API takes for a token (RFC 6750, b68token): one that is anything else could never log in. */
export const BEARER_TOKEN = /^[\w.~+/-]{1,4096}=*$/;
const NO_BEARER_TOKEN =
  "is no bearer token: it may hold letters, digits and -._~+/, at most 4096 of them, and = at its end";

/** BRANCHLINE_URL, and BRANCHLINE_TOKEN or the operator's own token. Throws `ConfigurationError`. */
export function readClientEnvironment(env: EnvironmentVariables = process.env): ClientEnvironment {
  const name = env["BRANCHLINE_TOKEN"] ? "BRANCHLINE_TOKEN" : "BRANCHLINE_ADMIN_TOKEN";
  const token = env[name];
  if (token && !BEARER_TOKEN.test(token)) {
    const hint = "Take it over as it was given, without quotes and the line's end.";
    throw new ConfigurationError([{ where: name, problem: NO_BEARER_TOKEN, hint }]);
  }
  const url = env["BRANCHLINE_URL"] || `http://127.0.0.1:${DEFAULT_PORT}`;
  return {
    url,
    token: token ? new Secret(token) : null,
    idToken: readIdToken(env, url),
    githubEnvPath: env["GITHUB_ENV"] || null,
  };
}

function readIdToken(env: EnvironmentVariables, api: string): IdTokenRequest | null {
  const url = env["ACTIONS_ID_TOKEN_REQUEST_URL"];
  const token = env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"];
  if (!url || !token || !URL.canParse(url)) return null;
  return { url, token: new Secret(token), audience: env["BRANCHLINE_AUDIENCE"] || api };
}

/** The 32 bytes of a master key written as base64 or hexadecimal, or null if it is none. */
export function parseMasterKey(text: string): Uint8Array | null {
  const trimmed = text.trim();
  if (/^[0-9a-fA-F]{64}$/.test(trimmed)) return Buffer.from(trimmed, "hex");
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return null;
  const bytes = Buffer.from(trimmed.replaceAll("-", "+").replaceAll("_", "/"), "base64");
  return bytes.length === MASTER_KEY_BYTES ? bytes : null;
}

/**
 * The credential that `env:NAME` or `file:PATH` points at, without one line end behind it: files end in one, and whoever
 * makes a variable of a file takes it along. Throws `unauthenticated` naming the reference if nothing is there, or if it may not be used as a credential.
 */
export function resolveReference({ ref }: CredentialRef, env: EnvironmentVariables = process.env): Secret {
  const refused = refuseCredentialRef(ref);
  // A refused reference may be the credential itself, pasted: it is not repeated.
  if (refused !== null) throw new SyncError("unauthenticated", `the reference ${refused}`);
  if (isStoredRef(ref))
    throw new SyncError("unauthenticated", `${ref} is read by a server that runs, and by nobody else`);
  const written = ref.startsWith("env:") ? env[ref.slice("env:".length)] : readCredentialFile(ref);
  const value = written?.replace(/\r?\n$/, "");
  if (value === undefined || value === "")
    throw new SyncError("unauthenticated", `${ref} is not set or empty`, {
      next: `Set ${ref} where Branchline runs.`,
    });
  return new Secret(value);
}

/** Why a reference gives no credential, in words, or null. */
export function refuseReference(ref: CredentialRef, env: EnvironmentVariables = process.env): string | null {
  // Whether it is there is found out when it is read.
  if (isStoredRef(ref.ref)) return null;
  try {
    resolveReference(ref, env);
    return null;
  } catch (thrown) {
    if (thrown instanceof SyncError) return thrown.message;
    throw thrown;
  }
}

/** Whether a file that somebody posted may name this reference: one of the patterns of BRANCHLINE_REFS allows it. */
export function allowedReference(ref: string, patterns: readonly string[]): boolean {
  return refuseCredentialRef(ref) === null && patterns.some((pattern) => matchesGlob(pattern, ref));
}

const DEFAULT_PORT = 8420;
const MASTER_KEY_BYTES = 32;
const LEAST_TOKEN_LENGTH = 20;
const LARGEST_CREDENTIAL_BYTES = 64 * 1024;

const port = z
  .string()
  .regex(/^\d{1,5}$/, "is not a port number")
  .transform(Number)
  .refine((number) => number <= 65_535, "is not a port number: 65535 is the highest");

const url = (schemes: readonly string[]) =>
  z
    .string()
    .refine((text) => isUrl(text, schemes), `is not a URL of the form ${schemes[0]}://user:password@host/...`)
    .transform((text) => new Secret(text));

const masterKey = z
  .string()
  .transform((text) => parseMasterKey(text))
  .refine((key) => key !== null, "is not 32 bytes as base64 or hexadecimal");

const schema = z.object({
  DATABASE_URL: url(["postgresql", "postgres"]).optional(),
  REDIS_URL: url(["redis", "rediss"]).optional(),
  BRANCHLINE_CONFIG: z.string().optional(),
  BRANCHLINE_MASTER_KEY: masterKey.optional(),
  BRANCHLINE_MASTER_KEY_OLD: masterKey.optional(),
  BRANCHLINE_REFS: z
    .string()
    .default("")
    .transform((text) => text.split(/[\s,]+/).filter((part) => part !== ""))
    .refine(
      (list) => list.every((pattern) => isReferencePattern(pattern)),
      "has an entry that is no pattern of env:... or file:/...",
    ),
  BRANCHLINE_ADMIN_TOKEN: z
    .string()
    .min(LEAST_TOKEN_LENGTH, `is shorter than ${LEAST_TOKEN_LENGTH} characters`)
    .regex(BEARER_TOKEN, NO_BEARER_TOKEN)
    .transform((text) => new Secret(text))
    .optional(),
  HOST: z
    .string()
    .regex(/^[A-Za-z0-9:.%_-]+$/, "is not an address to listen on")
    .default("127.0.0.1"),
  PORT: port.default(DEFAULT_PORT),
  WEBHOOK_PORT: port.optional(),
  LOG_LEVEL: z.enum(LOG_LEVELS, { error: `is not one of ${LOG_LEVELS.join(", ")}` }).default("info"),
});

type Name = keyof z.input<typeof schema>;

const HINTS: Readonly<Record<Name, string>> = {
  DATABASE_URL: "Leave it out to start the embedded PostgreSQL.",
  REDIS_URL: "Leave it out to keep the queue in PostgreSQL.",
  BRANCHLINE_CONFIG: "",
  BRANCHLINE_MASTER_KEY: "Make one: openssl rand -base64 32",
  BRANCHLINE_MASTER_KEY_OLD: "It is the key that is in use so far; leave it out once rekey is done.",
  BRANCHLINE_REFS: "For example: env:PREVIEW_*,file:/run/secrets/*",
  BRANCHLINE_ADMIN_TOKEN: "Make one: openssl rand -hex 32",
  HOST: "127.0.0.1 for this machine only, 0.0.0.0 for all its addresses.",
  PORT: "",
  WEBHOOK_PORT: "",
  LOG_LEVEL: "",
};

function toProblem(issue: { readonly path: readonly PropertyKey[]; readonly message: string }): Problem {
  const where = String(issue.path[0]);
  return { where, problem: issue.message, hint: HINTS[where as Name] ?? "" };
}

/** A misspelt setting would be ignored in silence. What is not even similar may be somebody else's. */
function misspelt(given: EnvironmentVariables): Problem[] {
  const known = [...Object.keys(HINTS), ...OF_THE_COMMAND_LINE];
  return Object.keys(given)
    .filter((name) => name.startsWith("BRANCHLINE_") && !known.includes(name))
    .flatMap((name) => {
      const meant = nearest(name, known);
      return meant === null
        ? []
        : [{ where: name, problem: "is not a setting", hint: `Did you mean ${meant}?` }];
    });
}

/** Read by the command line when it talks to a server elsewhere. */
const OF_THE_COMMAND_LINE = ["BRANCHLINE_URL", "BRANCHLINE_TOKEN", "BRANCHLINE_AUDIENCE"];

function isUrl(text: string, schemes: readonly string[]): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return hostname !== "" && schemes.some((scheme) => protocol === `${scheme}:`);
}

function isReferencePattern(pattern: string): boolean {
  return (
    /^(env:[A-Za-z0-9_*?[\]-]+|file:\/.+|(vault|aws-sm):.+)$/.test(pattern) && checkPattern(pattern) === null
  );
}

function readCredentialFile(ref: string): string {
  const path = ref.slice("file:".length);
  try {
    // A link must not lead where a reference may not.
    const refused = refuseCredentialRef(`file:${realpathSync(path)}`);
    if (refused !== null) throw new SyncError("unauthenticated", `${ref} ${refused}`);
    const stats = statSync(path);
    if (!stats.isFile() || stats.size > LARGEST_CREDENTIAL_BYTES)
      throw new SyncError("unauthenticated", `${ref} is no file of at most 64 KiB`);
    return readFileSync(path, "utf8");
  } catch (thrown) {
    if (thrown instanceof SyncError) throw thrown;
    const missing = (thrown as NodeJS.ErrnoException).code === "ENOENT";
    throw new SyncError("unauthenticated", `${ref} ${missing ? "does not exist" : "cannot be read"}`, {
      next: `Put the credential there, readable for the user that Branchline runs as.`,
    });
  }
}
