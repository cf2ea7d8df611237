/** Which branches a rule means, and in words why. */
import { matchesGlob } from "./glob.ts";
import type { BranchSelector } from "./model.ts";

export { checkPattern, matchesGlob } from "./glob.ts";

/** What a selector may look at. */
export interface BranchFacts {
  readonly name: string;
  readonly default: boolean;
  readonly protected: boolean;
  readonly expiresAt: Date | null;
  readonly createdAt: Date;
  /** Null for a root branch, or when the parent is not to be seen. */
  readonly parentName: string | null;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Selection {
  readonly matches: boolean;
  /** One clause for plan and `branches --rule`: `matches "preview/**"`, `is not the default branch`. */
  readonly why: string;
}

/**
 * All conditions that are given must hold. A selector without a condition selects nothing, and
 * `exclude` only narrows: alone it selects nothing either, so that no rule takes production by accident.
 */
export function selectBranch(selector: BranchSelector, branch: BranchFacts, now: Date): Selection {
  const excludedBy = selector.exclude?.find((pattern) => matchesGlob(pattern, branch.name));
  if (excludedBy !== undefined) return { matches: false, why: `excluded by "${excludedBy}"` };
  const findings = conditions(selector, branch, now);
  const failed = findings.find((finding) => !finding.matches);
  if (failed !== undefined) return failed;
  if (findings.length === 0) return { matches: false, why: "the rule selects no branches" };
  return { matches: true, why: findings.map((finding) => finding.why).join(", ") };
}

/** True if the selector can select anything at all. */
export function selectsSomething(selector: BranchSelector): boolean {
  const { include, exclude: _, annotations, ...flags } = selector;
  if (include !== undefined) return include.length > 0;
  return Object.values(flags).some((v) => v !== undefined) || Object.keys(annotations ?? {}).length > 0;
}

const MOST_NEAR_MISSES = 10;

/**
 * Names that the patterns of `include` miss by little: only because of a further `/`, upper or lower
 * case, or a separator. For `preview/*`: `preview/feat/x`, `Preview/x`, `preview-x`. At most ten.
 */
export function nearMisses(selector: BranchSelector, names: readonly string[]): string[] {
  const include = selector.include ?? [];
  const loose = include.map((pattern) => loosen(pattern));
  const missed = (name: string) =>
    !include.some((pattern) => matchesGlob(pattern, name)) &&
    !(selector.exclude ?? []).some((pattern) => matchesGlob(pattern, name)) &&
    loose.some((pattern) => matchesGlob(pattern, squash(name)));
  return names.filter(missed).slice(0, MOST_NEAR_MISSES);
}

/** In the space where case and separators are forgotten, every `*` crosses them. */
function loosen(pattern: string): string {
  return squash(pattern).replaceAll(/\*+/g, "**");
}

function squash(text: string): string {
  return text.toLowerCase().replaceAll(/[/_.-]/g, "-");
}

function conditions(selector: BranchSelector, branch: BranchFacts, now: Date): Selection[] {
  const found: Selection[] = [];
  const say = (matches: boolean, yes: string, no: string) => found.push({ matches, why: matches ? yes : no });
  const { include, parent, olderThanMs, youngerThanMs } = selector;
  const ageMs = now.getTime() - branch.createdAt.getTime();

  if (include !== undefined) {
    const by = include.find((pattern) => matchesGlob(pattern, branch.name));
    say(by !== undefined, `matches "${by}"`, "matches no pattern of include");
  }
  flag(say, selector.default, branch.default, "the default branch");
  flag(say, selector.protected, branch.protected, "protected");
  flag(say, selector.expires, branch.expiresAt !== null, "expiring");
  if (parent !== undefined)
    say(branch.parentName === parent, `is a child of "${parent}"`, `is not a child of "${parent}"`);
  if (olderThanMs !== undefined) say(ageMs >= olderThanMs, "is old enough", "is too young");
  if (youngerThanMs !== undefined) say(ageMs <= youngerThanMs, "is young enough", "is too old");
  for (const [key, pattern] of Object.entries(selector.annotations ?? {})) {
    const value = Object.hasOwn(branch.annotations, key) ? branch.annotations[key] : undefined;
    const matches = value !== undefined && matchesGlob(pattern, value);
    say(matches, `annotation ${key} matches "${pattern}"`, `annotation ${key} does not match "${pattern}"`);
  }
  return found;
}

function flag(
  say: (matches: boolean, yes: string, no: string) => void,
  wanted: boolean | undefined,
  actual: boolean,
  what: string,
): void {
  if (wanted === undefined) return;
  const words = actual ? `is ${what}` : `is not ${what}`;
  say(wanted === actual, words, words);
}
