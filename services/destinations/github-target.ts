/** What branchline.yaml may say about GitHub, and where a target lies. */
import { z } from "zod";
import { credentialRef } from "../sync/credential.ts";
import type { Exposure } from "../sync/ports.ts";
import { baseUrl, invalidTarget, parseTarget, privateNetwork } from "./settings.ts";

const OWNER = /^[A-Za-z0-9](?:[A-Za-z0-9-_]{0,99})$/;
const REPOSITORY = /^[A-Za-z0-9][A-Za-z0-9-_]{0,99}\/[\w.-]{1,100}$/;
const ONE_SCOPE = "expected either repository or organization";
const ONE_CREDENTIAL = "expected either token or app";

export const githubBlock = z
  .strictObject({
    repository: z.string().regex(REPOSITORY, { error: "expected owner/name" }).optional(),
    repositoryId: z.int().positive().optional().meta({
      description:
        "GitHub's id of the repository. With it, calls go to the id: a rename or a transfer changes nothing, and another repository that takes over the name is refused.",
    }),
    organization: z.string().regex(OWNER, { error: "expected the organization's login" }).optional(),
    token: credentialRef.optional(),
    app: z
      .strictObject({
        id: z.union([z.int().positive(), z.string().min(1)]).meta({ description: "App id or client id." }),
        installation: z.int().positive(),
        privateKey: credentialRef,
      })
      .optional(),
    api: baseUrl("https://api.github.com"),
    privateNetwork,
    createEnvironments: z.boolean().default(false).meta({
      description: "Create a missing environment. Needs the permission Administration: write.",
    }),
    writeSpacingMs: z.int().min(0).max(60_000).default(1_000).meta({
      description: "Pause between two writes of one account, in milliseconds. GitHub asks for a second.",
    }),
  })
  .refine(({ repository, organization }) => (repository === undefined) !== (organization === undefined), {
    error: ONE_SCOPE,
  })
  .refine(({ token, app }) => (token === undefined) !== (app === undefined), { error: ONE_CREDENTIAL })
  .refine(({ repository, repositoryId }) => repositoryId === undefined || repository !== undefined, {
    error: "repositoryId goes with repository",
  });
export type GitHubBlock = z.output<typeof githubBlock>;

export const githubTargetInput = z.strictObject({
  environment: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .meta({ description: "An environment of the repository; left out: the repository itself." }),
  family: z.enum(["actions", "dependabot"]).default("actions").meta({
    description: "Runs that Dependabot starts see only Dependabot secrets.",
  }),
  as: z.enum(["secret", "variable"]).default("secret").meta({
    description:
      "Variables can be read by everybody who may read the repository: for hosts, never for passwords.",
  }),
  createEnvironment: z.boolean().optional().meta({
    description: "Create the environment if it is missing. Default: what the destination says.",
  }),
  visibility: z.enum(["all", "private", "selected"]).optional().meta({
    description:
      "Organization only: who sees a secret that is created. Default private, or selected if repositories are named. What exists keeps its visibility.",
  }),
  selectedRepositories: z
    .array(z.union([z.int().positive(), z.string().min(1)]))
    .min(1)
    .max(500)
    .optional()
    .meta({ description: "Organization only: ids or names of the repositories that see what is created." }),
});

export interface GitHubTarget {
  readonly api: string;
  readonly scope:
    | {
        readonly kind: "repository";
        readonly owner: string;
        readonly name: string;
        readonly id: number | null;
      }
    | { readonly kind: "organization"; readonly login: string };
  readonly environment: string | null;
  /** Whether it may be created. */
  readonly createEnvironment: boolean;
  readonly family: "actions" | "dependabot";
  readonly as: "secret" | "variable";
  readonly visibility: "all" | "private" | "selected";
  readonly selectedRepositories: readonly (number | string)[];
}

export function parseGitHubTarget(block: GitHubBlock, input: unknown): GitHubTarget {
  const target = parseTarget("github", githubTargetInput, input ?? {});
  const problem = mistakeIn(block, target);
  if (problem !== null) throw invalidTarget("github", problem);
  const { environment = null, family, as, visibility, selectedRepositories = [] } = target;
  const { createEnvironment = block.createEnvironments } = target;
  return {
    api: block.api,
    scope: scopeOf(block),
    environment,
    createEnvironment: createEnvironment && environment !== null,
    family,
    as,
    visibility: visibility ?? (selectedRepositories.length > 0 ? "selected" : "private"),
    selectedRepositories,
  };
}

function mistakeIn(block: GitHubBlock, target: z.output<typeof githubTargetInput>): string | null {
  const { environment, family, as, visibility, selectedRepositories } = target;
  const ofOrganization = block.organization !== undefined;
  if (ofOrganization && environment !== undefined) return "environment: an organization has none";
  if (!ofOrganization && (visibility ?? selectedRepositories) !== undefined) {
    return "visibility and selectedRepositories are for organizations";
  }
  if (visibility !== undefined && (visibility === "selected") !== (selectedRepositories !== undefined)) {
    return "selectedRepositories go with visibility: selected, and with nothing else";
  }
  if (target.createEnvironment !== undefined && environment === undefined) {
    return "createEnvironment goes with environment";
  }
  if (family === "dependabot" && environment !== undefined) return "environment: Dependabot knows none";
  if (family === "dependabot" && as === "variable") return "as: Dependabot knows no variables";
  return null;
}

function scopeOf({ repository, repositoryId, organization }: GitHubBlock): GitHubTarget["scope"] {
  if (organization !== undefined) return { kind: "organization", login: organization };
  const [owner = "", name = ""] = (repository ?? "").split("/");
  return { kind: "repository", owner, name, id: repositoryId ?? null };
}

/** One string per place. GitHub does not tell cases apart, in owners, repositories or environments. */
export function githubPlace(target: GitHubTarget): string {
  const { api, scope, environment, family, as } = target;
  const where =
    scope.kind === "organization"
      ? `orgs/${scope.login}`
      : scope.id === null
        ? `repos/${scope.owner}/${scope.name}`
        : `repositories/${scope.id}`;
  const level = environment === null ? family : `environments/${encodeURIComponent(environment)}`;
  return `github:${new URL(api).host}/${`${where}/${level}`.toLowerCase()}/${as}s`;
}

/** By whatever the block names it now: an address and an id are two descriptions, and we do not ask which are one. */
export function githubWithin(block: GitHubBlock, { api, scope }: GitHubTarget): boolean {
  return api === block.api && scopeText(scope) === scopeText(scopeOf(block));
}

/** Not as JSON: the database keeps the members of a target in an order of its own. */
function scopeText(scope: GitHubTarget["scope"]): string {
  const parts = scope.kind === "organization" ? [scope.login] : [scope.owner, scope.name, scope.id];
  return [scope.kind, ...parts].join("/").toLowerCase();
}

/** https://docs.github.com/actions/reference/security/secrets and .../variables: how many fit there. */
export function githubRoom({ scope, environment, as }: GitHubTarget): number {
  if (scope.kind === "organization") return 1_000;
  return as === "variable" && environment === null ? 500 : 100;
}

/** Who reads it is whoever may open a pull request; environments have rules that we do not see. */
export function githubExposure({ environment }: GitHubTarget): Exposure | null {
  return environment === null ? "preview" : null;
}
