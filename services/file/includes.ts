/** `includes`: the document's sections may lie in several files, and are read as one. */
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join, posix, relative, sep } from "node:path";
import { checkPattern, matchesGlob } from "../sync/patterns.ts";
import { type Entry, type Fault, type MapTree, readYaml, type Spot, type Tree } from "./tree.ts";
import { Allowance } from "./yaml.ts";

/** Where included files are. Names are relative to the main file's folder, with slashes. */
export interface Library {
  /** All files that may be included. */
  names(): readonly string[];
  /** The text; null: there is no such file, or it lies outside. */
  read(name: string): string | null;
}

/** The folder that the main file lies in, links that lead out of it left aside. */
export function folderLibrary(mainPath: string): Library {
  const folder = dirname(mainPath);
  return {
    names: () =>
      readdirSync(folder, { recursive: true, encoding: "utf8" })
        .filter((name) => /\.ya?ml$/.test(name))
        .map((name) => name.split(sep).join("/")),
    read: (name) => {
      const path = join(folder, name);
      if (!existsSync(path)) return null;
      const inside = relative(realpathSync(folder), realpathSync(path));
      return inside.startsWith("..") ? null : readFileSync(path, "utf8");
    },
  };
}

/** Files that came along with the main one. */
export const sentLibrary = (files: Readonly<Record<string, string>>): Library => ({
  names: () => Object.keys(files),
  read: (name) => (Object.hasOwn(files, name) ? (files[name] ?? null) : null),
});

export const noLibrary: Library = { names: () => [], read: () => null };

/** Sections whose names may be spread over files; of the others there is one. */
const SPREAD = ["sources", "destinations", "rules"];

/** The document with everything that it includes. What is wrong names the file that it is in. */
export function withIncludes(
  root: Tree,
  main: string,
  library: Library,
  allowance = new Allowance(),
): { tree: Tree; faults: readonly Fault[] } {
  if (root.kind !== "map") return { tree: root, faults: [] };
  const gathering = new Gathering(main, library, allowance);
  gathering.take(root, main, []);
  return { tree: gathering.tree(root), faults: gathering.faults };
}

const isPattern = (path: string): boolean => /[*?[]/.test(path);

function refusePath(written: string, path: string): string | null {
  if (written.startsWith("/") || written.includes("\\") || path.startsWith(".."))
    return "leads out of the folder of the main file";
  return isPattern(path) ? checkPattern(path) : null;
}

class Gathering {
  readonly faults: Fault[] = [];
  readonly #main: string;
  readonly #library: Library;
  readonly #allowance: Allowance;
  /** Where each file was included first. */
  readonly #included = new Map<string, string>();
  readonly #sections = new Map<string, Entry>();

  constructor(main: string, library: Library, allowance: Allowance) {
    this.#main = main;
    this.#library = library;
    this.#allowance = allowance;
  }

  tree(root: MapTree): MapTree {
    return { kind: "map", at: root.at, entries: this.#sections };
  }

  take(tree: MapTree, name: string, trail: readonly string[]): void {
    for (const [key, entry] of tree.entries) if (key !== "includes") this.#add(key, entry);
    const written = tree.entries.get("includes")?.tree;
    if (written === undefined || (written.kind === "scalar" && written.value === null)) return;
    const items = written.kind === "list" ? written.items : [written];
    for (const [index, item] of items.entries()) {
      const path = ["includes", index];
      if (item.kind !== "scalar" || typeof item.value !== "string")
        this.#fault(item.at, path, "expected the path of a file, or a pattern such as rules/*.yaml");
      else this.#include(item.value, item.at, path, name, [...trail, name]);
    }
  }

  #include(text: string, at: Spot, path: Fault["path"], from: string, trail: readonly string[]): void {
    const wanted = posix.normalize(posix.join(posix.dirname(from), text));
    const refused = refusePath(text, wanted);
    const names = refused === null ? this.#named(wanted, trail) : [];
    if (refused !== null) this.#fault(at, path, refused, "Write a path inside the main file's folder.");
    else if (names.length === 0) this.#fault(at, path, "there is no file that this pattern matches");
    for (const name of names) {
      const problem = this.#refuse(name, trail);
      if (problem === null) this.#file(name, at, path, trail);
      else this.#fault(at, path, problem, "Include every file once.");
    }
  }

  #named(wanted: string, trail: readonly string[]): readonly string[] {
    if (!isPattern(wanted)) return [wanted];
    const all = this.#library.names().filter((name) => matchesGlob(wanted, name) && !trail.includes(name));
    return [...all].sort();
  }

  #refuse(name: string, trail: readonly string[]): string | null {
    if (trail.includes(name)) return `includes itself: ${[...trail, name].join(" -> ")}`;
    const before = this.#included.get(name);
    return before === undefined ? null : `${name} is included at ${before} already`;
  }

  #file(name: string, at: Spot, path: Fault["path"], trail: readonly string[]): void {
    this.#included.set(name, this.#place(at));
    const text = this.#library.read(name);
    if (text === null) this.#fault(at, path, `there is no file ${name} in the folder of the main file`);
    const { tree, faults } = readYaml(text ?? "", name, this.#allowance);
    this.faults.push(...faults);
    if (tree?.kind === "map") this.take(tree, name, trail);
    else if (tree !== null && !(tree.kind === "scalar" && tree.value === null))
      this.#fault(tree.at, [], "expected a mapping with sources, destinations or rules");
  }

  #add(key: string, entry: Entry): void {
    const there = this.#sections.get(key);
    if (there === undefined) this.#sections.set(key, entry);
    else if (SPREAD.includes(key) && there.tree.kind === "map" && entry.tree.kind === "map")
      this.#sections.set(key, { ...there, tree: this.#join(key, there.tree, entry.tree) });
    else if (!key.startsWith("x-")) this.#twice(entry, [key], there);
  }

  #join(section: string, before: MapTree, more: MapTree): MapTree {
    const entries = new Map(before.entries);
    for (const [name, entry] of more.entries) {
      const there = entries.get(name);
      if (there === undefined) entries.set(name, entry);
      else this.#twice(entry, [section, name], there);
    }
    return { ...before, entries };
  }

  #twice(entry: Entry, path: Fault["path"], there: Entry): void {
    const hint = "Keep one of them.";
    this.#fault(entry.keyAt, path, `this is given at ${this.#place(there.keyAt)} already`, hint);
  }

  #place = (at: Spot): string => `${at.file ?? this.#main}:${at.line}:${at.column}`;

  #fault(at: Spot, path: Fault["path"], problem: string, hint = ""): void {
    this.faults.push({ at, path, problem, hint });
  }
}
