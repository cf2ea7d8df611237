/** From rules and one branch to what is wanted where. Pure; `workers/reconcile.ts` reads and writes. */
import { asSyncError, type Code, type SyncError } from "./errors.ts";
import { loginsWanted, replicasOf } from "./material.ts";
import type { LoginWanted, Rule } from "./model.ts";
import { selectBranch } from "./patterns.ts";
import type { DestinationAdapter, Exposure, SourceBranch } from "./ports.ts";
import { renderTarget } from "./templates.ts";
import { replicasNamed } from "./variables.ts";

export interface BranchView {
  readonly id: string;
  readonly name: string;
  readonly default: boolean;
  readonly protected: boolean;
  readonly expiresAt: Date | null;
  readonly createdAt: Date;
  readonly parentName: string | null;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * What reconcile parks for: what a rule makes of the branch, and what Neon does not have yet. It looks again by itself
 * each time, and no push finds it gone.
 */
export const JUDGED_HERE: ReadonlySet<string> = new Set([
  "source_unready",
  "policy",
  "invalid_target",
] satisfies Code[]);

/** Where a rule wants a branch's strings to be. */
export interface Aim {
  readonly target: unknown;
  /** The same place always gives the same string. */
  readonly key: string;
  readonly container: string;
  readonly exposure: Exposure;
}

/** Whether the rule means this branch, now. */
export function means(rule: Rule, branch: BranchView, now: Date): boolean {
  return selectBranch(rule.branches, branch, now).matches;
}

/** Whether time alone can change what the rule means. */
export const agesMatter = ({ branches }: Pick<Rule, "branches">): boolean =>
  branches.olderThanMs !== undefined || branches.youngerThanMs !== undefined;

/** Works out the target, or says why it cannot be (a template that does not resolve, a field unknown). */
export function aim(
  rule: Rule,
  branch: BranchView,
  destination: { readonly adapter: DestinationAdapter; readonly block: unknown },
): Aim | SyncError {
  try {
    const { adapter, block } = destination;
    const context = {
      branch: { name: branch.name, id: branch.id },
      source: { name: rule.source },
      rule: { name: rule.name },
    };
    const target = adapter.parseTarget(block, renderTarget(rule.target, context));
    return {
      target,
      key: adapter.place(target),
      container: adapter.container(target),
      // Nothing declared and nothing to derive it from: take it for the least trusted.
      exposure: adapter.exposure(target) ?? rule.exposure ?? "development",
    };
  } catch (thrown) {
    return asSyncError(thrown);
  }
}

/**
 * What `wanted` stands for, as text: while it stays, nothing has to be pushed. The logins' generations
 * hold password and hosts, the revision holds everything that the user wrote. `facts` is the rest: what else
 * decides whether and what a rule may write of this branch.
 */
export function inputs(
  revision: number,
  key: string,
  logins: readonly { readonly alias: string; readonly id: string; readonly generation: number }[],
  facts: readonly string[] = [],
): string {
  const parts = logins.map((login) => `${login.alias}=${login.id}@${login.generation}`).sort();
  return JSON.stringify([revision, key, ...parts, ...facts]);
}

/**
 * Facts of a branch that are inputs beside its logins. A branch that becomes the default or a protected one has
 * to pass the gate again.
 */
export function factsFor(
  rule: Pick<Rule, "variables">,
  view: Pick<BranchView, "default" | "protected">,
  branch: Pick<SourceBranch, "endpoints">,
): string[] {
  return [view.default || view.protected ? "production" : "", ...replicaFacts(rule, branch)];
}

/** Where the read-only computes are that a rule names: they are part of no login, so no generation tells. */
function replicaFacts(rule: Pick<Rule, "variables">, branch: Pick<SourceBranch, "endpoints">): string[] {
  const there = replicasOf(branch);
  const names = new Set(replicasNamed(rule.variables).map(({ replica }) => replica));
  return [...names].sort().map((name) => {
    const found = there.find((one) => one.name === name) ?? there.find((one) => one.id === name);
    return `${name}=${found?.host ?? "absent"}`;
  });
}

/**
 * Whether a reading shows the read-only computes where the inputs say that they are. If not, the branch has moved
 * on since it was reconciled, and what would be written now would not be noticed to have gone.
 */
export function agrees(
  inputs: string | null,
  rule: Pick<Rule, "variables">,
  branch: Pick<SourceBranch, "endpoints">,
): boolean {
  const facts = replicaFacts(rule, branch);
  if (facts.length === 0 || inputs === null) return true;
  const told: unknown = JSON.parse(inputs);
  return Array.isArray(told) && facts.every((fact) => told.includes(fact));
}

/**
 * The roles to ask Neon about. Of a production branch all that any rule names, whether or not one sends
 * this branch anywhere: their passwords must be known to be recognised elsewhere.
 */
export function logins(
  rules: readonly { readonly rule: Rule; readonly meant: boolean }[],
  branch: Pick<BranchView, "default" | "protected">,
): LoginWanted[] {
  const production = branch.default || branch.protected;
  const wanted = rules.filter(({ meant }) => meant || production).flatMap(({ rule }) => loginsWanted(rule));
  const distinct = new Map(wanted.map((login) => [`${login.role}\n${login.database}`, login]));
  return [...distinct.values()];
}
