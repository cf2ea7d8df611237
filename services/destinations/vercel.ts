/**
 * Vercel environment variables: of a project by environment (production, preview with and without a git
 * branch, development, custom ones) and those that a team shares.
 *
 * Facts this rests on (checked 2026-11):
 * - A batch POST creates; with `upsert=true` it also updates, but only the record whose set of environments is
 *   exactly the same. Every item may fail alone: `failed[]`, on a 201 as on a 400.
 *   https://vercel.com/docs/rest-api/projects/create-one-or-more-environment-variables
 * - `sensitive` values are never readable again, and not kept for development.
 *   https://vercel.com/docs/environment-variables/sensitive-environment-variables
 * - A token without the right to production sees `hiddenProductionEnvCount` instead of the records.
 * - A branch's records stay when the git branch goes; the branch must exist when they are written.
 * - 1,000 variables per environment, 64 KB of names and values per deployment. https://vercel.com/docs/limits
 * - There is no compare-and-set: an older writer is noticed by `updatedAt`, not stopped.
 */
import type { DestinationAdapter } from "../sync/ports.ts";
import { VercelDestination } from "./vercel-destination.ts";
import { vercelLimits } from "./vercel-limits.ts";
import {
  parseVercelTarget,
  type VercelBlock,
  type VercelTarget,
  vercelBlock,
  vercelContainer,
  vercelExposure,
  vercelPlace,
  vercelTargetInput,
  vercelWithin,
} from "./vercel-target.ts";

/** The longest name that is certainly accepted; the limit of values leaves room for it. */
const NAME_LENGTH = 256;
const DEPLOYMENT_BYTES = 64 * 1024;

export const vercel: DestinationAdapter<VercelBlock, VercelTarget> = {
  kind: "vercel",
  traits: {
    values: "by-type",
    grain: "per-name",
    createOnly: true,
    compareAndSet: false,
    mark: true,
    versionGrainMs: 1,
    inFlight: 16,
    limits: {
      valueBytes: DEPLOYMENT_BYTES - NAME_LENGTH,
      names: 1000,
      bundleBytes: DEPLOYMENT_BYTES,
    },
    normaliseName: (name) => name,
    refuseName,
  },
  block: vercelBlock,
  target: vercelTargetInput,
  parseTarget: parseVercelTarget,
  place: vercelPlace,
  container: vercelContainer,
  within: vercelWithin,
  exposure: vercelExposure,
  limits: vercelLimits,
  open: (block, credential, io) => new VercelDestination(block, credential(block.token), io),
};

/** https://vercel.com/docs/environment-variables/reserved-environment-variables */
const RESERVED = new Set([
  "AWS_SECRET_KEY",
  "AWS_EXECUTION_ENV",
  "AWS_LAMBDA_LOG_GROUP_NAME",
  "AWS_LAMBDA_LOG_STREAM_NAME",
  "AWS_LAMBDA_FUNCTION_NAME",
  "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
  "AWS_LAMBDA_FUNCTION_VERSION",
  "NOW_REGION",
  "TZ",
  "LAMBDA_TASK_ROOT",
  "LAMBDA_RUNTIME_DIR",
]);

/** Prefixes by which frameworks build a variable into what browsers load; Vercel takes no secrets under them. */
const PUBLIC = /^(NEXT_PUBLIC|NUXT_PUBLIC|PUBLIC|VITE|REACT_APP|GATSBY|EXPO_PUBLIC|VUE_APP|REDWOOD_ENV)_/;

function refuseName(name: string): string | null {
  if (!/^[A-Za-z_]\w*$/.test(name)) return "may hold only letters, digits and _, and no digit first";
  if (name.length > NAME_LENGTH) return `is longer than ${NAME_LENGTH} characters`;
  if (RESERVED.has(name)) return "is reserved by Vercel";
  if (PUBLIC.test(name)) return "has a prefix whose variables are sent to browsers";
  return null;
}
