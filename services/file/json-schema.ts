/** The JSON Schema of branchline.yaml, for completion in editors. The loader itself says more and says it better. */
import { z } from "zod";
import { auth } from "./auth.ts";
import type { Adapters } from "./configuration.ts";
import { includes, revision, ruleBlock, sweep, watch, webhooks } from "./schema.ts";

export type JsonSchema = { readonly [keyword: string]: unknown };

/** Of the whole file, with the blocks and targets of the given adapters. */
export function jsonSchema({ sources, destinations }: Adapters): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "branchline.yaml",
    ...free({
      type: "object",
      properties: {
        revision: inputOf(revision),
        includes: inputOf(includes),
        sources: named(oneOfKinds(sources), "Where branches and their passwords come from."),
        destinations: named(
          oneOfKinds(destinations),
          "Accounts at vendors that connection strings are pushed to.",
        ),
        rules: named(rule(destinations), "Which branches go to which target, under which names."),
        webhooks: inputOf(webhooks),
        watch: inputOf(watch),
        sweep: inputOf(sweep),
        auth: inputOf(auth),
      },
      additionalProperties: false,
    }),
  };
}

type WithBlock = { readonly kind: string; readonly block: z.ZodType };

/** `kind: { ... }`, exactly one of them. */
function oneOfKinds(adapters: readonly WithBlock[]): JsonSchema {
  return free({
    type: "object",
    properties: Object.fromEntries(adapters.map(({ kind, block }) => [kind, inputOf(block)])),
    additionalProperties: false,
    oneOf: adapters.map(({ kind }) => ({ required: [kind] })),
  });
}

/** Every field may be null, which removes it from what is extended; all may come from there. */
function rule(destinations: Adapters["destinations"]): JsonSchema {
  const { properties, required, ...rest } = inputOf(ruleBlock);
  const targets = destinations.map(({ kind, target }) => ({ title: kind, ...anyPart(inputOf(target)) }));
  return free({
    ...rest,
    properties: {
      extends: {
        description: "Names of rules to take over: mappings are merged deep, null removes.",
        anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }],
      },
      ...Object.fromEntries(
        Object.entries(properties ?? {}).map(([field, schema]) => [field, orNull(schema)]),
      ),
      target: {
        description: "Where at the destination, in its own terms.",
        anyOf: [...targets, { type: "null" }],
      },
    },
    anyOf: [{ required: ["extends"] }, { required }],
  });
}

function named(schema: JsonSchema, description: string): JsonSchema {
  const section = { type: "object", patternProperties: { "^x-": true }, additionalProperties: schema };
  return { description, anyOf: [section, { type: "null" }] };
}

/** Keys that begin with `x-` are the user's own. */
function free(schema: JsonSchema): JsonSchema {
  return { ...schema, patternProperties: { "^x-": true } };
}

interface ObjectSchema extends JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
}

/** What may be written, before defaults and transformations. */
function inputOf(schema: z.ZodType): ObjectSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest as ObjectSchema;
}

function orNull(schema: unknown): JsonSchema {
  return { anyOf: [withNullParts(schema), { type: "null" }] };
}

/** Null is taken at any depth of a mapping, and a part of it is enough. */
function withNullParts(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withNullParts);
  if (schema === null || typeof schema !== "object") return schema;
  const { properties, anyOf, required: _, ...rest } = schema as ObjectSchema & { anyOf?: readonly unknown[] };
  return {
    ...rest,
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(withNullParts) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, each]) => [name, orNull(each)]),
          ),
        }),
    ...(isSchema(rest["additionalProperties"])
      ? { additionalProperties: orNull(rest["additionalProperties"]) }
      : {}),
  };
}

function isSchema(value: unknown): boolean {
  return value !== null && typeof value === "object" && Object.keys(value).length > 0;
}

/** A target that an extending rule completes. */
function anyPart(schema: JsonSchema): JsonSchema {
  return withNullParts(schema) as JsonSchema;
}
