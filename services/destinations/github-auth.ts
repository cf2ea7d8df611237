/**
 * What opens GitHub for us: a token as it is, or an app that trades a signed JWT for installation tokens.
 * Installation tokens live an hour, are narrowed to the repository at hand, and are shared by the process.
 * https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
 */
import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import { z } from "zod";
import { decodeJson } from "../http.ts";
import { SyncError } from "../sync/errors.ts";
import type { Io, OutgoingRequest, OutgoingResponse } from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";
import { githubError } from "./github-errors.ts";

/** What an installation token is narrowed to; null: nothing, for organizations. */
export type Narrowing = { readonly repository: string } | { readonly repositoryId: number } | null;

export interface GitHubAuth {
  token(narrowing: Narrowing): Promise<Secret>;
  /** Forgets a token that was refused. False: there is no other to be had. */
  renew(narrowing: Narrowing): boolean;
  /** Login of the account that the app is installed on; null for a plain token. */
  account(): Promise<string | null>;
}

export const API_HEADERS = {
  accept: "application/vnd.github+json",
  "x-github-api-version": "2022-11-28",
};

export function tokenAuth(token: Secret): GitHubAuth {
  return { token: async () => token, renew: () => false, account: async () => null };
}

export interface GitHubAppBlock {
  readonly id: number | string;
  readonly installation: number;
}

/** Ask for a new token this long before the old one ends. */
const EARLY_MS = 5 * 60_000;

const grant = z.object({ token: z.string().min(1), expires_at: z.string() });
const installation = z.object({ account: z.object({ login: z.string() }) });

interface Granted {
  readonly token: Secret;
  readonly expiresAt: number;
}

/** One request for a token at a time and narrowing; whoever comes meanwhile waits for the same one. */
const granted = new Map<string, Promise<Granted>>();

function forget(key: string, which: Promise<Granted>): void {
  if (granted.get(key) === which) granted.delete(key);
}

export function appAuth(api: string, app: GitHubAppBlock, privateKey: Secret, io: Io): GitHubAuth {
  const base = `${api}/app/installations/${app.installation}`;
  // With the key's fingerprint: a token is for those who could have asked for it.
  const who = [api, app.id, app.installation, io.fingerprint(privateKey)];
  const cacheKey = (narrowing: Narrowing) => JSON.stringify([...who, narrowing]);

  const call = (request: Pick<OutgoingRequest, "operation" | "method" | "url" | "body">) =>
    io.fetch({
      vendor: "github",
      ...request,
      headers: { ...API_HEADERS, authorization: `Bearer ${jwt(app.id, privateKey)}` },
    });

  const ask = async (narrowing: Narrowing): Promise<Granted> => {
    const operation = "POST /app/installations/{id}/access_tokens";
    const response = await call({
      operation,
      method: "POST",
      url: `${base}/access_tokens`,
      body: JSON.stringify(bodyOf(narrowing)),
    });
    const context = { vendor: "github", operation, write: false };
    if (response.status !== 201) throw refusal(response, operation, app);
    const { token, expires_at } = decodeJson(response, grant, context);
    return { token: new Secret(token), expiresAt: Date.parse(expires_at) };
  };

  return {
    async token(narrowing) {
      const key = cacheKey(narrowing);
      for (;;) {
        const known = granted.get(key);
        if (known === undefined) break;
        const { token, expiresAt } = await known;
        if (expiresAt - EARLY_MS > Date.now()) return token;
        forget(key, known);
      }
      const asked = ask(narrowing);
      granted.set(key, asked);
      asked.catch(() => forget(key, asked));
      return (await asked).token;
    },
    renew: (narrowing) => granted.delete(cacheKey(narrowing)),
    async account() {
      const operation = "GET /app/installations/{id}";
      const response = await call({ operation, method: "GET", url: base });
      if (response.status !== 200) throw refusal(response, operation, app);
      return decodeJson(response, installation, { vendor: "github", operation }).account.login;
    },
  };
}

function bodyOf(narrowing: Narrowing): unknown {
  if (narrowing === null) return {};
  return "repositoryId" in narrowing
    ? { repository_ids: [narrowing.repositoryId] }
    : { repositories: [narrowing.repository] };
}

function refusal(response: OutgoingResponse, operation: string, app: GitHubAppBlock): SyncError {
  if (response.status !== 404) return githubError(response, { vendor: "github", operation, write: false });
  return new SyncError("wrong_account", `github knows no installation ${app.installation} of this app`, {
    vendor: "github",
    operation,
    status: 404,
    next: "Correct `app.id` and `app.installation`, or install the app again.",
  });
}

/** Nine minutes of the ten allowed, and a minute ago, since clocks differ. */
function jwt(issuer: number | string, privateKey: Secret): string {
  const now = Math.floor(Date.now() / 1000);
  const parts = [
    { alg: "RS256", typ: "JWT" },
    { iat: now - 60, exp: now + 540, iss: String(issuer) },
  ];
  const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${text}.${sign("RSA-SHA256", Buffer.from(text), keyOf(privateKey)).toString("base64url")}`;
}

function keyOf(privateKey: Secret): KeyObject {
  try {
    return createPrivateKey(privateKey.reveal());
  } catch {
    // The library's error may quote the key.
    throw new SyncError("unauthenticated", "the private key of the GitHub app cannot be read", {
      vendor: "github",
      next: "Give the PEM file that GitHub made for the app, unencrypted.",
    });
  }
}
