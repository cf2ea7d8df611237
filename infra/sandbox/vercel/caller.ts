/** Who is calling, for which team, on which project, and how often. https://vercel.com/docs/rest-api#authentication */
import type { Context } from "hono";
import type { VendorEnv } from "../vendor.ts";
import { VercelRefusal } from "./answers.ts";
import type { RateLimits, VercelProject, VercelState, VercelToken } from "./state.ts";

export interface VercelEnv extends VendorEnv {
  Variables: { token: VercelToken; ownerId: string };
}
export type VercelContext = Context<VercelEnv>;

/** The token behind `Authorization: Bearer ...`, in that very spelling. */
export function authenticate(state: VercelState, c: VercelContext): VercelToken {
  const header = c.req.header("authorization");
  if (header === undefined) {
    throw new VercelRefusal(401, "forbidden", "The request is missing an authentication token", {
      extra: { missingToken: true },
    });
  }
  const token = state.tokens.get(/^Bearer (\S+)$/.exec(header)?.[1] ?? "");
  if (token === undefined) {
    throw new VercelRefusal(403, "forbidden", "Not authorized", { extra: { invalidToken: true } });
  }
  return token;
}

/** Id of the team named by `teamId` or `slug`, or of the user if neither is given. */
export function ownerOf(state: VercelState, token: VercelToken, c: VercelContext): string {
  const teamId = c.req.query("teamId");
  const slug = c.req.query("slug");
  if (teamId === undefined && slug === undefined) return token.userId;
  const team = state.teams.find((each) => (teamId === undefined ? each.slug === slug : each.id === teamId));
  if (team !== undefined && token.teams.includes(team.id)) return team.id;
  const scope = teamId ?? slug ?? "";
  throw new VercelRefusal(
    403,
    "forbidden",
    `Not authorized: Trying to access resource under scope "${scope}". You must re-authenticate to this scope or use a token with access to this scope.`,
  );
}

/** The project of the path, if it belongs to the named team; a team's project without `teamId` is not found. */
export function projectOf(state: VercelState, c: VercelContext): VercelProject {
  const idOrName = c.req.param("idOrName") ?? "";
  const ownerId = c.get("ownerId");
  const project = state.projects.find(
    (each) => each.ownerId === ownerId && (each.id === idOrName || each.name === idOrName),
  );
  if (project === undefined) throw new VercelRefusal(404, "not_found", "Project not found.");
  return project;
}

/** Refuses a write by a read-only token, or while the project moves to another team. */
export function mayWrite(token: VercelToken, project: VercelProject): void {
  if (!token.write) {
    throw new VercelRefusal(
      403,
      "forbidden",
      "You don't have permission to create the Environment Variable.",
    );
  }
  if (project.transferring) {
    throw new VercelRefusal(
      409,
      "conflict",
      "The project is being transferred and creating an environment variable is not possible",
    );
  }
}

type Bucket = Exclude<keyof RateLimits, "windowMs">;

const BUCKET_NAMES: Readonly<Record<Bucket, string>> = {
  read: "api-projects-environment-variable-list",
  create: "api-projects-environment-variable-create",
  update: "api-projects-environment-variable-update",
  delete: "api-projects-environment-variable-delete",
  batchDelete: "api-projects-environment-variable-batch-delete",
};

/** Counts calls per owner (the whole team) and kind in fixed windows, as https://vercel.com/docs/limits lists them. */
export class Limiter {
  readonly #state: VercelState;
  readonly #used = new Map<string, { windowEnds: number; count: number }>();

  constructor(state: VercelState) {
    this.#state = state;
  }

  /** Counts one call, or throws Vercel's 429. */
  take(ownerId: string, bucket: Bucket): void {
    const limits = this.#state.rules.rateLimits;
    if (limits === null) return;
    const now = this.#state.now();
    const key = `${ownerId} ${bucket}`;
    const known = this.#used.get(key);
    const window =
      known !== undefined && known.windowEnds > now ? known : { windowEnds: now + limits.windowMs, count: 0 };
    this.#used.set(key, window);
    if (window.count >= limits[bucket]) throw tooMany(bucket, limits[bucket], window.windowEnds, now);
    window.count += 1;
  }
}

function tooMany(bucket: Bucket, total: number, windowEnds: number, now: number): VercelRefusal {
  const seconds = Math.ceil((windowEnds - now) / 1000);
  const name = BUCKET_NAMES[bucket];
  const reset = Math.ceil(windowEnds / 1000);
  return new VercelRefusal(
    429,
    "rate_limited",
    `Too many requests - try again in ${seconds} seconds (more than ${total}, code: "${name}").`,
    {
      extra: { name, limit: { total, remaining: 0, reset, resetMs: windowEnds } },
      headers: {
        "retry-after": String(seconds),
        "x-ratelimit-limit": String(total),
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": String(reset),
      },
    },
  );
}
