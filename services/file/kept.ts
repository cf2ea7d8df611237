/** Credentials that a document leaves out because the server has them already, sealed. */
import type { Path } from "./configuration.ts";
import { type Entry, lookUp, type MapTree, type Tree } from "./tree.ts";

export interface Kept {
  /** Stands for what is kept, until it is settled what that is. Nobody can guess it. */
  readonly marker: string;
  /** Where the block that is stored under this name has sealed credentials. */
  paths(section: string, name: string): readonly Path[];
}

/** The block with the marker wherever a kept credential is left out and what holds it is there. */
export function withKept(block: Tree, section: string, name: string, kept: Kept | undefined): Tree {
  if (kept === undefined) return block;
  return kept.paths(section, name).reduce((tree: Tree, path) => {
    const parent = lookUp(tree, path.slice(0, -1));
    if (parent?.kind !== "map" || parent.entries.has(String(path.at(-1)))) return tree;
    return put(tree, path, kept.marker);
  }, block);
}

function put(tree: Tree, path: Path, marker: string): Tree {
  const [step, ...rest] = path;
  if (step === undefined) return marked(tree, marker);
  if (tree.kind !== "map") return tree;
  const below = tree.entries.get(String(step));
  const entry: Entry = { keyAt: below?.keyAt ?? tree.at, tree: put(below?.tree ?? tree, rest, marker) };
  return { ...tree, entries: new Map([...tree.entries, [String(step), entry]]) };
}

/** `{ inline: marker }` */
function marked({ at }: Tree, marker: string): MapTree {
  const entry: Entry = { keyAt: at, tree: { kind: "scalar", at, value: marker } };
  return { kind: "map", at, entries: new Map([["inline", entry]]) };
}
