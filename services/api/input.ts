/** What comes in with a request, checked against its declaration; every problem at once, each with its place. */
import type { Context } from "hono";
import type { z } from "zod";
import type { ApiEnv } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

/** A path that names nothing possible names nothing that is there. */
export function readParams<S extends z.ZodType>(shape: S, c: Context<ApiEnv>, noun: string): z.output<S> {
  const known = shape.safeParse(c.req.param());
  if (!known.success) throw new ApiProblem("not_found", `There is no ${noun} with this id.`);
  return known.data;
}

/** Throws naming every parameter that is not understood, and each that is given twice: nobody knows which is meant. */
export function readQuery<S extends z.ZodType>(shape: S, c: Context<ApiEnv>): z.output<S> {
  const entries = Object.entries(c.req.queries()).map(([name, values]) => {
    if (values.length > 1) throw invalid([{ parameter: name, problem: "given more than once" }]);
    return [name, values[0]] as const;
  });
  const result = shape.safeParse(Object.fromEntries(entries));
  if (result.success) return result.data;
  throw invalid(
    result.error.issues
      .flatMap(problemsOf)
      .map(({ path, problem }) => ({ parameter: path.join("."), problem })),
  );
}

/** Nothing at all is taken for `{}`. */
export function readBody<S extends z.ZodType>(shape: S, text: string): z.output<S> {
  const parsed = shape.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  const parameters = parsed.error.issues
    .flatMap(problemsOf)
    .map(({ path, problem }) => ({ parameter: path.join("."), problem, pointer: pointerOf(path) }));
  throw new ApiProblem("invalid_request", "The body is not what is expected here.", {
    members: { parameters },
  });
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly problem: string;
}

/** In our words; never with what was sent. */
function problemsOf(issue: z.core.$ZodIssue): Issue[] {
  const { path } = issue;
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path, key], problem: "is not known here" }));
  }
  if (issue.code === "invalid_value") {
    return [{ path, problem: `has a value that is not possible here: expected ${issue.values.join(", ")}` }];
  }
  return [{ path, problem: "is missing or has a value that is not possible here" }];
}

function jsonOf(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiProblem("malformed", "The body is not JSON.");
  }
}

export function invalid(parameters: readonly ParameterProblem[]): ApiProblem {
  return new ApiProblem("invalid_request", "Some query parameters are not understood.", {
    members: { parameters: parameters.map(pointed) },
  });
}

export interface ParameterProblem {
  readonly parameter: string;
  readonly problem: string;
  /** What was meant, most likely. */
  readonly suggestions?: readonly string[];
}

/** With the place as a JSON pointer (RFC 6901) into the query, for programs that show it there. */
export const pointed = (one: ParameterProblem): object => ({
  ...one,
  pointer: pointerOf(["query", one.parameter]),
});

const pointerOf = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
