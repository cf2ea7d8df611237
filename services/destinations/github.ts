/**
 * GitHub Actions: secrets of repositories, environments and organizations, Dependabot's secrets, and variables
 * for what is not secret.
 *
 * Facts this rests on (checked 2026-11):
 * - Secrets are write-only. What changes with the value is `updated_at`, to the second; it is read back after
 *   the writes, since the answer to a put holds nothing. https://docs.github.com/rest/actions/secrets
 * - A put creates or overwrites: there is no create-only, no compare-and-set, and no room for a mark. A name
 *   that somebody creates between our listing and our put is overwritten; that is what remains.
 * - Values are sealed with a public key per repository, environment and organization.
 *   https://docs.github.com/rest/guides/encrypting-secrets-for-the-rest-api
 * - An organization secret's visibility has to be sent with every put, and its repositories with it.
 * - 100 secrets a repository or environment, 1,000 an organization (a workflow sees the first 100), 48 KB each.
 *   https://docs.github.com/actions/reference/security/secrets
 * - A renamed repository answers with a redirect to its id.
 * - A second between writes. https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
 */
import type { DestinationAdapter } from "../sync/ports.ts";
import { GitHubDestination } from "./github-destination.ts";
import { githubLimits } from "./github-limits.ts";
import {
  type GitHubBlock,
  type GitHubTarget,
  githubBlock,
  githubExposure,
  githubPlace,
  githubTargetInput,
  githubWithin,
  parseGitHubTarget,
} from "./github-target.ts";

/** What a sealed box adds to a value; whether the limit is on the value or the box is not documented. */
const SEAL_BYTES = 48;

export const github: DestinationAdapter<GitHubBlock, GitHubTarget> = {
  kind: "github",
  traits: {
    values: "by-type",
    grain: "per-name",
    createOnly: false,
    compareAndSet: false,
    mark: false,
    versionGrainMs: 1_000,
    inFlight: 32, // most of them wait: a second lies between two writes, and each reads Neon in its turn
    limits: { valueBytes: 48 * 1024 - SEAL_BYTES, names: 100, bundleBytes: null },
    normaliseName: (name) => name.toUpperCase(),
    refuseName,
  },
  block: githubBlock,
  target: githubTargetInput,
  parseTarget: parseGitHubTarget,
  place: githubPlace,
  container: githubPlace,
  within: githubWithin,
  exposure: githubExposure,
  limits: githubLimits,
  open: (block, credential, io) => new GitHubDestination(block, credential, io),
};

function refuseName(name: string): string | null {
  if (!/^[A-Za-z_]\w*$/.test(name)) return "may hold only letters, digits and _, and no digit first";
  if (/^GITHUB_/i.test(name)) return "starts with GITHUB_, which GitHub keeps for itself";
  return name.length > 255 ? "is longer than 255 characters" : null;
}
