/**
 * GitHub Apps: a JWT signed by the app opens an installation, whose token lives an hour.
 * https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
 */
import { randomBytes, randomInt, verify } from "node:crypto";
import type { Hono } from "hono";
import { GitHubRefusal, notFound, unprocessable } from "./answers.ts";
import { type GitHubContext, type GitHubEnv, jsonBody, stamp } from "./caller.ts";
import { shownRepository } from "./repositories.ts";
import type { GitHubApp, Installation, Permissions } from "./seeds.ts";
import type { GitHubState, Repository } from "./state.ts";

export function appRoutes(app: Hono<GitHubEnv>, state: GitHubState): void {
  app.get("/app", (c) => {
    const { id, clientId } = appOf(state, c);
    return c.json({ id, client_id: clientId, slug: "sandbox", name: "Sandbox" });
  });
  app.get("/app/installations/:installation", (c) =>
    c.json(shown(appOf(state, c), installationOf(state, c))),
  );
  app.get("/repos/:owner/:repo/installation", (c) => {
    const mine = appOf(state, c);
    const { owner, repo } = c.req.param();
    const repository = state.findRepository(`${owner}/${repo}`);
    const found = mine.installations.find(
      (each) => repository !== undefined && reachable(state, each).includes(repository),
    );
    if (found === undefined) throw notFound();
    return c.json(shown(mine, found));
  });
  app.post("/app/installations/:installation/access_tokens", (c) => issue(state, c));
}

/** Whether this request authenticates as an app rather than with a token. */
export function isForApps(path: string): boolean {
  return /^\/app(\/|$)|^\/repos\/[^/]+\/[^/]+\/installation$/.test(path);
}

async function issue(state: GitHubState, c: GitHubContext): Promise<Response> {
  const installation = installationOf(state, c);
  if (installation.suspended) throw new GitHubRefusal(403, "This installation has been suspended");
  const body = await jsonBody(c);
  const permissions = narrowed(installation.permissions, body["permissions"]);
  const repositories = chosen(state, installation, body);
  const expiresAt = state.now() + state.rules.installationTokenMs;
  // The stateless form of 2026: long, and of no fixed length.
  const token = `ghs_${installation.id}_${randomBytes(randomInt(360, 400)).toString("base64url")}`;
  state.tokens.set(token, {
    kind: "installation",
    who: `installation ID ${installation.id}`,
    permissions,
    repositoryIds: (repositories ?? reachable(state, installation)).map(({ id }) => id),
    expiresAt,
  });
  return c.json(
    {
      token,
      expires_at: stamp(expiresAt),
      permissions: permissions === "all" ? { metadata: "read", secrets: "write" } : permissions,
      repository_selection:
        repositories === null && installation.repositoryIds === "all" ? "all" : "selected",
      ...(repositories === null ? {} : { repositories: repositories.map(shownRepository) }),
    },
    201,
  );
}

function narrowed(granted: Permissions, asked: unknown): Permissions {
  if (asked === undefined) return granted;
  const wanted = asked as Record<string, "read" | "write">;
  for (const [name, level] of Object.entries(wanted)) {
    const held = granted === "all" ? "write" : granted[name];
    if (held === undefined || (held === "read" && level === "write")) {
      throw unprocessable("The permissions requested are not granted to this installation.");
    }
  }
  return { metadata: "read", ...wanted };
}

/** The repositories named in the body, or null if none are named. */
function chosen(
  state: GitHubState,
  installation: Installation,
  body: Record<string, unknown>,
): Repository[] | null {
  const ids = body["repository_ids"];
  const names = body["repositories"];
  if (ids === undefined && names === undefined) return null;
  const mine = reachable(state, installation);
  const wanted = [...((ids ?? []) as number[]), ...((names ?? []) as string[])];
  const found = wanted.map((each) => mine.find(({ id, name }) => id === each || name === each));
  if (wanted.length > 500 || found.includes(undefined)) {
    throw unprocessable(
      "There is at least one repository that does not exist or is not accessible to the parent installation.",
    );
  }
  return found.filter((each) => each !== undefined);
}

function reachable(state: GitHubState, installation: Installation): Repository[] {
  return state.repositories.filter(
    ({ id, owner }) =>
      owner.toLowerCase() === installation.account.toLowerCase() &&
      (installation.repositoryIds === "all" || installation.repositoryIds.includes(id)),
  );
}

function installationOf(state: GitHubState, c: GitHubContext): Installation {
  const { installation } = c.req.param() as Record<string, string | undefined>;
  const found = appOf(state, c).installations.find(({ id }) => String(id) === installation);
  if (found === undefined) throw notFound();
  return found;
}

function shown(app: GitHubApp, installation: Installation): Record<string, unknown> {
  return {
    id: installation.id,
    app_id: app.id,
    account: { login: installation.account },
    repository_selection: installation.repositoryIds === "all" ? "all" : "selected",
    permissions: installation.permissions === "all" ? {} : installation.permissions,
    suspended_at: null,
  };
}

// ---------------------------------------------------------------- JWT

/** The app that signed the request's JWT, checked as GitHub checks it. */
function appOf(state: GitHubState, c: GitHubContext): GitHubApp {
  const jwt = /^Bearer (\S+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
  const [head = "", body = "", signature = ""] = (jwt ?? "").split(".");
  const header = decoded(head);
  const claims = decoded(body);
  if (header === null || claims === null || header["alg"] !== "RS256") {
    throw new GitHubRefusal(401, "A JSON web token could not be decoded");
  }
  const { iss } = claims;
  const app = state.apps.find(({ id, clientId }) => String(id) === String(iss) || clientId === iss);
  if (app === undefined) throw new GitHubRefusal(404, "Integration not found");
  const signed = verify(
    "RSA-SHA256",
    Buffer.from(`${head}.${body}`),
    app.publicKey,
    Buffer.from(signature, "base64url"),
  );
  if (!signed) throw new GitHubRefusal(401, "A JSON web token could not be decoded");
  checkTimes(claims, state.now() / 1000);
  return app;
}

function checkTimes(claims: Record<string, unknown>, now: number): void {
  const { iat, exp } = claims;
  // GitHub allows its clock to be behind by a minute at most.
  if (typeof iat !== "number" || !Number.isInteger(iat) || iat > now + 60) {
    throw new GitHubRefusal(
      401,
      "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
    );
  }
  if (typeof exp !== "number" || !Number.isInteger(exp) || exp <= now) {
    throw new GitHubRefusal(
      401,
      "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
    );
  }
  if (exp - iat > 660 || exp > now + 600) {
    throw new GitHubRefusal(401, "'Expiration time' claim ('exp') is too far in the future");
  }
}

function decoded(part: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
