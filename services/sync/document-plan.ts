/**
 * What applying a document would do: per rule, branch, destination and name, with a reason, and never a value.
 * The schema is what `branchline plan --json` prints and `POST /v1/plan` answers. Fields are only ever added.
 */
import { createHash } from "node:crypto";
import { z } from "zod";

export const PLAN_ACTIONS = ["create", "change", "delete", "adopt", "refuse", "keep", "unchecked"] as const;
export type PlanAction = (typeof PLAN_ACTIONS)[number];

/** Where the document says it: `branchline.yaml:41:5`. Null: it does not say it any more. */
const at = z.string().nullable();

export const planLine = z.object({
  rule: z.string(),
  /** Of the rule. */
  at,
  /** Null: for all branches, which are not known yet. */
  branch: z.string().nullable(),
  destination: z.string(),
  /** The place, as its adapter writes it; null: it could not be worked out. */
  target: z.string().nullable(),
  /** Null: all names of the binding. */
  name: z.string().nullable(),
  action: z.enum(PLAN_ACTIONS),
  /** Of a refusal, as bindings have it. */
  code: z.string().nullable(),
  reason: z.string(),
  /** What to do about it. */
  next: z.string().nullable(),
});
export type PlanLine = z.output<typeof planLine>;

export const planPart = z.object({
  section: z.enum(["sources", "destinations", "webhooks"]),
  name: z.string(),
  at,
  action: z.enum(["create", "change", "delete", "refuse"]),
  reason: z.string(),
});
export type PlanPart = z.output<typeof planPart>;

export const plannedRule = z.object({
  name: z.string(),
  at,
  /** "orphan": it leaves now. "orphaned": it left before. Both stay in step. "prune": it is let go. */
  action: z.enum(["create", "change", "orphan", "orphaned", "prune", "none"]),
  reason: z.string(),
  /** So many of the branches of its source, as far as they are known. */
  matches: z.int().nonnegative(),
  of: z.int().nonnegative(),
  /** Names that its patterns miss by little. */
  nearMisses: z.array(z.string()).readonly(),
});
export type PlannedRule = z.output<typeof plannedRule>;

export const planWarning = z.object({
  rule: z.string().nullable(),
  /** Of the rule, or of that in it which is meant. */
  at,
  branch: z.string().nullable(),
  code: z.string(),
  message: z.string(),
  hint: z.string(),
});
export type PlanWarning = z.output<typeof planWarning>;

export const documentPlan = z.object({
  /** Over the document and the state that it was made from: the same until one of the two moves. */
  id: z.string(),
  /** Applying would change something, here or at a destination. Refusals alone do not. */
  changes: z.boolean(),
  /** Why applying needs to be confirmed with the id, in words; empty: it does not. */
  unsafe: z.array(z.string()).readonly(),
  /** How many lines there are of each kind. */
  summary: z.record(z.enum(PLAN_ACTIONS), z.int().nonnegative()),
  parts: z.array(planPart).readonly(),
  rules: z.array(plannedRule).readonly(),
  lines: z.array(planLine).readonly(),
  warnings: z.array(planWarning).readonly(),
});
export type DocumentPlan = z.output<typeof documentPlan>;

/** A line with what decides about it and is shown to nobody. */
export interface Judged {
  readonly line: PlanLine;
  /** Keyed fingerprints and versions, as seen and as wanted: when they move, so does the plan. */
  readonly basis: readonly (string | null)[];
  /** The line takes a name away, now or as soon as its destination can be looked at. */
  readonly deletes: boolean;
  /** What is replaced can be read by nobody and cannot be restored. */
  readonly unreadable: boolean;
}

export interface PlanParts {
  /** Of the document, and of the version of the state that it was compared with. */
  readonly digest: string;
  readonly judged: readonly Judged[];
  readonly parts: readonly PlanPart[];
  readonly rules: readonly PlannedRule[];
  readonly warnings: readonly PlanWarning[];
  /** Names in our ledgers, and bindings in force, before. */
  readonly owned: { readonly names: number; readonly bindings: number };
  /** Bindings that are let go. */
  readonly leaving: number;
  /** Destinations that lead to another account from now on. */
  readonly moved: readonly string[];
  /** Rules with branches that are to be had and that nobody has taken note of yet: when they appear the plan moves. */
  readonly unseen: readonly string[];
}

/** The plan with its id, and whether it needs a second look. Pure. */
export function finishPlan(made: PlanParts): DocumentPlan {
  const judged = [...made.judged].sort((a, b) => compare(keyOf(a.line), keyOf(b.line)));
  const lines = judged.map(({ line }) => line);
  const parts = [...made.parts].sort((a, b) => compare(a.section + a.name, b.section + b.name));
  const rules = [...made.rules].sort((a, b) => compare(a.name, b.name));
  return {
    id: idOf(made, judged, parts, rules),
    changes:
      parts.some(({ action }) => action !== "refuse") ||
      rules.some(({ action }) => action !== "none" && action !== "orphaned") ||
      lines.some(({ action }) => action !== "refuse" && action !== "keep"),
    unsafe: dangers(made),
    summary: Object.fromEntries(
      PLAN_ACTIONS.map((action) => [action, lines.filter((line) => line.action === action).length]),
    ) as Record<PlanAction, number>,
    parts,
    rules,
    lines,
    warnings: [...new Map(made.warnings.map((one) => [JSON.stringify(one), one])).values()],
  };
}

/** Of so many at once it is more likely a mistake: the same numbers as of branches that vanish together. */
const MANY = 5;
const SHARE = 0.3;

const tooMany = (going: number, of: number): boolean => going >= MANY && going > SHARE * of;

function dangers({ judged, owned, leaving, moved }: PlanParts): string[] {
  const names = judged.filter(({ deletes }) => deletes).length;
  const unreadable = judged.filter((one) => one.unreadable);
  return [
    ...(tooMany(names, owned.names) ? [`${names} of ${owned.names} names are deleted`] : []),
    ...(tooMany(leaving, owned.bindings) ? [`${leaving} of ${owned.bindings} bindings are let go`] : []),
    ...(unreadable.length > 0
      ? [
          `${unreadable.length} values that nobody can read are replaced and cannot be restored: ${unreadable
            .map(({ line }) => `${line.name} at ${line.target}`)
            .join(", ")}`,
        ]
      : []),
    ...moved.map((name) => `the destination ${name} leads to another account`),
  ];
}

function idOf(
  { digest, unseen }: Pick<PlanParts, "digest" | "unseen">,
  judged: readonly Judged[],
  parts: readonly PlanPart[],
  rules: readonly PlannedRule[],
): string {
  const facts = [
    digest,
    judged.map(({ line, basis }) => [keyOf(line), line.action, line.code, basis]),
    parts.map(({ section, name, action }) => [section, name, action]),
    rules.map(({ name, action, matches, of }) => [name, action, matches, of]),
    [...unseen].sort(),
  ];
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex").slice(0, 32);
}

const keyOf = ({ rule, branch, destination, target, name }: PlanLine): string =>
  [rule, branch ?? "", destination, target ?? "", name ?? ""].join("\n");

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
