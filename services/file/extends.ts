/** `extends`: a rule takes over everything of another and says only what differs. */
import { didYouMean } from "../sync/suggest.ts";
import type { Entry, Fault, MapTree, Tree } from "./tree.ts";
import { Allowance, MOST_FAULTS } from "./yaml.ts";

/** Rules that extend one another, one over the other. */
const LONGEST_TRAIL = 64;

/**
 * Rules with what they extend merged in: mappings deep, everything else replaced, null removes. Two
 * fields are not mixed: `branches`, whose conditions would only add up to nothing, and `target` when
 * the rule names another destination, to which the old one's terms mean nothing. Keys that begin with
 * `x-` are free: they are not rules themselves, but may be extended.
 */
export function resolveExtends(rules: MapTree): {
  rules: ReadonlyMap<string, MapTree>;
  faults: readonly Fault[];
} {
  const faults: Fault[] = [];
  const done = new Map<string, MapTree>();
  // A few lines that many rules extend can mean more than there is memory for.
  const allowance = new Allowance();
  let full = false;

  function take(tree: MapTree, at: Fault["at"], name: string): boolean {
    if (full) return false;
    full = !allowance.takeValues(sizeOf(tree));
    const problem = `what rules extend multiplies to more than ${Allowance.MOST_VALUES} values`;
    if (full) faults.push({ at, path: ["rules", name], problem, hint: "Split the document." });
    return !full;
  }

  function resolve(name: string, trail: readonly string[]): MapTree | null {
    const finished = done.get(name);
    if (finished !== undefined) return finished;
    const tree = rules.entries.get(name)?.tree;
    if (tree?.kind !== "map" || full) return null;
    const own = without(tree, (key) => key === "extends" || key.startsWith("x-"));
    const bases = basesOf(tree, name, [...trail, name]);
    const merged = [...bases, own].reduce(mergeRules);
    if (!take(merged, tree.at, name)) return null;
    done.set(name, merged);
    return merged;
  }

  function basesOf(tree: MapTree, name: string, trail: readonly string[]): MapTree[] {
    const written = tree.entries.get("extends")?.tree;
    if (written === undefined) return [];
    const many = written.kind === "list";
    return (many ? written.items : [written]).flatMap((item, index) => {
      const path = many ? ["rules", name, "extends", index] : ["rules", name, "extends"];
      const fault = (problem: string, hint = () => "") => {
        if (faults.length < MOST_FAULTS) faults.push({ at: item.at, path, problem, hint: hint() });
        return [];
      };
      if (item.kind !== "scalar" || typeof item.value !== "string")
        return fault("expected the name of a rule, or a list of names");
      if (trail.includes(item.value))
        return fault(`extends itself: ${[...trail, item.value].join(" -> ")}`, () => "Break the circle.");
      if (trail.length > LONGEST_TRAIL)
        return fault(`more than ${LONGEST_TRAIL} rules extend one another, one over the other`);
      const base = resolve(item.value, trail);
      if (full || (base !== null && !take(base, item.at, name))) return [];
      if (base !== null) return [base];
      const wanted = item.value;
      return fault(`there is no rule "${wanted}" to extend`, () => didYouMean(wanted, rules.entries.keys()));
    });
  }

  const resolved = new Map<string, MapTree>();
  for (const name of rules.entries.keys()) {
    const merged = resolve(name, []);
    if (merged !== null && !name.startsWith("x-")) resolved.set(name, merged);
  }
  return { rules: resolved, faults };
}

/** Without whatever is null: in the file null means "not this one". `keep` names keys whose nulls still say so. */
export function pruneNulls(tree: MapTree, keep: readonly string[] = []): MapTree {
  const entries = new Map<string, Entry>();
  for (const [key, { keyAt, tree: value }] of tree.entries) {
    if (value.kind === "scalar" && value.value === null) continue;
    const pruned = value.kind === "map" && !keep.includes(key) ? pruneNulls(value) : value;
    entries.set(key, { keyAt, tree: pruned });
  }
  return { ...tree, entries };
}

export function without(tree: MapTree, drop: (key: string) => boolean): MapTree {
  return { ...tree, entries: new Map([...tree.entries].filter(([key]) => !drop(key))) };
}

function sizeOf(tree: Tree): number {
  if (tree.kind === "scalar") return 1;
  const below = tree.kind === "list" ? tree.items : [...tree.entries.values()].map((entry) => entry.tree);
  return below.reduce((sum, one) => sum + sizeOf(one), 1);
}

function mergeRules(base: MapTree, over: MapTree): MapTree {
  const moved = over.entries.has("destination") && wordAt(over) !== wordAt(base);
  const kept = without(
    base,
    (key) => (key === "branches" && over.entries.has(key)) || (key === "target" && moved),
  );
  return mergeMaps(kept, over);
}

function wordAt(rule: MapTree): unknown {
  const tree = rule.entries.get("destination")?.tree;
  return tree?.kind === "scalar" ? tree.value : undefined;
}

function mergeMaps(base: MapTree, over: MapTree): MapTree {
  const entries = new Map(base.entries);
  for (const [key, entry] of over.entries) {
    const below = entries.get(key)?.tree;
    entries.set(key, { keyAt: entry.keyAt, tree: merge(below, entry.tree) });
  }
  return { kind: "map", at: over.at, entries };
}

function merge(below: Tree | undefined, over: Tree): Tree {
  return below?.kind === "map" && over.kind === "map" ? mergeMaps(below, over) : over;
}
