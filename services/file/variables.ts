/** The variables of a rule: presets expanded, each expression read, each name as the destination takes it. */
import { SyncError } from "../sync/errors.ts";
import type { Traits } from "../sync/ports.ts";
import { expandPreset } from "../sync/presets.ts";
import { didYouMean } from "../sync/suggest.ts";
import { checkAlias, DEFAULT_ALIAS, parseVariable } from "../sync/variables.ts";
import type { Path } from "./configuration.ts";
import { faultAt, type Part } from "./problems.ts";
import { type Fault, lookUp } from "./tree.ts";
import { MOST_FAULTS } from "./yaml.ts";

/** One variable and where it was written: itself, or the preset it came from. */
export interface WrittenVariable {
  readonly name: string;
  readonly expression: string;
  readonly path: Path;
}

/** What is written under a name beats what a preset says of it; null leaves it out. */
export function expandVariables(
  rule: Part,
  project: string | null,
): { variables: WrittenVariable[]; faults: Fault[] } {
  const tree = lookUp(rule.tree, ["variables"]);
  if (tree?.kind !== "map") return { variables: [], faults: [] };
  const faults: Fault[] = [];
  const found = new Map<string, WrittenVariable>();
  for (const { text, path } of presetsOf(rule)) {
    if (faults.length > MOST_FAULTS) break;
    for (const entry of orFault(faults, rule, path, () => expandPreset(text, project)) ?? []) {
      const other = found.get(entry.name);
      if (other !== undefined && other.expression !== entry.expression)
        faults.push(
          faultAt(rule, path, `another preset sets ${entry.name} to something else`, "Name it yourself."),
        );
      found.set(entry.name, { name: entry.name, expression: entry.expression, path });
    }
  }
  for (const [name, { tree: value }] of tree.entries) {
    if (name === PRESET || value.kind !== "scalar") continue;
    if (value.value === null) found.delete(name);
    if (typeof value.value === "string")
      found.set(name, { name, expression: value.value, path: ["variables", name] });
  }
  if (found.size === 0 && faults.length === 0)
    faults.push(
      faultAt(rule, ["variables"], "expected at least one variable", "For example DATABASE_URL: pooled"),
    );
  return { variables: [...found.values()], faults };
}

/** Expressions that cannot be read, and aliases that the rule does not define. */
export function checkExpressions(
  variables: readonly WrittenVariable[],
  aliases: readonly string[],
  rule: Part,
): Fault[] {
  const faults: Fault[] = [];
  const known = new Set(aliases);
  for (const { expression: text, path } of variables) {
    if (faults.length > MOST_FAULTS) break;
    const expression = orFault(faults, rule, path, () => parseVariable(text));
    if (expression?.kind !== "login" || aliases.length === 0 || known.has(expression.alias)) continue;
    faults.push(
      expression.alias === DEFAULT_ALIAS
        ? faultAt(rule, path, `"${text}" does not say which role`, `Write ${aliases[0]}.${text}`)
        : faultAt(
            rule,
            path,
            `the role "${expression.alias}" is not defined`,
            didYouMean(expression.alias, aliases),
          ),
    );
  }
  return faults;
}

/** The aliases of a rule; with `role` it is the one that expressions may leave out. */
export function aliasesOf(rule: Part): { aliases: string[]; faults: Fault[] } {
  const role = lookUp(rule.tree, ["role"]);
  const roles = lookUp(rule.tree, ["roles"]);
  if (role !== undefined && roles !== undefined)
    return {
      aliases: [],
      faults: [faultAt(rule, ["role"], "both role and roles are given", "Keep one of them.", "key")],
    };
  if (role === undefined && roles === undefined)
    return { aliases: [], faults: [faultAt(rule, [], '"role" is missing', "Name the role to log in as.")] };
  if (roles?.kind !== "map") return { aliases: [DEFAULT_ALIAS], faults: [] };
  const aliases = [...roles.entries.keys()];
  const faults = aliases.flatMap((alias) => {
    const refused = checkAlias(alias);
    return refused === null ? [] : [faultAt(rule, ["roles", alias], refused, "Choose another alias.", "key")];
  });
  if (aliases.length === 0) faults.push(faultAt(rule, ["roles"], "expected at least one role"));
  return { aliases, faults };
}

/** Names that the destination refuses, or takes for one and the same, and values that are too long for it. */
export function checkNames(variables: readonly WrittenVariable[], traits: Traits, rule: Part): Fault[] {
  const seen = new Map<string, string>();
  const faults: Fault[] = [];
  for (const { name, expression, path } of variables) {
    const bytes = constantBytes(expression);
    const { valueBytes } = traits.limits;
    if (bytes > valueBytes)
      faults.push(faultAt(rule, path, `has ${bytes} bytes, and the destination takes ${valueBytes}`));
    const normal = traits.normaliseName(name);
    const refused = traits.refuseName(normal);
    const twin = seen.get(normal);
    if (refused !== null)
      faults.push(faultAt(rule, path, `the destination refuses the name ${name}: ${refused}`, "", "key"));
    else if (twin !== undefined)
      faults.push(faultAt(rule, path, `${name} and ${twin} are the same name at the destination`, "", "key"));
    seen.set(normal, name);
  }
  const most = traits.limits.names;
  if (most !== null && variables.length > most)
    faults.push(
      faultAt(rule, ["variables"], `${variables.length} variables, and the destination takes ${most}`),
    );
  return faults;
}

/** Of a value that the file itself holds; of others only the prefix is known, and they are short. */
const constantBytes = (expression: string): number =>
  expression.startsWith("text:") ? Buffer.byteLength(expression) - "text:".length : 0;

const PRESET = "preset";

/** The presets that a rule names. */
export function presetsOf(rule: Part): { text: string; path: Path }[] {
  const written = lookUp(rule.tree, ["variables", PRESET]);
  const items = written?.kind === "list" ? written.items : written === undefined ? [] : [written];
  return items.flatMap((item, index) => {
    if (item.kind !== "scalar" || typeof item.value !== "string") return [];
    const below = written?.kind === "list" ? [index] : [];
    return [{ text: item.value, path: ["variables", PRESET, ...below] }];
  });
}

function orFault<T>(faults: Fault[], rule: Part, path: Path, act: () => T): T | null {
  try {
    return act();
  } catch (thrown) {
    if (!(thrown instanceof SyncError)) throw thrown;
    faults.push(faultAt(rule, path, thrown.message, thrown.next ?? ""));
    return null;
  }
}
