/** branchline.yaml, read and checked as a whole: either everything is right, or every problem is told at once. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { z } from "zod";
import { ConfigurationError, refuseReference } from "../config.ts";
import type { CredentialRef } from "../sync/ports.ts";
import { didYouMean } from "../sync/suggest.ts";
import { auth } from "./auth.ts";
import type { Adapters, Configuration, NamedBlock, Path, Webhooks } from "./configuration.ts";
import { pruneNulls, without } from "./extends.ts";
import { folderLibrary, type Library, noLibrary, withIncludes } from "./includes.ts";
import { type Kept, withKept } from "./kept.ts";
import { Findings, faultAt, faultsOf, type Part } from "./problems.ts";
import { readRules, type Scope } from "./rules.ts";
import { NAME_EXPECTED, name as nameSchema, revision, SECTIONS, sweep, watch, webhooks } from "./schema.ts";
import { locate, lookUp, type MapTree, readYaml, type Tree, toValue } from "./tree.ts";
import { Allowance } from "./yaml.ts";

export interface LoadOptions {
  readonly adapters: Adapters;
  /**
   * Why a credential cannot be used, or null. Default: it must resolve here and now. For a posted file
   * this also asks `allowedReference`; `validate` offline accepts all.
   */
  readonly refuse?: (ref: CredentialRef) => string | null;
  /** Credentials that are kept where the document leaves them out, and what stands for them. */
  readonly kept?: Kept;
  /** What problems call the file. */
  readonly name?: string;
  /** Where included files are; default: beside the file, or nowhere for text that came from elsewhere. */
  readonly library?: Library;
  /** Rules may leave `variables` out: an import finds them. */
  readonly withoutVariables?: boolean;
}

/** Reads the file at a path. Throws `ConfigurationError<FileProblem>` with every problem. */
export function loadFile(path: string, options: LoadOptions): Configuration {
  const name = options.name ?? basename(path);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (thrown) {
    const missing = (thrown as NodeJS.ErrnoException).code === "ENOENT";
    throw new ConfigurationError([
      {
        where: path,
        problem: missing ? "the file does not exist" : "the file cannot be read",
        hint: "Set BRANCHLINE_CONFIG to the path of branchline.yaml.",
      },
    ]);
  }
  return loadText(text, { library: folderLibrary(path), ...options, name });
}

/** The same for text that came from elsewhere. Throws `ConfigurationError<FileProblem>` with every problem. */
export function loadText(text: string, options: LoadOptions): Configuration {
  const findings = new Findings(options.name ?? "branchline.yaml");
  const allowance = new Allowance();
  const { tree, faults } = readYaml(text, undefined, allowance);
  const library = options.library ?? noLibrary;
  const whole = withIncludes(tree ?? NOTHING, options.name ?? "", library, allowance);
  for (const fault of [...faults, ...whole.faults]) findings.add(fault);
  const configuration = new Loader(whole.tree, options, findings).load();
  findings.throwIfAny();
  return configuration;
}

/** Stands for a text that could not be read, so that nothing more is found in it. */
const NOTHING: MapTree = { kind: "map", at: { line: 1, column: 1 }, entries: new Map() };

interface KnownBlock extends NamedBlock {
  readonly part: Part;
}

class Loader {
  readonly #root: Tree;
  readonly #adapters: Adapters;
  readonly #refuse: (ref: CredentialRef) => string | null;
  readonly #findings: Findings;
  readonly #kept: Kept | undefined;
  readonly #withoutVariables: boolean;

  constructor(root: Tree, options: LoadOptions, findings: Findings) {
    this.#root = root;
    this.#adapters = options.adapters;
    this.#refuse = options.refuse ?? ((ref) => refuseReference(ref));
    this.#findings = findings;
    this.#kept = options.kept;
    this.#withoutVariables = options.withoutVariables ?? false;
  }

