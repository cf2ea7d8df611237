/**
 * What Vercel's refusals mean. Statuses mislead (a duplicate is 400, 403 or 409; a dead token is 403), so the
 * code decides, then a few messages that have no code of their own. Codes differ in case between APIs.
 * https://vercel.com/docs/rest-api/errors; codes as known to Vercel's own command line tool.
 */
import { z } from "zod";
import { type CallContext, errorFromStatus } from "../http.ts";
import { type Code, SyncError } from "../sync/errors.ts";
import type { OutgoingResponse } from "../sync/ports.ts";

/** Of another type than is documented counts as not said: a refusal stays one, however it is spelled. */
const text = z.union([z.string(), z.number().transform(String)]).catch("");

/** The `error` object of a body, or of an item of `failed[]`. */
export const vercelProblem = z.object({
  code: text,
  message: text,
  key: text,
  envVarKey: text,
  envVarId: text,
  invalidToken: z.boolean().catch(false),
  missingToken: z.boolean().catch(false),
});
export type VercelProblem = z.output<typeof vercelProblem>;

const problemBody = z.object({ error: vercelProblem.optional(), err: vercelProblem.optional() });

/** The problem that a body tells of, or null. Some of Vercel's APIs say `err`. */
export function problemOf(response: OutgoingResponse): VercelProblem | null {
  try {
    const { error, err } = problemBody.parse(JSON.parse(response.body));
    return error ?? err ?? null;
  } catch {
    return null; // the status has to do
  }
}

/** Whether a problem says that it is about this name, or about the record of this id. */
export function isAbout(
  { key, envVarKey, envVarId }: VercelProblem,
  name: string,
  id: string | undefined,
): boolean {
  return (envVarKey || key) === name || (id !== undefined && envVarId === id);
}

/** The error of an answer that is no success. Nothing of the body is repeated. */
export function vercelError(response: OutgoingResponse, context: CallContext): SyncError {
  const problem = problemOf(response);
  const meaning = problem === null ? null : meaningOf(problem);
  return meaning === null ? errorFromStatus(response, context) : withMeaning(meaning, response, context, []);
}

/** The error of one item of a batch, by an answer that may be a success otherwise. */
export function itemError(
  problem: VercelProblem,
  name: string,
  response: OutgoingResponse,
  context: CallContext,
): SyncError {
  const meaning = meaningOf(problem) ?? {
    code: "internal",
    words: "refuses it for a reason that Branchline does not know",
    next: "Try to set the variable by hand: Vercel's dashboard says what is wrong.",
  };
  return withMeaning(meaning, response, context, [name]);
}

interface Meaning {
  readonly code: Code;
  /** After "vercel". */
  readonly words: string;
  readonly next: string;
}

function withMeaning(
  { code, words, next }: Meaning,
  response: OutgoingResponse,
  { vendor, operation }: CallContext,
  names: readonly string[],
): SyncError {
  const { status, requestId } = response;
  const subject = names.length === 0 ? "vercel" : `${names.join(", ")}: vercel`;
  return new SyncError(code, `${subject} ${words} (HTTP ${status})`, {
    vendor,
    operation,
    status,
    names,
    next,
    ...(requestId === undefined ? {} : { requestId }),
  });
}

function meaningOf(problem: VercelProblem): Meaning | null {
  if (problem.invalidToken === true || problem.missingToken === true) return MEANINGS.credential;
  const code = problem.code.toUpperCase();
  const byCode = Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
  if (byCode !== undefined) return byCode;
  return BY_MESSAGE.find(([pattern]) => pattern.test(problem.message))?.[1] ?? null;
}

