/**
 * Who is calling, what they may see, and the headers GitHub insists on.
 * https://docs.github.com/rest/authentication, .../rest/using-the-rest-api/getting-started-with-the-rest-api
 */
import type { Context } from "hono";
import type { VendorEnv } from "../vendor.ts";
import { GitHubRefusal, notFound } from "./answers.ts";
import type { GitHubToken } from "./seeds.ts";
import type { Environment, GitHubState, Organization, Repository } from "./state.ts";

export interface GitHubEnv extends VendorEnv {
  Variables: { token: GitHubToken };
}
export type GitHubContext = Context<GitHubEnv>;

const API_VERSIONS = ["2022-11-28", "2026-03-10"];

/** User-Agent is demanded, Accept and the API version must make sense if they are sent. */
export function checkHeaders(c: GitHubContext): Response | null {
  if ((c.req.header("user-agent") ?? "") === "") {
    const text =
      "\r\nRequest forbidden by administrative rules. Please make sure your request has a User-Agent header (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). Check https://developer.github.com for other possible causes.\r\n";
    return c.text(text, 403, { "content-type": "text/html; charset=utf-8" });
  }
  const version = c.req.header("x-github-api-version");
  if (version !== undefined && !API_VERSIONS.includes(version)) {
    throw new GitHubRefusal(
      400,
      `API version ${version} is not supported. Supported versions: ${API_VERSIONS.join(", ")}`,
    );
  }
  const accept = c.req.header("accept") ?? "*/*";
  if (!/\*\/\*|application\/\*|application\/json|application\/vnd\.github/.test(accept)) {
    throw new GitHubRefusal(415, `Unsupported 'Accept' header: '${accept}'. Must accept 'application/json'.`);
  }
  return null;
}

/** The token behind `Authorization: Bearer|token ...`; app tokens are `app.ts`. */
export function authenticate(state: GitHubState, c: GitHubContext): GitHubToken {
  const header = c.req.header("authorization");
  if (header === undefined) throw new GitHubRefusal(401, "Requires authentication");
  const token = state.tokens.get(/^(?:Bearer|token) (\S+)$/i.exec(header)?.[1] ?? "");
  if (token === undefined || (token.expiresAt !== null && token.expiresAt <= state.now())) {
    throw new GitHubRefusal(401, "Bad credentials");
  }
  return token;
}

/** 403 unless the token has the permission. */
export function demand(c: GitHubContext, permission: string, level: "read" | "write"): void {
  const { permissions, kind } = c.get("token");
  if (permissions === "all") return;
  const held = permissions[permission];
  if (held === "write" || (held === "read" && level === "read")) return;
  const kindInWords = kind === "installation" ? "integration" : "personal access token";
  throw new GitHubRefusal(403, `Resource not accessible by ${kindInWords}`, {
    headers: { "x-accepted-github-permissions": `${permission}=${level}` },
  });
}

/**
 * The repository of `/repos/:owner/:repo` or `/repositories/:repositoryId`. A moved one answers with a
 * redirect to its id; one that the token may not see does not exist.
 */
export function repositoryOf(state: GitHubState, c: GitHubContext): Repository {
  const { owner, repo, repositoryId } = c.req.param() as Record<string, string | undefined>;
  const fullName = `${owner}/${repo}`;
  const found =
    repositoryId === undefined
      ? state.findRepository(fullName)
      : state.repositories.find(({ id }) => String(id) === repositoryId);
  if (found !== undefined && maySee(c.get("token"), found.id)) return found;
  const movedTo = state.moved.get(fullName.toLowerCase());
  if (repositoryId !== undefined || movedTo === undefined || !maySee(c.get("token"), movedTo))
    throw notFound();
  throw redirect(c, movedTo);
}

/** The environment of the path; it must exist, its name is not case-sensitive. */
export function environmentOf(state: GitHubState, c: GitHubContext): Environment {
  const found = repositoryOf(state, c).environments.get((c.req.param("environment") ?? "").toLowerCase());
  if (found === undefined) throw notFound();
  return found;
}

export function organizationOf(state: GitHubState, c: GitHubContext): Organization {
  const found = state.findOrganization(c.req.param("org") ?? "");
  if (found === undefined) throw notFound();
  return found;
}

/** The JSON object of the body, or GitHub's answer to something else. No body counts as `{}`. */
export async function jsonBody(c: GitHubContext): Promise<Record<string, unknown>> {
  const text = await c.req.text();
  if (text === "") return {};
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new GitHubRefusal(400, "Problems parsing JSON");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new GitHubRefusal(400, "Body should be a JSON object");
  }
  return body as Record<string, unknown>;
}

/** One page of a list, with the `Link` header. */
export function paged<T>(c: GitHubContext, all: readonly T[], size: { default: number; max: number }): T[] {
  const positive = (value: string | undefined, fallback: number) => {
    const number = Number(value);
    return Number.isInteger(number) && number > 0 ? number : fallback;
  };
  const perPage = Math.min(positive(c.req.query("per_page"), size.default), size.max);
  const page = positive(c.req.query("page"), 1);
  const last = Math.max(1, Math.ceil(all.length / perPage));
  const link = (number: number, rel: string) => {
    const url = new URL(c.req.url);
    url.searchParams.set("page", String(number));
    return `<${url}>; rel="${rel}"`;
  };
  const links = [
    ...(page > 1 ? [link(page - 1, "prev")] : []),
    ...(page < last ? [link(page + 1, "next"), link(last, "last")] : []),
    ...(page > 1 ? [link(1, "first")] : []),
  ];
  if (links.length > 0) c.header("link", links.join(", "));
  return all.slice((page - 1) * perPage, page * perPage);
}

/** GitHub's times have no fraction of a second. */
export function stamp(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString().replace(".000Z", "Z");
}

export function maySee(token: GitHubToken, repositoryId: number): boolean {
  return token.repositoryIds === "all" || token.repositoryIds.includes(repositoryId);
}

function redirect(c: GitHubContext, repositoryId: number): GitHubRefusal {
  const rest = c.env.rawUrl.replace(/^\/repos\/[^/?]+\/[^/?]+/, "");
  const url = new URL(`/repositories/${repositoryId}${rest}`, c.req.url).href;
  const safe = c.req.method === "GET" || c.req.method === "HEAD";
  return new GitHubRefusal(safe ? 301 : 307, safe ? "Moved Permanently" : "Temporary Redirect", {
    extra: { url },
    headers: { location: url },
  });
}
