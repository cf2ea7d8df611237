/** The shape of bodies: what Vercel's schema refuses before any rule of meaning is looked at. */
import { invalid, VercelRefusal } from "./answers.ts";
import type { VercelContext } from "./caller.ts";
import { type EnvType, STANDARD_TARGETS, type StandardTarget } from "./state.ts";

/** A variable as a client wants it, schema checked. */
export interface Draft {
  readonly key: string;
  readonly value: string;
  readonly type: EnvType;
  readonly target: readonly StandardTarget[];
  readonly customEnvironmentIds: readonly string[];
  readonly gitBranch: string | null;
  readonly comment: string | null;
}

/** The JSON body, or Vercel's answer to something else. */
export async function jsonBody(c: VercelContext): Promise<unknown> {
  const type = c.req.header("content-type") ?? "";
  const text = await c.req.text();
  if (!/^application\/json\b/i.test(type)) throw new VercelRefusal(400, "bad_request", "Invalid JSON");
  try {
    return JSON.parse(text);
  } catch {
    throw new VercelRefusal(400, "bad_request", "Invalid JSON");
  }
}

const CREATE_FIELDS = [
  "key",
  "value",
  "type",
  "target",
  "customEnvironmentIds",
  "gitBranch",
  "comment",
  "visibility",
];

/** POST /v10/projects/{idOrName}/env, one item. Throws what Vercel's schema says. */
export function readDraft(input: unknown): Draft {
  const body = objectOf(input, CREATE_FIELDS);
  for (const name of ["key", "value", "type"]) {
    if (!(name in body)) throw invalid(`missing required property \`${name}\`.`);
  }
  const fields = readFields(body);
  const { target = [], customEnvironmentIds = [] } = fields;
  if (target.length === 0 && customEnvironmentIds.length === 0) {
    throw invalid("at least one of `target` or `customEnvironmentIds` is required.");
  }
  return {
    key: fields.key ?? "",
    value: fields.value ?? "",
    type: fields.type ?? "encrypted",
    target,
    customEnvironmentIds,
    gitBranch: fields.gitBranch ?? null,
    comment: fields.comment ?? null,
  };
}

/** PATCH /v9/projects/{idOrName}/env/{id}: any of the fields, none required. */
export function readPatch(input: unknown): Partial<Draft> {
  return readFields(objectOf(input, CREATE_FIELDS));
}

/** An object with only known members. */
export function objectOf(input: unknown, allowed: readonly string[]): Record<string, unknown> {
  if (typeof input !== "object" || input === null || Array.isArray(input)) throw invalid("should be object.");
  for (const name of Object.keys(input)) {
    if (!allowed.includes(name)) throw invalid(`should NOT have additional property \`${name}\`.`);
  }
  return input as Record<string, unknown>;
}

/** A list of strings within bounds. */
export function stringsOf(name: string, input: unknown, bounds: { min: number; max: number }): string[] {
  if (!Array.isArray(input) || input.some((item) => typeof item !== "string")) {
    throw invalid(`\`${name}\` should be array.`);
  }
  if (input.length < bounds.min) throw invalid(`\`${name}\` should NOT have fewer than ${bounds.min} items.`);
  if (input.length > bounds.max) throw invalid(`\`${name}\` should NOT have more than ${bounds.max} items.`);
  return input as string[];
}

/** `target` as an array of Vercel's own environments, without repeats. */
export function targetsOf(input: unknown): StandardTarget[] {
  const list = typeof input === "string" ? [input] : stringsOf("target", input, { min: 0, max: 3 });
  const unknown = list.find((item) => !(STANDARD_TARGETS as readonly string[]).includes(item));
  if (unknown !== undefined) {
    throw invalid(
      '`target` should be equal to one of the allowed values "production, preview, development".',
    );
  }
  return STANDARD_TARGETS.filter((target) => list.includes(target));
}

function readFields(body: Record<string, unknown>): Partial<Draft> {
  return {
    ...("key" in body ? { key: textOf("key", body["key"]) } : {}),
    ...("value" in body ? { value: textOf("value", body["value"]) } : {}),
    ...("type" in body ? { type: typeOf(body["type"]) } : {}),
    ...("target" in body ? { target: targetsOf(body["target"]) } : {}),
    ...("customEnvironmentIds" in body
      ? {
          customEnvironmentIds: stringsOf("customEnvironmentIds", body["customEnvironmentIds"], {
            min: 0,
            max: 12,
          }),
        }
      : {}),
    ...("gitBranch" in body ? { gitBranch: gitBranchOf(body["gitBranch"]) } : {}),
    ...("comment" in body ? { comment: textOf("comment", body["comment"], 500) } : {}),
  };
}

function textOf(name: string, input: unknown, max = Number.POSITIVE_INFINITY): string {
  if (typeof input !== "string") throw invalid(`\`${name}\` should be string.`);
  if (input.length > max) throw invalid(`\`${name}\` should NOT be longer than ${max} characters.`);
  return input;
}

function gitBranchOf(input: unknown): string | null {
  return input === null ? null : textOf("gitBranch", input, 250);
}

function typeOf(input: unknown): EnvType {
  const allowed: readonly EnvType[] = ["system", "encrypted", "plain", "sensitive"];
  const found = allowed.find((type) => type === input);
  if (found === undefined) {
    throw invalid(`\`type\` should be equal to one of the allowed values "${allowed.join(", ")}".`);
  }
  return found;
}
