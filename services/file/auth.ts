/** Who else may use the API: identity providers that are trusted, and what their tokens are good for. */
import { z } from "zod";
import { checkPattern } from "../sync/patterns.ts";

const glob = z
  .string()
  .min(1)
  .max(255)
  .refine((text) => checkPattern(text) === null, "expected a glob");
const oneOrMore = z
  .union([glob, z.array(glob).min(1)])
  .transform((one) => (Array.isArray(one) ? one : [one]));
const names = z.array(z.string().min(1)).min(1).optional();

const grant = z
  .strictObject({
    when: z
      .record(z.string().min(1), oneOrMore)
      .refine((claims) => Object.keys(claims).length > 0, "expected at least one claim")
      .meta({ description: "Claim to globs, one of which has to describe it. All claims have to hold." }),
    scopes: z.array(z.enum(["read", "write", "admin", "reveal"])).min(1),
    sources: names.meta({ description: "Only these sources; left out: all." }),
    branches: z.array(glob).min(1).optional().meta({ description: "Only branches that one of these means." }),
    destinations: names.meta({ description: "Only these destinations; left out: all." }),
    revealDefault: z
      .boolean()
      .default(false)
      .meta({ description: "With reveal: also what opens a default or protected branch." }),
  })
  .refine(
    ({ scopes, sources, branches, destinations }) =>
      !scopes.includes("admin") || (sources ?? branches ?? destinations) === undefined,
    "the scope admin cannot be limited",
  );

/** Everybody has an account there: that a token is real says nothing about whose it is. */
const SHARED = "https://token.actions.githubusercontent.com";
const WHOSE = ["repository", "repository_id", "repository_owner", "repository_owner_id", "sub"];

const issuer = z
  .strictObject({
    issuer: z
      .url({ protocol: /^https?$/ })
      .meta({ description: "As it stands in the claim iss: https://token.actions.githubusercontent.com" }),
    audience: z.string().min(1).meta({ description: "As it has to stand in the claim aud." }),
    jwks: z
      .url({ protocol: /^https?$/ })
      .optional()
      .meta({ description: "Where its keys are; left out: where its openid-configuration says." }),
    privateNetwork: z
      .boolean()
      .default(false)
      .meta({ description: "It is reached over http or on a private address." }),
    grants: z.array(grant).min(1).meta({ description: "The first one whose claims hold counts." }),
  })
  .refine(
    ({ issuer: from, grants }) =>
      from.replace(/\/+$/, "") !== SHARED ||
      grants.every(({ when }) => Object.keys(when).some((claim) => WHOSE.includes(claim))),
    "every grant for GitHub has to say whose repository, else anybody's workflow gets in",
  );

export const auth = z.strictObject({ oidc: z.array(issuer).min(1).optional() });

export type TrustedIssuer = z.output<typeof issuer>;
export type Grant = z.output<typeof grant>;
export interface Auth {
  readonly oidc: readonly TrustedIssuer[];
}
