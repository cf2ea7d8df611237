/** What is wrong, with its place in the file, and how a terminal shows it. */
import type { z } from "zod";
import { ConfigurationError, type Problem } from "../config.ts";
import { didYouMean } from "../sync/suggest.ts";
import type { FileProblem, FileWarning, Path } from "./configuration.ts";
import { type Fault, locate, lookUp, type Spot, type Tree } from "./tree.ts";
import { MOST_FAULTS } from "./yaml.ts";

/** Collects everything that is wrong with one file. The same thing is only said once. */
export class Findings {
  readonly #file: string;
  readonly #problems = new Map<string, FileProblem>();
  readonly #warnings: FileWarning[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /** Throws all that was found once it is more than anybody reads: hints and places of more would only take time. */
  add(fault: Fault): void {
    const found = this.#locate(fault);
    const key = `${found.where} ${found.problem}`;
    if (this.#problems.has(key)) return;
    if (this.#problems.size >= MOST_FAULTS) {
      const more = `more than ${MOST_FAULTS} problems: only those found first are told`;
      this.#problems.set("", { ...found, where: this.#file, problem: more, hint: "Mend these first." });
      this.throwIfAny();
    }
    this.#problems.set(key, found);
  }

  /** What is allowed and yet probably a mistake. */
  warn(rule: string, code: string, fault: Fault): void {
    this.#warnings.push({ ...this.#locate(fault), rule, code });
  }

  /** `branchline.yaml:12:5` */
  place({ file = this.#file, line, column }: Spot): string {
    return `${file}:${line}:${column}`;
  }

  #locate({ at, path, problem, hint }: Fault): FileProblem {
    const written = formatPath(path);
    const { line, column } = at;
    const where = `${this.place(at)}${written === "" ? "" : ` ${written}`}`;
    return { where, problem, hint, path: written, pointer: pointerOf(path), line, column };
  }

  get warnings(): readonly FileWarning[] {
    return this.#warnings;
  }

  /** By their order in the file. */
  get problems(): readonly FileProblem[] {
    return [...this.#problems.values()].sort((a, b) => a.line - b.line || a.column - b.column);
  }

  throwIfAny(): void {
    if (this.#problems.size > 0) throw new ConfigurationError(this.problems);
  }
}

/** A part of the file: its tree, and the path that its own paths continue. */
export interface Part {
  readonly tree: Tree;
  readonly path: Path;
}

/** A fault at a path below a part. */
export function faultAt(
  part: Part,
  below: Path,
  problem: string,
  hint = "",
  want: "key" | "value" = "value",
): Fault {
  return { at: locate(part.tree, below, want), path: [...part.path, ...below], problem, hint };
}

/** Zod's issues in our words, each with its place, what was expected, and a guess at what was meant. */
export function faultsOf(issues: readonly z.core.$ZodIssue[], part: Part, schema: z.core.$ZodType): Fault[] {
  return issues.slice(0, MOST_FAULTS + 1).flatMap((issue) => faultsOfIssue(issue, [], part, schema));
}

function faultsOfIssue(issue: z.core.$ZodIssue, above: Path, part: Part, schema: z.core.$ZodType): Fault[] {
  const path = [...above, ...issue.path.map((step) => (typeof step === "number" ? step : String(step)))];
  const found = lookUp(part.tree, path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.slice(0, MOST_FAULTS + 1).map((key) => {
        const known = keysAt(schema, path);
        const hint = didYouMean(key, known) || (known.length === 0 ? "" : `Known here: ${known.join(", ")}.`);
        return faultAt(part, [...path, key], `there is no "${key}" here`, hint, "key");
      });
    case "invalid_union":
      return nearestBranch(issue.errors, found)
        .slice(0, MOST_FAULTS + 1)
        .flatMap((inner) => faultsOfIssue(inner, path, part, schema));
    case "invalid_key":
    case "invalid_element":
      return [faultAt(part, path, issue.issues[0]?.message ?? issue.message, "", "key")];
    case "invalid_type": {
      if (found === undefined) return [faultAt(part, path, `"${String(path.at(-1) ?? "")}" is missing`)];
      const own = /^Invalid input/.test(issue.message) ? null : issue.message;
      const problem = own ?? `expected ${KINDS[issue.expected] ?? issue.expected}, found ${kindOf(found)}`;
      const quotes = issue.expected === "string" && found.kind === "scalar" && found.value !== null;
      return [faultAt(part, path, problem, quotes && own === null ? "Put it in quotes." : "")];
    }
    case "invalid_value": {
      const values = issue.values.map(String);
      if (found === undefined) return [faultAt(part, path, `"${String(path.at(-1) ?? "")}" is missing`)];
      const word = found.kind === "scalar" && typeof found.value === "string" ? found.value : "";
      return [faultAt(part, path, `expected ${either(values)}`, didYouMean(word, values))];
    }
    default:
      if (found === undefined) return [faultAt(part, path, `"${String(path.at(-1) ?? "")}" is missing`)];
      return [faultAt(part, path, issue.message.replace(/^Invalid input: /, ""))];
  }
}

type Issues = readonly z.core.$ZodIssue[];

/** Of the alternatives of a union, the one that the author most likely meant: right in kind, with these keys. */
function nearestBranch(branches: readonly Issues[], found: Tree | undefined): Issues {
  const weigh = (issues: Issues) =>
    (found !== undefined && isWrongKind(issues) ? 10_000 : 0) + 100 * strangers(issues) + issues.length;
  return [...branches].sort((a, b) => weigh(a) - weigh(b))[0] ?? [];
}

function isWrongKind(issues: Issues): boolean {
  return issues.some(
    (issue) =>
      issue.path.length === 0 &&
      (issue.code === "invalid_type" || (issue.code === "invalid_union" && issue.errors.every(isWrongKind))),
  );
}

function strangers(issues: Issues): number {
  return issues
    .map((issue) => (issue.path.length === 0 && issue.code === "unrecognized_keys" ? issue.keys.length : 0))
    .reduce((sum, count) => sum + count, 0);
}

/** The keys that a schema knows at a path, through optional, default, union and transform. */
function keysAt(schema: z.core.$ZodType, path: Path): string[] {
  let here = [schema];
  for (const step of path) here = here.flatMap((each) => stepInto(each, String(step)));
  return [...new Set(here.flatMap(objects).flatMap((shape) => Object.keys(shape)))];
}

function stepInto(schema: z.core.$ZodType, step: string): z.core.$ZodType[] {
  const inner = alternatives(schema).flatMap((each) => {
    const def = (each as z.core.$ZodTypes)._zod.def;
    if (def.type === "object") return Object.hasOwn(def.shape, step) ? [def.shape[step]] : [];
    if (def.type === "record") return [def.valueType];
    return def.type === "array" ? [def.element] : [];
  });
  return inner.filter((each) => each !== undefined);
}

function objects(schema: z.core.$ZodType): z.core.$ZodShape[] {
  return alternatives(schema).flatMap((each) => {
    const def = (each as z.core.$ZodTypes)._zod.def;
    return def.type === "object" ? [def.shape] : [];
  });
}

/** A schema without its wrappers. */
function alternatives(schema: z.core.$ZodType): z.core.$ZodType[] {
  const def = (schema as z.core.$ZodTypes)._zod.def;
  switch (def.type) {
    case "optional":
    case "default":
    case "prefault":
    case "nullable":
    case "readonly":
      return alternatives(def.innerType);
    case "pipe":
      return alternatives(def.in);
    case "union":
      return def.options.flatMap(alternatives);
    default:
      return [schema];
  }
}

/** For a terminal: each problem with its place and what to do, then the count. No stack, no values. */
export function renderProblems(problems: readonly Problem[]): string {
  const blocks = problems.map(({ where, problem, hint }) =>
    [where, `  ${problem}`, ...(hint === "" ? [] : [`  -> ${hint}`])].join("\n"),
  );
  return [...blocks, problems.length === 1 ? "1 problem" : `${problems.length} problems`].join("\n\n");
}

/** `rules.web.adopt[0]` */
function formatPath(path: Path): string {
  return path
    .map((step, i) => (typeof step === "number" ? `[${step}]` : `${i === 0 ? "" : "."}${step}`))
    .join("");
}

function pointerOf(path: Path): string {
  return path.map((step) => `/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

const KINDS: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  record: "a mapping",
  null: "nothing",
};

function kindOf(tree: Tree): string {
  if (tree.kind === "map") return "a mapping";
  if (tree.kind === "list") return "a list";
  if (tree.value === null) return "nothing";
  return KINDS[typeof tree.value] ?? typeof tree.value;
}

function either(words: readonly string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
