/** GitHub's error bodies: `{"message","documentation_url","status"}`. https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api */
import { randomBytes } from "node:crypto";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

const DOCS = "https://docs.github.com/rest";

/** Thrown by any rule of this stand-in; the app turns it into GitHub's answer. */
export class GitHubRefusal extends Error {
  readonly status: number;
  readonly extra: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    message: string,
    more: { extra?: Record<string, unknown>; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.status = status;
    this.extra = more.extra ?? {};
    this.headers = more.headers ?? {};
  }
}

/** Also what somebody sees who may not know that the thing exists. */
export function notFound(): GitHubRefusal {
  return new GitHubRefusal(404, "Not Found");
}

export function unprocessable(message: string): GitHubRefusal {
  return new GitHubRefusal(422, message);
}

/** A field that the schema of the call wants. */
export function missing(name: string): GitHubRefusal {
  return unprocessable(`Invalid request.\n\n"${name}" wasn't supplied.`);
}

/** 403 with the words that clients look for, and `retry-after`. */
export function secondaryLimit(retryAfterSeconds: number): GitHubRefusal {
  return new GitHubRefusal(
    403,
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. For more on scraping GitHub and how it may affect your rights, please review our Terms of Service.",
    {
      extra: {
        documentation_url: `${DOCS}/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits`,
      },
      headers: { "retry-after": String(retryAfterSeconds) },
    },
  );
}

/** 403 with nothing remaining; when it ends is in `x-ratelimit-reset`. */
export function primaryLimit(who: string, headers: Record<string, string>): GitHubRefusal {
  return new GitHubRefusal(403, `API rate limit exceeded for ${who}.`, {
    extra: {
      documentation_url: `${DOCS}/using-the-rest-api/rate-limits-for-the-rest-api#about-primary-rate-limits`,
    },
    headers: { ...headers, "x-ratelimit-remaining": "0" },
  });
}

export function refuse(c: Context, refusal: GitHubRefusal): Response {
  const { status, message, extra, headers } = refusal;
  const body = { message, documentation_url: DOCS, status: String(status), ...extra };
  return c.json(body, status as ContentfulStatusCode, { "x-github-request-id": requestId(), ...headers });
}

/** What GitHub says for a status that a test injects, and for a path that does not exist. */
export function githubError(status: number, c: Context): Response {
  if (status === 429) return refuse(c, Object.assign(secondaryLimit(60), { status: 429 }));
  return refuse(c, new GitHubRefusal(status, STATUS_WORDS[status] ?? "Server Error"));
}

/** As in `C0FF:3A8F2:1B2C3D4:1E2F3A4:65A1B2C3`. */
export function requestId(): string {
  const hex = randomBytes(18).toString("hex").toUpperCase();
  return [hex.slice(0, 4), hex.slice(4, 10), hex.slice(10, 18), hex.slice(18, 26), hex.slice(26, 34)].join(
    ":",
  );
}

const STATUS_WORDS: Readonly<Record<number, string>> = {
  401: "Bad credentials",
  403: "Resource not accessible by integration",
  404: "Not Found",
  409: "Conflict",
  422: "Validation Failed",
  502: "Server Error",
  503: "Service unavailable",
};
