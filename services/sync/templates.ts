/**
 * Templates in targets: `${branch.name|after:preview/|slug}`. A value, then filters from left to right.
 * `$${` writes a literal `${`. What is filled in is never looked at again.
 */
import { createHash } from "node:crypto";
import { SyncError } from "./errors.ts";
import { didYouMean } from "./suggest.ts";

/** What a template may name. */
export interface TemplateContext {
  readonly branch: { readonly id: string; readonly name: string };
  readonly source: { readonly name: string };
  readonly rule: { readonly name: string };
}

/** Filled in. Throws `invalid_target` naming the template's place and the expression in it. */
export function renderTemplate(text: string, context: TemplateContext, place = "template"): string {
  const pieces = parse(text);
  if (typeof pieces === "string") throw refusal(place, pieces);
  return pieces.map((piece) => (typeof piece === "string" ? piece : fill(piece, context, place))).join("");
}

/** Every string of a target filled in, however deep. Throws as `renderTemplate`; the place is a path. */
export function renderTarget<T>(target: T, context: TemplateContext, place = "target"): T {
  return mapStrings(target, place, (text, at) => renderTemplate(text, context, at)) as T;
}

/** Why a template can never be filled in, in words, or null. */
export function checkTemplate(text: string): string | null {
  const pieces = parse(text);
  return typeof pieces === "string" ? pieces : null;
}

/** The values that a template names, such as `branch.name`; empty if it is the same for every branch. */
export function templateVariables(text: string): string[] {
  const pieces = parse(text);
  if (typeof pieces === "string") return [];
  return pieces.flatMap((piece) => (typeof piece === "string" ? [] : [piece.variable]));
}

/** The same value with every string in it, however deep, replaced; the place is a path such as `target.a[0]`. */
export function mapStrings(
  value: unknown,
  place: string,
  map: (text: string, place: string) => string,
): unknown {
  if (typeof value === "string") return map(value, place);
  if (Array.isArray(value)) return value.map((item, index) => mapStrings(item, `${place}[${index}]`, map));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, mapStrings(item, `${place}.${key}`, map)]),
  );
}

interface Expression {
  readonly text: string;
  readonly variable: Variable;
  readonly filters: readonly { readonly name: string; readonly argument: string | null }[];
}

const VARIABLES = {
  "branch.name": (context: TemplateContext) => context.branch.name,
  "branch.id": (context: TemplateContext) => context.branch.id,
  "source.name": (context: TemplateContext) => context.source.name,
  "rule.name": (context: TemplateContext) => context.rule.name,
} as const;
type Variable = keyof typeof VARIABLES;

interface Filter {
  readonly takes: string | null;
  /** The result, or why there is none. */
  apply(value: string, argument: string): string | { readonly refused: string };
}

const FILTERS: Readonly<Record<string, Filter>> = {
  /** What follows the prefix. A value without it is an error: it would land in the wrong place. */
  after: {
    takes: "a prefix",
    apply: (value, prefix) =>
      value.startsWith(prefix)
        ? value.slice(prefix.length)
        : { refused: `"${value}" does not start with "${prefix}"` },
  },
  lower: { takes: null, apply: (value) => value.toLowerCase() },
  /** Lower case, digits and single dashes. Two values may give the same slug: add `hash` to tell them apart. */
  slug: {
    takes: null,
    apply: (value) => {
      const slug = value
        .normalize("NFKD")
        .toLowerCase()
        .replaceAll(/\p{Mark}/gu, "")
        .replaceAll(/[^a-z0-9]+/g, "-")
        .replaceAll(/^-|-$/g, "");
      return slug === "" ? { refused: `"${value}" has no letter or digit to make a slug of` } : slug;
    },
  },
  /** Eight hexadecimal digits that stay the same for the same value. */
  hash: { takes: null, apply: (value) => createHash("sha256").update(value).digest("hex").slice(0, 8) },
};

function fill(expression: Expression, context: TemplateContext, place: string): string {
  let value = VARIABLES[expression.variable](context);
  for (const { name, argument } of expression.filters) {
    const result = FILTERS[name]?.apply(value, argument ?? "");
    if (typeof result !== "string")
      throw refusal(place, `in ${expression.text}: ${result?.refused ?? "unknown filter"}`);
    value = result;
  }
  if (value === "") throw refusal(place, `${expression.text} is empty for branch "${context.branch.name}"`);
  return value;
}

function refusal(place: string, why: string): SyncError {
  return new SyncError("invalid_target", `${place}: ${why}`, {
    next: "Correct the template, or narrow the rule's branches to those it fits.",
  });
}

/** Text and expressions in turn, or why the template cannot be read. */
function parse(text: string): (string | Expression)[] | string {
  const pieces: (string | Expression)[] = [];
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf("${", at);
    if (open === -1) break;
    if (open > 0 && text[open - 1] === "$" && open > at) {
      pieces.push(`${text.slice(at, open - 1)}\${`);
      at = open + 2;
      continue;
    }
    const close = text.indexOf("}", open);
    if (close === -1) return `"\${" at character ${open + 1} is not closed`;
    const expression = parseExpression(text.slice(open + 2, close));
    if (typeof expression === "string") return expression;
    pieces.push(text.slice(at, open), expression);
    at = close + 1;
  }
  pieces.push(text.slice(at));
  return pieces;
}

function parseExpression(inner: string): Expression | string {
  const text = `\${${inner}}`;
  const [head = "", ...rest] = inner.split("|");
  const variable = head.trim();
  if (!isVariable(variable)) {
    const hint =
      didYouMean(variable, Object.keys(VARIABLES)) || `known: ${Object.keys(VARIABLES).join(", ")}`;
    return `in ${text}: "${variable}" is unknown; ${hint}`;
  }
  const filters = [];
  for (const part of rest) {
    const colon = part.indexOf(":");
    const name = (colon === -1 ? part : part.slice(0, colon)).trim();
    const argument = colon === -1 ? null : part.slice(colon + 1);
    const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
    if (filter === undefined) {
      const hint = didYouMean(name, Object.keys(FILTERS)) || `known: ${Object.keys(FILTERS).join(", ")}`;
      return `in ${text}: filter "${name}" is unknown; ${hint}`;
    }
    if (filter.takes !== null && !argument)
      return `in ${text}: filter "${name}" needs ${filter.takes} after ":"`;
    if (filter.takes === null && argument !== null)
      return `in ${text}: filter "${name}" takes nothing after ":"`;
    filters.push({ name, argument });
  }
  return { text, variable, filters };
}

function isVariable(name: string): name is Variable {
  return Object.hasOwn(VARIABLES, name);
}
