/**
 * What a well-formed variable must still satisfy: names, types, git branches, conflicts, limits.
 * https://vercel.com/docs/environment-variables, https://vercel.com/docs/environment-variables/sensitive-environment-variables
 */
import { VercelRefusal } from "./answers.ts";
import type { Draft } from "./draft.ts";
import {
  type EnvRow,
  type EnvType,
  inScope,
  type VercelProject,
  type VercelState,
  type VercelToken,
} from "./state.ts";

const RESERVED = new Set([
  "AWS_SECRET_KEY",
  "AWS_EXECUTION_ENV",
  "AWS_LAMBDA_LOG_GROUP_NAME",
  "AWS_LAMBDA_LOG_STREAM_NAME",
  "AWS_LAMBDA_FUNCTION_NAME",
  "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
  "AWS_LAMBDA_FUNCTION_VERSION",
  "NOW_REGION",
  "TZ",
  "LAMBDA_TASK_ROOT",
  "LAMBDA_RUNTIME_DIR",
]);

/** Name, type, branch and permission of one variable; conflicts and limits are `refuseConflict` and `refuseExcess`. */
export function checkDraft(
  state: VercelState,
  project: VercelProject,
  draft: Draft,
  token: VercelToken,
): void {
  checkKey(draft.key);
  if (token.production === "refused" && draft.target.includes("production")) {
    throw new VercelRefusal(
      403,
      "forbidden",
      "You don't have permission to create Environment Variables targeting the Production environment.",
    );
  }
  if (draft.type === "sensitive" && draft.target.includes("development")) {
    if (state.rules.sensitiveOnDevelopment === "refuse") {
      throw bad(draft, "You cannot set a Sensitive Environment Variable's target to development.");
    }
  }
  if (draft.type === "system" && draft.value !== "") {
    throw bad(draft, "System Environment Variables cannot have a value.", "SYSTEM_ENV_WITH_VALUE");
  }
  const unknown = draft.customEnvironmentIds.find(
    (id) => !project.customEnvironments.some((each) => each.id === id),
  );
  if (unknown !== undefined) throw bad(draft, `Custom environment "${unknown}" not found.`);
  if (draft.gitBranch !== null) checkGitBranch(state, project, draft, draft.gitBranch);
}

/** Names of project and of team variables follow the same rules. */
export function checkKey(key: string): void {
  const refuse = (code: string, message: string) =>
    new VercelRefusal(400, code, message, { extra: { key, envVarKey: key } });
  if (key.length === 0 || key.length > 256) {
    throw refuse("KEY_INVALID_LENGTH", "The name of your Environment Variable is empty or too long.");
  }
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) {
    throw refuse(
      "KEY_INVALID_CHARACTERS",
      "The name contains invalid characters. Only letters, digits, and underscores are allowed. Furthermore, the name should not start with a digit.",
    );
  }
  if (RESERVED.has(key)) {
    throw refuse("RESERVED_ENV_VARIABLE", `The Environment Variable name "${key}" is reserved.`);
  }
}

/** The row that an upsert updates: same key, and exactly the same targets, git branch and custom environments. */
export function exactMatch(project: VercelProject, draft: Draft): EnvRow | undefined {
  return project.rows.find(
    (row) =>
      row.key === draft.key &&
      row.gitBranch === draft.gitBranch &&
      sameSet(row.target, draft.target) &&
      sameSet(row.customEnvironmentIds, draft.customEnvironmentIds),
  );
}

