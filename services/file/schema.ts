/** What may be written in branchline.yaml, adapters' blocks apart. Field by field; what needs two is in `rules.ts`. */
import { z } from "zod";
import { checkParameter } from "../sync/connection-strings.ts";
import { credentialRef } from "../sync/credential.ts";
import { checkPattern } from "../sync/patterns.ts";
import { EXPOSURES } from "../sync/ports.ts";
import { parseDuration } from "./duration.ts";

const NAME = /^(?!x-)[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
export const NAME_EXPECTED =
  "expected a name of at most 63 letters, digits, dashes, dots and underscores that does not begin with x-";

/** Of a source, a destination or a rule. */
export const name = z.string().regex(NAME, NAME_EXPECTED);

const duration = z
  .string({ error: "expected a duration such as 30s, 5m, 1h or 7d" })
  .meta({ description: "A duration such as 30s, 5m, 1h or 7d.", pattern: "^(\\d+(ms|s|m|h|d|w))+$" })
  .transform((text, context) => {
    const ms = parseDuration(text);
    if (ms !== null && ms > 0) return ms;
    context.issues.push({
      code: "custom",
      message: "expected a duration such as 30s, 5m, 1h or 7d",
      input: undefined,
    });
    return z.NEVER;
  });

const glob = z
  .string()
  .check((context) => {
    const refused = checkPattern(context.value);
    if (refused !== null) context.issues.push({ code: "custom", message: refused, input: undefined });
  })
  .meta({ description: "A glob over names: * stops at /, ** crosses it." });

const globs = listOrOne(glob);

/** One or many: a single one may be written without the list. */
function listOrOne<T extends z.ZodType>(item: T) {
  return z
    .union([item, z.array(item).min(1, "expected at least one")])
    .transform((given) => [given].flat(1) as z.output<T>[]);
}

const selector = z.strictObject({
  include: globs.optional(),
  exclude: globs.optional(),
  default: z.boolean().optional().meta({ description: "Only (true) or never (false) the default branch." }),
  protected: z.boolean().optional(),
  expires: z
    .boolean()
    .optional()
    .meta({ description: "Only branches that expire, or only those that do not." }),
  parent: z.string().min(1).optional().meta({ description: "Name of the parent branch." }),
  olderThan: duration.optional(),
  youngerThan: duration.optional(),
  annotations: z.record(z.string(), glob).optional(),
});

type Selector = z.output<typeof selector>;

export const branches = z.union([globs.transform((include): Selector => ({ include })), selector]).meta({
  description:
    "Which branches. All given conditions must hold; a pattern or a list of them is short for include.",
});

/** PostgreSQL's identifiers are at most 63 bytes. */
const identifier = z
  .string()
  .min(1, "expected a name")
  .refine((text) => Buffer.byteLength(text) <= 63, "is longer than the 63 bytes that PostgreSQL allows");

const connection = z
  .strictObject({
    sslmode: z.enum(["require", "verify-ca", "verify-full"]).default("require"),
    channelBinding: z
      .boolean()
      .default(true)
      .meta({ description: "channel_binding=require; some clients refuse it." }),
    sniWorkaround: z
      .boolean()
      .default(false)
      .meta({ description: "options=endpoint%3D..., for clients without SNI." }),
    connectTimeout: z
      .union([
        duration,
        z
          .int()
          .min(1)
          .transform((seconds) => seconds * 1000),
      ])
      .refine((ms) => ms % 1000 === 0, "expected whole seconds")
      .optional(),
    applicationName: z
      .string()
      .regex(/^[\x20-\x7e]{1,63}$/, "expected at most 63 printable ASCII characters")
      .optional(),
    parameters: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String))
      .default({})
      .check((context) => {
        for (const [key, value] of Object.entries(context.value)) {
          const refused = checkParameter(key, value);
          if (refused !== null)
            context.issues.push({ code: "custom", message: refused, path: [key], input: undefined });
        }
      }),
  })
  .prefault({});

const TARGET = "Where at the destination, in its own terms. Text may hold ${branch.name} and filters.";

/** A rule after `extends`. `target` and `variables` are looked at closer in `rules.ts`. */
export const ruleBlock = z.strictObject({
  source: z.string().meta({ description: "Name of a source in this file." }),
  branches,
  role: identifier
    .optional()
    .meta({ description: "The role to log in as; short for roles: { default: ... }." }),
  roles: z.record(z.string(), identifier).optional().meta({ description: "Alias to role." }),
  database: identifier,
  destination: z.string().meta({ description: "Name of a destination in this file." }),
  target: z.record(z.string(), z.unknown()).meta({ description: TARGET }),
  variables: z
    .record(z.string(), z.union([z.string(), z.array(z.string()), z.null()]))
    .refine((variables) => Object.keys(variables).length > 0, "expected at least one variable")
    .meta({
      description:
        "Name to [role.](pooled|direct)[.form][?option=value], or text:..., and preset: NAME for a whole set.",
    }),
  policy: z.enum(["mirror", "upsert-only", "create-only"]).default("upsert-only"),
  onBranchDelete: z.enum(["delete", "retain"]).default("retain"),
  exposure: z
    .enum(EXPOSURES)
    .optional()
    .meta({ description: "Must be said where it cannot be derived from the target." }),
  productionReason: z.string().trim().min(10, "expected a reason in words").optional().meta({
    description: "Why logins of a default or protected branch may go to a target of lesser exposure.",
  }),
  inheritedPassword: z.enum(["warn", "refuse"]).default("warn"),
  proof: z.enum(["onChange", "always", "never"]).default("onChange"),
  onDrift: z.enum(["repair", "report"]).default("repair").meta({
    description: "What becomes of a value that somebody else changed at the target.",
  }),
  tier: z
    .enum(["page", "ticket", "quiet"])
    .default("ticket")
    .meta({ description: "How much it matters to whoever is on call." }),
  adopt: z
    .array(z.string().min(1))
    .default([])
    .meta({ description: "Names that exist already and are handed over." }),
  connection,
});
export type RuleBlock = z.output<typeof ruleBlock>;

const secrets = z.array(credentialRef).min(1, "expected at least one secret");

export const webhooks = z.strictObject({
  github: z
    .strictObject({
      secrets,
      repositories: z.record(
        z.string().regex(/^[A-Za-z0-9-]+\/[A-Za-z0-9._-]+$/, "expected owner/name"),
        z.array(z.string()).min(1, "expected at least one source"),
      ),
    })
    .optional(),
  neon: z.strictObject({ secrets }).optional(),
});

export const watch = z.strictObject({
  interval: duration.refine((ms) => ms >= 1000, "expected at least 1s"),
});

export const sweep = z.strictObject({
  every: duration.refine((ms) => ms >= 60_000, "expected at least 1m"),
});

export const revision = z
  .int({ error: "expected a whole number" })
  .min(0, "expected a number that is not negative")
  .max(Number.MAX_SAFE_INTEGER)
  .meta({
    description: "Rises with every edit: what is lower than what was applied last is refused.",
  });

/** Resolved before anything else is looked at, in `includes.ts`. */
export const includes = z
  .union([z.string(), z.array(z.string())])
  .meta({ description: "Further files, relative and inside this folder: other.yaml, rules/*.yaml." });

/** The words at the top of the file. */
export const SECTIONS = [
  "revision",
  "includes",
  "sources",
  "destinations",
  "rules",
  "webhooks",
  "watch",
  "sweep",
  "auth",
] as const;