  load(): Configuration {
    this.#checkSections();
    const sources = this.#blocks("sources", this.#adapters.sources);
    const destinations = this.#blocks("destinations", this.#adapters.destinations);
    this.#checkTwins(sources);
    const rules = readRules(this.#section("rules"), this.#scope(sources, destinations), this.#findings);
    const hooks = this.#optional("webhooks", webhooks);
    this.#checkRepositories();
    const watching = this.#optional("watch", watch);
    const sweeping = this.#optional("sweep", sweep);
    const trusted = this.#optional("auth", auth);
    const counted = this.#optional("revision", revision);
    return {
      ...(counted === undefined ? {} : { revision: counted }),
      sources: sources.map(toNamedBlock),
      destinations: destinations.map(toNamedBlock),
      rules,
      webhooks: toWebhooks(hooks ?? {}),
      ...(watching === undefined ? {} : { watch: { intervalMs: watching.interval } }),
      ...(sweeping === undefined ? {} : { sweep: { everyMs: sweeping.every } }),
      ...(trusted === undefined ? {} : { auth: { oidc: trusted.oidc ?? [] } }),
      warnings: this.#findings.warnings,
      positions: this.#positions(),
    };
  }

  #positions(): Record<string, string> {
    const named = ["sources", "destinations", "rules"].flatMap((section) =>
      [...this.#section(section).entries].map(([name, { keyAt }]) => [`${section}.${name}`, keyAt] as const),
    );
    const all = [...named, ["webhooks.webhooks", locate(this.#root, ["webhooks"], "key")] as const];
    return Object.fromEntries(all.map(([path, at]) => [path, this.#findings.place(at)]));
  }

  get #file(): Part {
    return { tree: this.#root, path: [] };
  }

  #checkSections(): void {
    if (this.#root.kind !== "map") {
      this.#add(faultAt(this.#file, [], "expected a mapping with sources, destinations and rules"));
      return;
    }
    for (const key of this.#root.entries.keys()) {
      if (key.startsWith("x-") || SECTIONS.some((section) => section === key)) continue;
      const hint = didYouMean(key, SECTIONS) || `Known here: ${SECTIONS.join(", ")}, and x-... for your own.`;
      this.#add(faultAt(this.#file, [key], `there is no "${key}" here`, hint, "key"));
    }
  }

  /** A section's mapping; an empty one if the file does not have it. */
  #section(section: string): MapTree {
    const tree = lookUp(this.#root, [section]);
    if (tree?.kind === "map") return tree;
    if (tree !== undefined && !(tree.kind === "scalar" && tree.value === null))
      this.#add(faultAt(this.#file, [section], "expected a mapping"));
    return { kind: "map", at: this.#root.at, entries: new Map() };
  }

  #optional<T>(section: string, schema: z.ZodType<T>): T | undefined {
    const tree = lookUp(this.#root, [section]);
    if (tree === undefined || (tree.kind === "scalar" && tree.value === null)) return undefined;
    return this.#parse({ tree: tidy(tree), path: [section] }, schema);
  }

  #parse<T>(part: Part, schema: z.ZodType<T>): T | undefined {
    const parsed = schema.safeParse(toValue(part.tree));
    for (const fault of faultsOf(parsed.error?.issues ?? [], part, schema)) this.#add(fault);
    if (!parsed.success) return undefined;
    for (const { ref, path } of credentialsIn(parsed.data, [])) {
      const refused = this.#refuse({ ref });
      if (refused !== null) this.#add(faultAt(part, path, refused, "Set it where Branchline runs."));
    }
    return parsed.data;
  }

  /** `name: { kind: { ... } }` for every name of a section. */
  #blocks(section: string, adapters: readonly { kind: string; block: z.ZodType }[]): KnownBlock[] {
    return [...this.#section(section).entries].flatMap(([name, { tree }]) => {
      if (name.startsWith("x-")) return [];
      const part = { tree: tidy(tree), path: [section, name] };
      if (!nameSchema.safeParse(name).success)
        this.#add(faultAt(this.#file, part.path, NAME_EXPECTED, "", "key"));
      const kinds = part.tree.kind === "map" ? [...part.tree.entries.keys()] : [];
      const known = adapters.map((adapter) => adapter.kind);
      const [kind] = kinds;
      if (kind === undefined || kinds.length > 1) {
        this.#add(
          faultAt(part, [], `expected exactly one of ${known.join(", ")}, with its settings below it`),
        );
        return [];
      }
      const adapter = adapters.find((each) => each.kind === kind);
      if (adapter === undefined) {
        const hint = didYouMean(kind, known) || `Known here: ${known.join(", ")}.`;
        this.#add(faultAt(part, [kind], `there is no kind "${kind}"`, hint, "key"));
        return [];
      }
      const inner = withKept(lookUp(part.tree, [kind]) ?? part.tree, section, name, this.#kept);
      const block = this.#parse({ tree: inner, path: [section, name, kind] }, adapter.block);
      return block === undefined ? [] : [{ name, kind, block, part }];
    });
  }

  /** Two sources that are one would see each other's branches as their own. */
  #checkTwins(sources: readonly KnownBlock[]): void {
    const seen = new Map<string, string>();
    for (const { name, kind, block, part } of sources) {
      const adapter = this.#adapters.sources.find((each) => each.kind === kind);
      const identity = `${kind} ${adapter?.identity(block) ?? name}`;
      const twin = seen.get(identity);
      if (twin !== undefined)
        this.#add(faultAt(part, [], `is the same as the source "${twin}"`, "Keep one of them."));
      seen.set(identity, name);
    }
  }

  /** What rules may name; what is in the file but cannot be read is known to be there. */
  #scope(sources: readonly KnownBlock[], destinations: readonly KnownBlock[]): Scope {
    const named = (section: string) => this.#names(section).map((name) => [name, null] as const);
    return {
      withoutVariables: this.#withoutVariables,
      sources: new Map([
        ...named("sources"),
        ...sources.map(({ name, block }) => [name, { project: projectOf(block) }] as const),
      ]),
      destinations: new Map([
        ...named("destinations"),
        ...destinations.flatMap(({ name, kind, block }) => {
          const adapter = this.#adapters.destinations.find((each) => each.kind === kind);
          return adapter === undefined ? [] : [[name, { adapter, block }] as const];
        }),
      ]),
    };
  }

  #names(section: string): string[] {
    return [...this.#section(section).entries.keys()].filter((name) => !name.startsWith("x-"));
  }

  /** Looks at what is written, so that it also speaks where the section is wrong elsewhere. */
  #checkRepositories(): void {
    const known = new Set(this.#names("sources"));
    const path = ["webhooks", "github", "repositories"];
    const repositories = lookUp(this.#root, path);
    if (repositories?.kind !== "map") return;
    for (const [repository, { tree }] of repositories.entries) {
      for (const [index, item] of tree.kind === "list" ? tree.items.entries() : []) {
        if (item.kind !== "scalar" || typeof item.value !== "string" || known.has(item.value)) continue;
        const hint = didYouMean(item.value, known);
        const problem = `there is no source "${item.value}"`;
        this.#add(faultAt(this.#file, [...path, repository, index], problem, hint));
      }
    }
  }

  #add(fault: Parameters<Findings["add"]>[0]): void {
    this.#findings.add(fault);
  }
}

/** Without keys of the user's own and without what is null. */
function tidy(tree: Tree): Tree {
  return tree.kind === "map" ? pruneNulls(without(tree, (key) => key.startsWith("x-"))) : tree;
}

/** References in what a schema gave, with their paths: objects with nothing but `ref`. */
export function credentialsIn(value: unknown, path: Path): { ref: string; path: Path }[] {
  if (value === null || typeof value !== "object") return [];
  if ("ref" in value && typeof value.ref === "string" && Object.keys(value).length === 1)
    return [{ ref: value.ref, path }];
  const steps = Array.isArray(value) ? value.entries() : Object.entries(value);
  return [...steps].flatMap(([step, item]) => credentialsIn(item, [...path, step]));
}

function projectOf(block: unknown): string | null {
  const found = block !== null && typeof block === "object" && "project" in block ? block.project : null;
  return typeof found === "string" ? found : null;
}

function toNamedBlock({ name, kind, block }: KnownBlock): NamedBlock {
  return { name, kind, block };
}

function toWebhooks({ github, neon }: z.output<typeof webhooks>): Webhooks {
  return { ...(github === undefined ? {} : { github }), ...(neon === undefined ? {} : { neon }) };
}
