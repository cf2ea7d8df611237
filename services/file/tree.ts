/** YAML as a tree that remembers where each thing stood, so that a problem can name its line. */
import { isAlias, isCollection, isMap, isNode, isPair, isScalar, isSeq } from "yaml";
import type { Path } from "./configuration.ts";
import { Allowance, LARGEST_TEXT, MOST_FAULTS, parseYaml } from "./yaml.ts";

export interface Spot {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** Of an included file; absent: the main one. */
  readonly file?: string;
}

export type Tree = MapTree | ListTree | ScalarTree;
export interface MapTree {
  readonly kind: "map";
  readonly at: Spot;
  readonly entries: ReadonlyMap<string, Entry>;
}
export interface Entry {
  readonly keyAt: Spot;
  readonly tree: Tree;
}
export interface ListTree {
  readonly kind: "list";
  readonly at: Spot;
  readonly items: readonly Tree[];
}
export interface ScalarTree {
  readonly kind: "scalar";
  readonly at: Spot;
  readonly value: string | number | boolean | null;
}

/** Something that is wrong at a place in the text. */
export interface Fault {
  readonly at: Spot;
  readonly path: Path;
  readonly problem: string;
  readonly hint: string;
}

const DEEPEST = 64;
const LONGEST_KEY = 1024;
const START: Spot = { line: 1, column: 1 };

/**
 * The tree, or null and what is wrong with the text. Messages never hold a piece of the text. What is included shares
 * the allowance of what includes it.
 */
export function readYaml(
  text: string,
  file?: string,
  allowance = new Allowance(),
): { tree: Tree | null; faults: readonly Fault[] } {
  const named = file === undefined ? {} : { file };
  if (text.length > LARGEST_TEXT) return failed({ ...START, ...named }, "the file is larger than 1 MiB");
  const { contents, complaints, lines } = parseYaml(text, allowance);
  const spot = (offset: number): Spot => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1), ...named };
  };
  if (complaints.length > 0)
    return {
      tree: null,
      faults: complaints.map(({ at, problem, hint }) => ({ at: spot(at), path: [], problem, hint })),
    };
  const planter = new Planter(allowance, spot);
  try {
    const tree = planter.plant(contents, 0);
    return { tree: planter.faults.length > 0 ? null : tree, faults: planter.faults };
  } catch (thrown) {
    if (!(thrown instanceof TreeFault)) throw thrown;
    const { at, message: problem, hint } = thrown;
    return { tree: null, faults: [...planter.faults, { at, path: [], problem, hint }] };
  }
}

/** Plain values, as a schema takes them. */
export function toValue(tree: Tree): unknown {
  if (tree.kind === "scalar") return tree.value;
  if (tree.kind === "list") return tree.items.map(toValue);
  return Object.fromEntries([...tree.entries].map(([key, { tree: value }]) => [key, toValue(value)]));
}

/**
 * Where a path stands; if it does not reach all the way, where the last thing on it stands, since that
 * is what lacks it. `key` asks for the key instead of the value.
 */
export function locate(tree: Tree, path: Path, want: "key" | "value" = "value"): Spot {
  let at = tree.at;
  let here: Tree | undefined = tree;
  for (const [index, step] of path.entries()) {
    const entry: Entry | undefined = here?.kind === "map" ? here.entries.get(String(step)) : undefined;
    const next: Tree | undefined =
      here?.kind === "list" && typeof step === "number" ? here.items[step] : entry?.tree;
    if (next === undefined) return at;
    const last = index === path.length - 1;
    at = entry !== undefined && (!last || want === "key") ? entry.keyAt : next.at;
    here = next;
  }
  return at;
}

/** What stands at a path, or undefined. */
export function lookUp(tree: Tree | undefined, path: Path): Tree | undefined {
  let here = tree;
  for (const step of path) {
    if (here?.kind === "map") here = here.entries.get(String(step))?.tree;
    else if (here?.kind === "list" && typeof step === "number") here = here.items[step];
    else return undefined;
  }
  return here;
}

class TreeFault extends Error {
  readonly at: Spot;
  readonly hint: string;
  constructor(at: Spot, message: string, hint = "") {
    super(message);
    this.at = at;
    this.hint = hint;
  }
}

/** What stands under an anchor; `tree` is null while it is still being read. */
interface Anchored {
  tree: Tree | null;
  values: number;
  /** Levels below its own. */
  height: number;
}

/**
 * Turns the library's nodes into trees, following aliases and merge keys (`<<`), within bounds. An alias shares the tree
 * of its anchor: the library's own way to find that goes through the whole document for every alias. Likewise keys are
 * compared here, since the library compares each with all before it.
 */
