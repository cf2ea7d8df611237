/** Bearer tokens of identity providers (OpenID Connect): for CI jobs and people who need no stored token. */
import { createHash } from "node:crypto";
import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose";
import { z } from "zod";
import type { Grant, TrustedIssuer } from "../file/auth.ts";
import { decodeJson } from "../http.ts";
import { SyncError } from "../sync/errors.ts";
import { matchesGlob } from "../sync/patterns.ts";
import type { Io } from "../sync/ports.ts";
import { revealed } from "./auth.ts";
import type { Authenticate, Principal } from "./ports.ts";

export interface OidcOptions {
  /** Asked for every token: an apply may change them. */
  readonly trusted: () => readonly TrustedIssuer[];
  /** What a provider is asked through: our own client, with its deadline and without redirects. */
  readonly io: (privateNetwork: boolean) => Pick<Io, "fetch">;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

/** Signatures with a public key alone: a provider's keys must not be taken for a shared secret. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
const KEPT_MS = 10 * 60_000;
/** A key that is not known may be new; but whoever makes up keys does not make us ask for each. */
const ASKED_AGAIN_MS = 60_000;
const TOLERANCE_SECONDS = 60;
const DEADLINE_MS = 5_000;

/** Null for whatever is not a valid token of a trusted provider with a grant. Rejects with `unavailable` if its keys cannot be had. */
export function oidcTokens({ trusted, io, now = () => performance.now() }: OidcOptions): Authenticate {
  const keys = new Map<string, Keys>();
  return async (token) => {
    const text = revealed(token);
    const from = claimedIssuer(text);
    const provider = trusted().find(({ issuer }) => issuer === from);
    if (provider === undefined) return null;
    const known = keys.get(keyOf(provider)) ?? openKeys(provider, io(provider.privateNetwork), now);
    keys.set(keyOf(provider), known);
    const claims = await verified(text, provider, known);
    const grant = claims === null ? undefined : provider.grants.find((one) => holds(one, claims));
    return claims === null || grant === undefined ? null : principalOf(provider, claims, grant);
  };
}

const keyOf = ({ issuer, jwks }: TrustedIssuer): string => `${issuer} ${jwks ?? ""}`;

/** Only says whom to ask; nothing in it is believed yet. */
function claimedIssuer(text: string): string | null {
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)) return null;
  try {
    return decodeJwt(text).iss ?? null;
  } catch {
    return null;
  }
}

async function verified(
  text: string,
  { issuer, audience }: TrustedIssuer,
  keys: Keys,
): Promise<JWTPayload | null> {
  const check = async (set: JSONWebKeySet): Promise<JWTPayload> => {
    const options = { issuer, audience, algorithms: ALGORITHMS, clockTolerance: TOLERANCE_SECONDS };
    const { payload } = await jwtVerify(text, createLocalJWKSet(set), {
      ...options,
      // One that never ends would be a stored token.
      requiredClaims: ["exp", "sub"],
    });
    return payload;
  };
  try {
    return await check(await keys.read(false));
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    if (!(error instanceof errors.JWKSNoMatchingKey)) return null;
  }
  try {
    return await check(await keys.read(true));
  } catch (error) {
    if (error instanceof errors.JOSEError) return null;
    throw error;
  }
}

/** Every claim that is named must be there and be described by one of its globs; of a list, one member. */
function holds({ when }: Grant, claims: JWTPayload): boolean {
  return Object.entries(when).every(([name, globs]) => {
    const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
    const texts = (Array.isArray(value) ? value : [value]).flatMap((one: unknown) =>
      typeof one === "string" || typeof one === "boolean" || typeof one === "number" ? [String(one)] : [],
    );
    return texts.some((text) => globs.some((glob) => matchesGlob(glob, text)));
  });
}

/** GitHub puts the commit of the job into its tokens; others need not. */
const commitOf = (sha: unknown): string | null => (typeof sha === "string" && sha !== "" ? sha : null);

function principalOf({ issuer }: TrustedIssuer, claims: JWTPayload, grant: Grant): Principal {
  const { sub = "" } = claims;
  const { scopes, sources = null, branches = null, destinations = null, revealDefault } = grant;
  const limited = sources !== null || branches !== null || destinations !== null;
  const subject = sub.replaceAll(/\p{Cc}/gu, " ").slice(0, 200);
  return {
    id: `oidc:${createHash("sha256").update(`${issuer}\n${sub}`).digest("hex").slice(0, 32)}`,
    name: `${subject} (${new URL(issuer).host})`,
    scopes: new Set(scopes),
    limits: limited ? { sources, branches, destinations } : null,
    revealDefault,
    commit: commitOf(claims["sha"]),
  };
}

// ---------------------------------------------------------------- keys

interface Keys {
  /** `again`: a key was not among them; they are asked for again, if that was not just done. */
  read(again: boolean): Promise<JSONWebKeySet>;
}

const discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });
const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(100) });

/** Requests that come together share one question. */
function openKeys(provider: TrustedIssuer, io: Pick<Io, "fetch">, now: () => number): Keys {
  let known: { readonly set: JSONWebKeySet; readonly at: number } | null = null;
  let asking: Promise<JSONWebKeySet> | null = null;
  const ask = async (): Promise<JSONWebKeySet> => {
    const set = await fetchKeys(provider, io);
    known = { set, at: now() };
    return set;
  };
  return {
    read: async (again) => {
      const age = known === null ? Number.POSITIVE_INFINITY : now() - known.at;
      if (known !== null && age < (again ? ASKED_AGAIN_MS : KEPT_MS)) return known.set;
      asking ??= ask().finally(() => {
        asking = null;
      });
      return await asking;
    },
  };
}

async function fetchKeys({ issuer, jwks }: TrustedIssuer, io: Pick<Io, "fetch">): Promise<JSONWebKeySet> {
  const get = async <T>(url: string, shape: z.ZodType<T>, operation: string): Promise<T> => {
    const where = { vendor: "oidc", operation };
    const response = await io.fetch({ ...where, method: "GET", url, timeoutMs: DEADLINE_MS });
    if (response.status !== 200)
      throw new SyncError("unavailable", "an identity provider does not show its keys", where);
    return decodeJson(response, shape, where);
  };
  const url =
    jwks ??
    (
      await get(
        `${issuer.replace(/\/+$/, "")}/.well-known/openid-configuration`,
        discovery,
        "GET openid-configuration",
      )
    ).jwks_uri;
  return (await get(url, keySet, "GET jwks")) as JSONWebKeySet;
}