const MEANINGS = {
  credential: {
    code: "unauthenticated",
    words: "does not accept the token",
    next: "Replace the token; the work is taken up on the next check.",
  },
  scope: {
    code: "wrong_account",
    words: "says that the token has no access to the team",
    next: "Use a token of the team that the destination names, or correct `team`.",
  },
  taken: {
    code: "not_owned",
    words: "has a record of that name already, for this environment or for several together",
    next: "Adopt the name, or narrow or remove the record in Vercel.",
  },
  name: {
    code: "invalid_secret",
    words: "refuses the name",
    next: "Choose another name: letters, digits and _, no digit first, none that Vercel reserves.",
  },
  value: {
    code: "invalid_secret",
    words: "refuses the value or its size",
    next: "All names and values of one deployment may take 64 KB together.",
  },
  tooMany: {
    code: "limit_exceeded",
    words: "holds as many variables as it allows",
    next: "Remove variables from the environment; Vercel allows 1,000.",
  },
  branch: {
    code: "target_missing",
    words: "does not find the git branch in the connected repository",
    next: "Nothing if the branch is about to be pushed: it is tried again then. Else correct `gitBranch`.",
  },
  repository: {
    code: "target_missing",
    words: "has no git repository connected to the project",
    next: "Connect the repository in Vercel or leave out `gitBranch`.",
  },
  environment: {
    code: "target_missing",
    words: "does not find the custom environment",
    next: "Create it in Vercel or correct `environment`.",
  },
  branchTarget: {
    code: "invalid_target",
    words: "takes `gitBranch` only for preview, and never the production branch",
    next: "Correct the rule's `target`.",
  },
  sensitive: {
    code: "invalid_target",
    words: "does not keep sensitive variables for development",
    next: "Say `type: encrypted` in the rule's `target`.",
  },
  separate: {
    code: "policy",
    words: "refuses a production secret that has the same value elsewhere (a policy of the team)",
    next: "Use another login for production, or change the policy in Vercel.",
  },
  busy: {
    code: "unavailable",
    words: "is busy with another change of the same variables",
    next: "Nothing: it is tried again.",
  },
  person: {
    code: "forbidden",
    words: "wants a person to confirm this",
    next: "Use a token for which Vercel does not ask for confirmation.",
  },
} as const satisfies Record<string, Meaning>;

const BY_CODE: Readonly<Record<string, Meaning>> = {
  ENV_CONFLICT: MEANINGS.taken,
  ENV_ALREADY_EXISTS: MEANINGS.taken,
  EXISTING_KEY_AND_TARGET: MEANINGS.taken,
  INVALID_KEY: MEANINGS.name,
  KEY_INVALID_CHARACTERS: MEANINGS.name,
  KEY_INVALID_LENGTH: MEANINGS.name,
  KEY_RESERVED: MEANINGS.name,
  RESERVED_ENV_VARIABLE: MEANINGS.name,
  INVALID_VALUE: MEANINGS.value,
  VALUE_INVALID_LENGTH: MEANINGS.value,
  VALUE_INVALID_TYPE: MEANINGS.value,
  MAX_ENVS_EXCEEDED: MEANINGS.tooMany,
  TOO_MANY_KEYS: MEANINGS.tooMany,
  GIT_BRANCH_NOT_FOUND: MEANINGS.branch,
  CHALLENGE_REQUIRED: MEANINGS.person,
  CHALLENGE_REQUIRED_EMAIL_OTP: MEANINGS.person,
  USER_AUTH_REQUIRED: MEANINGS.person,
};

/** For what has no code of its own. First match wins; none of the text is shown to anybody. */
const BY_MESSAGE: readonly (readonly [RegExp, Meaning])[] = [
  [/\bunder scope\b/i, MEANINGS.scope],
  [/^branch\b.*\bnot found\b/i, MEANINGS.branch],
  [/does not have a connected git repository/i, MEANINGS.repository],
  [/custom environment\b.*\bnot found/i, MEANINGS.environment],
  [/`gitBranch`|\bproduction branch\b/i, MEANINGS.branchTarget],
  [/sensitive\b.*\bdevelopment\b/i, MEANINGS.sensitive],
  [/production secret|secret\b.*\b(differ|distinct|same value)/i, MEANINGS.separate],
  [/\b(another|in progress)\b.*\b(update|progress|env)/i, MEANINGS.busy],
  [/\btoo large\b|\btotal size\b/i, MEANINGS.value],
];