/** Vercel's 400 if another row of this key covers one of the same environments on the same git branch. */
export function refuseConflict(
  state: VercelState,
  project: VercelProject,
  draft: Draft,
  self?: EnvRow,
): void {
  const now = state.now();
  const ghosts = project.ghosts.filter(({ until }) => until > now).map(({ row }) => row);
  const rival = [...project.rows, ...ghosts].find(
    (row) =>
      row !== self &&
      row.key === draft.key &&
      row.gitBranch === draft.gitBranch &&
      (row.target.some((target) => draft.target.includes(target)) ||
        row.customEnvironmentIds.some((id) => draft.customEnvironmentIds.includes(id))),
  );
  if (rival === undefined) return;
  const target = [...rival.target, ...rival.customEnvironmentIds].filter((each) =>
    [...draft.target, ...draft.customEnvironmentIds].includes(each),
  );
  // Vercel really says "on branch undefined": https://github.com/vercel/vercel/issues/16588
  throw new VercelRefusal(
    400,
    "ENV_CONFLICT",
    `A variable with the name \`${draft.key}\` already exists for the target ${target.join(", ")} on branch ${draft.gitBranch ?? "undefined"}`,
    {
      extra: {
        key: draft.key,
        envVarKey: draft.key,
        envVarId: rival.id,
        target,
        ...(draft.gitBranch === null ? {} : { gitBranch: draft.gitBranch }),
        action: "edit",
      },
    },
  );
}

/** Throws if the rows, as they would be after the write, pass the number or the size allowed. */
export function refuseExcess(
  state: VercelState,
  project: VercelProject,
  rows: readonly EnvRow[],
  draft: Draft,
): void {
  const { variablesPerEnvironment, deploymentBytes } = state.rules;
  for (const target of [...draft.target, ...draft.customEnvironmentIds]) {
    const here = rows.filter((row) => inScope(row, target));
    if (here.length > variablesPerEnvironment) {
      throw bad(
        draft,
        `You cannot have more than ${variablesPerEnvironment} Environment Variables per environment in project ${project.name}.`,
        "MAX_ENVS_EXCEEDED",
      );
    }
    const seen = here.filter((row) => row.gitBranch === null || row.gitBranch === draft.gitBranch);
    // An override takes the place of the branch-less row of the same name.
    const effective = new Map([...seen].sort(branchless).map((row) => [row.key, row.value]));
    const bytes = [...effective].reduce(
      (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
      0,
    );
    if (bytes > deploymentBytes) {
      throw bad(
        draft,
        "The total size of your Environment Variables, names and values, is more than 64KB.",
        "VALUE_INVALID_LENGTH",
      );
    }
  }
}

/** The type that the row ends up with; policies of the team change it without a word. */
export function storedType(
  state: VercelState,
  project: VercelProject,
  draft: Draft,
  current?: EnvRow,
): EnvType {
  const team = state.teams.find((each) => each.id === project.ownerId);
  const readable = draft.type === "plain" || draft.type === "encrypted";
  const wanted: EnvType =
    team?.enforceSensitive === true && readable && !draft.target.includes("development")
      ? "sensitive"
      : draft.type;
  if (current === undefined || current.type === wanted) return wanted;
  // Sensitive never becomes readable again; the other direction depends on whom one asks.
  return current.type === "sensitive" || state.rules.typeChange === "keep" ? current.type : wanted;
}

function checkGitBranch(state: VercelState, project: VercelProject, draft: Draft, gitBranch: string): void {
  if (!sameSet(draft.target, ["preview"]) || draft.customEnvironmentIds.length > 0) {
    throw bad(draft, '`gitBranch` can only be set when `target` is exactly ["preview"].');
  }
  if (project.link === null) {
    throw bad(draft, "Cannot set a Git branch because the project does not have a connected Git repository.");
  }
  if (gitBranch === project.link.productionBranch) {
    throw bad(draft, `Cannot set the Production Branch "${gitBranch}" for a Preview Environment Variable.`);
  }
  if (!project.link.branches.has(gitBranch)) {
    throw bad(
      draft,
      `Branch "${gitBranch}" not found in the connected Git repository`,
      state.rules.missingBranchCode,
    );
  }
}

function bad(draft: Draft, message: string, code = "BAD_REQUEST"): VercelRefusal {
  const { key, target, gitBranch } = draft;
  return new VercelRefusal(400, code, message, {
    extra: { key, envVarKey: key, target, ...(gitBranch === null ? {} : { gitBranch }) },
  });
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item) => b.includes(item));
}

function branchless(a: EnvRow, b: EnvRow): number {
  return Number(a.gitBranch !== null) - Number(b.gitBranch !== null);
}