class Planter {
  /** Keys that are given twice. */
  readonly faults: Fault[] = [];
  readonly #allowance: Allowance;
  readonly #spot: (offset: number) => Spot;
  readonly #anchors = new Map<string, Anchored>();
  /** The deepest level reached since somebody last asked. */
  #reached = 0;

  constructor(allowance: Allowance, spot: (offset: number) => Spot) {
    this.#allowance = allowance;
    this.#spot = spot;
  }

  plant(node: unknown, depth: number): Tree {
    const at = this.#at(node);
    this.#take(1, depth, at);
    if (isAlias(node)) return this.#alias(node.source, depth, at);
    const anchor = isScalar(node) || isCollection(node) ? node.anchor : undefined;
    if (!anchor) return this.#value(node, at, depth);
    const anchored: Anchored = { tree: null, values: 0, height: 0 };
    const { values } = this.#allowance;
    const reached = this.#reached;
    // From here on, so that what stands below may replace it by another of the same name.
    this.#anchors.set(anchor, anchored);
    this.#reached = depth;
    anchored.tree = this.#value(node, at, depth);
    anchored.values = 1 + values - this.#allowance.values;
    anchored.height = this.#reached - depth;
    this.#reached = Math.max(reached, this.#reached);
    return anchored.tree;
  }

  #alias(name: string, depth: number, at: Spot): Tree {
    const anchored = this.#anchors.get(name);
    if (anchored === undefined) throw new TreeFault(at, "an alias names an anchor that is not set before it");
    if (anchored.tree === null) throw tooDeep(at);
    this.#take(anchored.values, depth + 1 + anchored.height, at);
    return anchored.tree;
  }

  #take(values: number, depth: number, at: Spot): void {
    if (!this.#allowance.takeValues(values))
      throw new TreeFault(at, `anchors multiply to more than ${Allowance.MOST_VALUES} values`);
    if (depth > DEEPEST) throw tooDeep(at);
    this.#reached = Math.max(this.#reached, depth);
  }

  #value(node: unknown, at: Spot, depth: number): Tree {
    if (isMap(node)) return this.#map(node.items, at, depth);
    if (isSeq(node))
      return { kind: "list", at, items: node.items.map((item) => this.plant(item, depth + 1)) };
    return { kind: "scalar", at, value: scalarOf(node, at) };
  }

  #map(items: readonly unknown[], at: Spot, depth: number): MapTree {
    const own = new Map<string, Entry>();
    const merged = new Map<string, Entry>();
    const keys = new Set<string>();
    for (const pair of items) {
      if (!isPair(pair)) continue;
      const keyAt = this.#at(pair.key);
      const key = keyOf(pair.key, keyAt);
      if (keys.has(key) && this.faults.length < MOST_FAULTS)
        this.faults.push({ at: keyAt, path: [], problem: GIVEN_TWICE, hint: "" });
      keys.add(key);
      if (isScalar(pair.key) && pair.key.anchor) this.plant(pair.key, depth + 1);
      const tree = pair.value === null ? nothing(keyAt) : this.plant(pair.value, depth + 1);
      if (key === "<<")
        for (const [name, entry] of mergeKey(tree)) if (!merged.has(name)) merged.set(name, entry);
      if (key !== "<<") own.set(key, { keyAt, tree });
    }
    return { kind: "map", at, entries: new Map([...merged, ...own]) };
  }

  #at(node: unknown): Spot {
    return isNode(node) && node.range ? this.#spot(node.range[0]) : START;
  }
}

const GIVEN_TWICE = "this key is given twice";

const tooDeep = (at: Spot): TreeFault => new TreeFault(at, `values are nested deeper than ${DEEPEST} levels`);

function mergeKey(tree: Tree): [string, Entry][] {
  const maps = tree.kind === "list" ? tree.items : [tree];
  return maps.flatMap((map) => {
    if (map.kind !== "map")
      throw new TreeFault(tree.at, "expected a mapping, or a list of mappings, to merge");
    return [...map.entries];
  });
}

function keyOf(node: unknown, at: Spot): string {
  const value = isScalar(node) ? node.value : undefined;
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean")
    throw new TreeFault(at, "expected a plain word as key", "Put it in quotes.");
  if (value === "__proto__") throw new TreeFault(at, "this key is not allowed");
  if (String(value).length > LONGEST_KEY)
    throw new TreeFault(at, `the key is longer than ${LONGEST_KEY} characters`);
  return String(value);
}

function scalarOf(node: unknown, at: Spot): string | number | boolean | null {
  const value = isScalar(node) ? node.value : null;
  if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return value;
  throw new TreeFault(at, "expected text, a number, true or false");
}

function nothing(at: Spot): ScalarTree {
  return { kind: "scalar", at, value: null };
}

function failed(at: Spot, problem: string, hint = "") {
  return { tree: null, faults: [{ at, path: [], problem, hint }] };
}
