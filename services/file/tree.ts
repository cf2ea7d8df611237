/** YAML as a tree that remembers where each thing stood, so that a problem can name its line. */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
} from "yaml";
import type { Path } from "./configuration.ts";

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

const LARGEST_TEXT = 1024 * 1024;
/** After aliases are followed: a file of ten lines can mean billions of nodes. */
const MOST_NODES = 100_000;
const DEEPEST = 64;
const START: Spot = { line: 1, column: 1 };

/** The tree, or null and what is wrong with the text. Messages never hold a piece of the text. */
export function readYaml(text: string, file?: string): { tree: Tree | null; faults: readonly Fault[] } {
  const named = file === undefined ? {} : { file };
  if (text.length > LARGEST_TEXT) return failed({ ...START, ...named }, "the file is larger than 1 MiB");
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    strict: true,
    version: "1.2",
  });
  const spot = (offset: number): Spot => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1), ...named };
  };
  const complaints = [...document.errors, ...document.warnings];
  if (complaints.length > 0)
    return {
      tree: null,
      faults: complaints.map(({ code, pos }) => ({
        at: spot(pos[0]),
        path: [],
        problem: WORDS[code] ?? "the YAML cannot be read from here on",
        hint: HINTS[code] ?? "",
      })),
    };
  try {
    return { tree: new Planter(document, spot).plant(document.contents, 0), faults: [] };
  } catch (thrown) {
    if (thrown instanceof TreeFault) return failed(thrown.at, thrown.message, thrown.hint);
    throw thrown;
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

/** Turns the library's nodes into trees, following aliases and merge keys (`<<`), within bounds. */
class Planter {
  readonly #document: Document;
  readonly #spot: (offset: number) => Spot;
  #nodes = 0;

  constructor(document: Document, spot: (offset: number) => Spot) {
    this.#document = document;
    this.#spot = spot;
  }

  plant(node: unknown, depth: number): Tree {
    const at = this.#at(node);
    this.#nodes += 1;
    if (this.#nodes > MOST_NODES)
      throw new TreeFault(at, `anchors multiply to more than ${MOST_NODES} values`);
    if (depth > DEEPEST) throw new TreeFault(at, `values are nested deeper than ${DEEPEST} levels`);
    if (isAlias(node)) {
      const target = node.resolve(this.#document);
      if (target === undefined) throw new TreeFault(at, "an alias names an anchor that is not set before it");
      return this.plant(target, depth + 1);
    }
    if (isMap(node)) return this.#map(node.items, at, depth);
    if (isSeq(node))
      return { kind: "list", at, items: node.items.map((item) => this.plant(item, depth + 1)) };
    return { kind: "scalar", at, value: scalarOf(node, at) };
  }

  #map(items: readonly unknown[], at: Spot, depth: number): MapTree {
    const own = new Map<string, Entry>();
    const merged = new Map<string, Entry>();
    for (const pair of items) {
      if (!isPair(pair)) continue;
      const keyAt = this.#at(pair.key);
      const key = keyOf(pair.key, keyAt);
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

/** The library's own messages may quote the text, and with it a credential. */
const WORDS: Readonly<Record<string, string>> = {
  BAD_ALIAS: "an alias names an anchor that is not set before it",
  BAD_DQ_ESCAPE: "an unknown escape in double quotes",
  BAD_INDENT: "the indentation does not fit, or a bracket before it is not closed",
  BAD_SCALAR_START: "text may not begin with this character without quotes",
  BLOCK_AS_IMPLICIT_KEY: "a mapping may not begin here",
  DUPLICATE_KEY: "this key is given twice",
  MISSING_CHAR: "a character is missing, such as a closing quote or bracket, or a colon",
  MULTILINE_IMPLICIT_KEY: "a key must be on one line",
  MULTIPLE_DOCS: "the file holds more than one document",
  TAB_AS_INDENT: "tabs may not indent",
  TAG_RESOLVE_FAILED: "tags are not supported",
  UNEXPECTED_TOKEN: "nothing of this kind may stand here",
};

const HINTS: Readonly<Record<string, string>> = {
  BAD_SCALAR_START: "Put the text in quotes.",
  BLOCK_AS_IMPLICIT_KEY: 'Put the text in quotes if it holds ": ".',
  MULTIPLE_DOCS: "Write one file for each.",
  TAB_AS_INDENT: "Use spaces.",
};
