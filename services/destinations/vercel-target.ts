/** What branchline.yaml may say about Vercel, and where a target lies. */
import { z } from "zod";
import { credentialRef } from "../sync/credential.ts";
import { EXPOSURES, type Exposure } from "../sync/ports.ts";
import { baseUrl, invalidTarget, parseTarget, privateNetwork } from "./settings.ts";

export const vercelBlock = z.strictObject({
  project: z.string().min(1).meta({ description: "Id (prj_...) or name of the project." }),
  team: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "Id (team_...) or slug of the team; left out: the token's own account." }),
  token: credentialRef,
  api: baseUrl("https://api.vercel.com"),
  privateNetwork,
  maxInFlight: z
    .int()
    .min(1)
    .max(16)
    .optional()
    .meta({ description: "At most so many pushes at once. Default 4." }),
});
export type VercelBlock = z.output<typeof vercelBlock>;

export const vercelTargetInput = z.strictObject({
  environment: z
    .string()
    .min(1)
    .meta({ description: "production, preview, development, or the slug of a custom environment." }),
  gitBranch: z
    .string()
    .min(1)
    .max(250)
    .optional()
    .meta({ description: "Preview deployments of this git branch only. It must exist in the repository." }),
  type: z.enum(["sensitive", "encrypted", "plain"]).optional().meta({
    description:
      "Default sensitive (nobody can read it back); in development encrypted, since Vercel keeps no sensitive variables there.",
  }),
  shared: z
    .literal(true)
    .optional()
    .meta({ description: "A variable of the team, linked to the project, instead of one of the project." }),
});

export interface VercelTarget {
  readonly api: string;
  /** Empty: the token's own account. */
  readonly team: string;
  readonly project: string;
  /** One of Vercel's own three, or a custom one's slug or id. */
  readonly environment: string;
  readonly custom: boolean;
  readonly gitBranch: string | null;
  readonly type: "sensitive" | "encrypted" | "plain";
  readonly shared: boolean;
}

const OWN_ENVIRONMENTS = ["production", "preview", "development"];

export function parseVercelTarget(block: VercelBlock, input: unknown): VercelTarget {
  const {
    environment,
    gitBranch = null,
    type,
    shared = false,
  } = parseTarget("vercel", vercelTargetInput, input);
  const custom = !OWN_ENVIRONMENTS.includes(environment);
  const problem =
    mistakeIn(environment, custom) ??
    (gitBranch !== null && environment !== "preview"
      ? "gitBranch goes only with environment: preview"
      : null) ??
    (shared ? mistakeInShared(block, custom, gitBranch, type) : null);
  if (problem !== null) throw invalidTarget("vercel", problem);
  const { api, project, team = "" } = block;
  return {
    api,
    team,
    project,
    environment,
    custom,
    gitBranch,
    // Vercel keeps no sensitive variables for development; a rule that asks for them is told so by Vercel.
    type: type ?? (environment === "development" ? "encrypted" : "sensitive"),
    shared,
  };
}

function mistakeIn(environment: string, custom: boolean): string | null {
  if (!/^[\w-]{1,64}$/.test(environment)) return "environment: expected a name such as preview or staging";
  const lower = environment.toLowerCase();
  if (custom && OWN_ENVIRONMENTS.includes(lower)) return `environment: write ${lower} in lower case`;
  return null;
}

function mistakeInShared(
  block: VercelBlock,
  custom: boolean,
  gitBranch: string | null,
  type: string | undefined,
): string | null {
  if (block.team === undefined) return "shared: variables of a team need `team` at the destination";
  if (custom) return "shared: only production, preview and development";
  if (gitBranch !== null) return "shared: variables of a team know no gitBranch";
  return type === "plain" ? "shared: type is sensitive or encrypted" : null;
}

/** One string per place. The type is how a value is kept, not where. */
export function vercelPlace(target: VercelTarget): string {
  const branch = target.gitBranch === null ? "" : `@${encodeURIComponent(target.gitBranch)}`;
  return `${vercelContainer(target)}/${target.environment}${branch}`;
}

export function vercelContainer({ api, team, project, shared }: VercelTarget): string {
  const account = [new URL(api).host, encodeURIComponent(team.toLowerCase())].join("/");
  return shared ? `vercel:${account}/shared` : `vercel:${account}/project/${encodeURIComponent(project)}`;
}

export const vercelWithin = ({ api, team = "", project }: VercelBlock, target: VercelTarget): boolean =>
  target.api === api && target.team === team && target.project === project;

export function vercelExposure({ environment }: VercelTarget): Exposure | null {
  return (
    EXPOSURES.find((exposure) => exposure === environment && OWN_ENVIRONMENTS.includes(exposure)) ?? null
  );
}
