/** The target of a rule, as far as it can be judged before a branch fills in its templates. */
import { SyncError } from "../sync/errors.ts";
import type { DestinationAdapter, Exposure } from "../sync/ports.ts";
import { checkTemplate, mapStrings, templateVariables } from "../sync/templates.ts";
import type { Path } from "./configuration.ts";
import { faultAt, faultsOf, type Part } from "./problems.ts";
import { type Fault, lookUp, type Tree, toValue } from "./tree.ts";

/** A destination of the file whose block could be read. */
export interface KnownDestination {
  readonly adapter: DestinationAdapter;
  readonly block: unknown;
}

export interface Aim {
  readonly faults: readonly Fault[];
  /** Where everything lands, if that is the same for every branch; else null. */
  readonly place: string | null;
  /** Undefined: cannot be said before the templates are filled in. */
  readonly exposure: Exposure | null | undefined;
}

const UNKNOWN: Omit<Aim, "faults"> = { place: null, exposure: undefined };

/**
 * Templates that can never be filled in, fields that the vendor does not know, and for a target that is
 * the same for every branch whatever the adapter has against it.
 */
export function aimAt(rule: Part, destination: KnownDestination | undefined): Aim {
  const tree = lookUp(rule.tree, ["target"]);
  if (tree?.kind !== "map") return { faults: [], ...UNKNOWN };
  const texts = stringsIn(tree, ["target"]);
  const templates = texts.flatMap(({ text, path }) => {
    const refused = checkTemplate(text);
    return refused === null ? [] : [faultAt(rule, path, refused)];
  });
  if (destination === undefined) return { faults: templates, ...UNKNOWN };

  const { adapter, block } = destination;
  const target = toValue(tree);
  const part = { tree, path: [...rule.path, "target"] };
  const parsed = adapter.target.safeParse(target);
  const faults = [...templates, ...faultsOf(parsed.error?.issues ?? [], part, adapter.target)];
  if (faults.length > 0) return { faults, ...UNKNOWN };

  const fixed = texts.every(({ text }) => templateVariables(text).length === 0);
  try {
    const aimed = adapter.parseTarget(block, mapStrings(target, "target", fillWithSample));
    return {
      faults,
      place: fixed ? `${adapter.kind} ${adapter.place(aimed)}` : null,
      exposure: adapter.exposure(aimed),
    };
  } catch (thrown) {
    if (!(thrown instanceof SyncError)) throw thrown;
    // With templates it may be the sample that the vendor would refuse.
    return {
      faults: fixed ? [faultAt(rule, ["target"], thrown.message, thrown.next ?? "")] : [],
      ...UNKNOWN,
    };
  }
}

function fillWithSample(text: string): string {
  return text.replaceAll(/(?<!\$)\$\{[^}]*\}/g, "sample").replaceAll("$${", "${");
}

function stringsIn(tree: Tree, path: Path): { text: string; path: Path }[] {
  if (tree.kind === "scalar") return typeof tree.value === "string" ? [{ text: tree.value, path }] : [];
  const below =
    tree.kind === "list" ? tree.items.entries() : [...tree.entries].map(([k, e]) => [k, e.tree] as const);
  return [...below].flatMap(([step, item]) => stringsIn(item, [...path, step]));
}
