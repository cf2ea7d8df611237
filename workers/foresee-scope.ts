/** A document beside what is stored: what is new, what changed, what leaves. No vendor is asked. */
import { same } from "../services/store/configure.ts";
import type { DestinationRow } from "../services/store/destination.ts";
import type { RuleRow } from "../services/store/rule.ts";
import type { Snapshot } from "../services/store/snapshot.ts";
import type { SourceRow } from "../services/store/source.ts";
import type { PlannedRule, PlanPart } from "../services/sync/document-plan.ts";
import type { Rule } from "../services/sync/model.ts";
import type { DestinationAdapter } from "../services/sync/ports.ts";

/** A document as far as it says what is to be where. Its credentials are references and stay so. */
export interface Posted {
  readonly sources: readonly {
    readonly name: string;
    readonly kind: string;
    readonly identity: string;
    readonly block: unknown;
  }[];
  readonly destinations: readonly { readonly name: string; readonly kind: string; readonly block: unknown }[];
  readonly rules: readonly Rule[];
  /** Where it says what, by `rules.web`: `branchline.yaml:41:5`. Left out: nobody knows. */
  readonly positions?: Positions;
}

export type Positions = Readonly<Record<string, string>>;

/** "new" and "changed" addresses are not contacted before they are applied. */
export type Standing = "new" | "changed" | "same";

export interface KnownSource {
  readonly name: string;
  readonly row: SourceRow | null;
  readonly standing: Standing;
}

export interface KnownDestination {
  readonly name: string;
  readonly row: DestinationRow | null;
  readonly standing: Standing;
  readonly adapter: DestinationAdapter;
  /** As the document has it. */
  readonly block: unknown;
}

/** A rule as it will be in force, or kept in step although it left. */
export interface Entry {
  readonly rule: Rule;
  /** Where the document says it; null: it does not. */
  readonly at: string | null;
  readonly row: RuleRow | null;
  readonly action: PlannedRule["action"];
  /** What changed about it, in words; empty: nothing. */
  readonly why: string;
  readonly source: KnownSource;
  readonly destination: KnownDestination;
}

export interface Scope {
  readonly sources: ReadonlyMap<string, KnownSource>;
  readonly destinations: ReadonlyMap<string, KnownDestination>;
  readonly entries: readonly Entry[];
  readonly parts: readonly PlanPart[];
  /** Destinations that lead to another account from now on. */
  readonly moved: readonly string[];
}

export function compareScope(
  snapshot: Snapshot,
  posted: Posted,
  adapters: ReadonlyMap<string, DestinationAdapter>,
  prune: boolean,
): Scope {
  const parts: PlanPart[] = [];
  const sources = compareSources(snapshot, posted, parts);
  const moved: string[] = [];
  const destinations = compareDestinations(snapshot, posted, adapters, parts, moved);
  const entries = [
    ...posted.rules.flatMap((rule) =>
      declaredEntry(snapshot, rule, positionIn(posted, "rules", rule.name), sources, destinations),
    ),
    ...snapshot.rules.flatMap((row) => orphanEntry(row, posted, sources, destinations, prune)),
  ];
  return { sources, destinations, entries, parts, moved };
}

const positionIn = ({ positions = {} }: Posted, section: string, name: string): string | null =>
  positions[`${section}.${name}`] ?? null;

function compareSources(snapshot: Snapshot, posted: Posted, parts: PlanPart[]): Map<string, KnownSource> {
  const section = "sources";
  const known = new Map<string, KnownSource>();
  for (const { name, identity, block } of posted.sources) {
    const row = snapshot.sources.find((one) => one.name === name && one.identity === identity) ?? null;
    const standing = row === null ? "new" : same(row.block, block) ? "same" : "changed";
    const at = positionIn(posted, section, name);
    if (standing === "new") parts.push({ section, name, at, action: "create", reason: "it is new" });
    if (standing === "changed")
      parts.push({ section, name, at, action: "change", reason: changed(row?.block, block) });
    known.set(name, { name, row, standing });
  }
  for (const { name, identity } of snapshot.sources) {
    if (posted.sources.some((one) => one.name === name && one.identity === identity)) continue;
    const reason = "it is not in the document: what was written of its branches stays as it is";
    parts.push({ section, name, at: null, action: "delete", reason });
  }
  return known;
}

function compareDestinations(
  snapshot: Snapshot,
  posted: Posted,
  adapters: ReadonlyMap<string, DestinationAdapter>,
  parts: PlanPart[],
  moved: string[],
): Map<string, KnownDestination> {
  const section = "destinations";
  const known = new Map<string, KnownDestination>();
  for (const { name, kind, block } of posted.destinations) {
    const adapter = adapters.get(kind);
    if (adapter === undefined) continue;
    const row = snapshot.destinations.find((one) => one.name === name && one.kind === kind) ?? null;
    const standing = row === null ? "new" : same(row.block, block) ? "same" : "changed";
    const at = positionIn(posted, section, name);
    if (standing === "new") parts.push({ section, name, at, action: "create", reason: "it is new" });
    if (standing === "changed") {
      const elsewhere = snapshot.places.some(
        ({ destinationId, target }) => destinationId === row?.id && adapter.within?.(block, target) === false,
      );
      if (elsewhere) moved.push(name);
      const reason = `${changed(row?.block, block)}${elsewhere ? "; it leads to another account" : ""}`;
      parts.push({ section, name, at, action: "change", reason });
    }
    known.set(name, { name, row, standing, adapter, block });
  }
  for (const { name, kind } of snapshot.destinations) {
    const still = posted.destinations.find((one) => one.name === name);
    if (still?.kind === kind) continue;
    if (still !== undefined) moved.push(name);
    const reason = "it is not in the document: what was written there stays as it is";
    parts.push({ section, name, at: null, action: "delete", reason });
  }
  return known;
}

function declaredEntry(
  snapshot: Snapshot,
  rule: Rule,
  at: string | null,
  sources: ReadonlyMap<string, KnownSource>,
  destinations: ReadonlyMap<string, KnownDestination>,
): Entry[] {
  const source = sources.get(rule.source);
  const destination = destinations.get(rule.destination);
  if (source === undefined || destination === undefined) return [];
  const row = snapshot.rules.find((one) => one.name === rule.name && one.orphanedAt === null) ?? null;
  const common = { rule, at, row, source, destination };
  if (row === null) return [{ ...common, action: "create", why: "the rule is new" }];
  if (row.sourceId !== source.row?.id) return [{ ...common, action: "change", why: "it has another source" }];
  if (row.destinationId !== destination.row?.id)
    return [{ ...common, action: "change", why: "it has another destination" }];
  if (same(row.definition, rule)) return [{ ...common, action: "none", why: "" }];
  return [{ ...common, action: "change", why: `the rule ${changed(row.definition, rule)}` }];
}

/** Only where its source and its destination stay can it be kept in step. */
function orphanEntry(
  row: RuleRow,
  posted: Posted,
  sources: ReadonlyMap<string, KnownSource>,
  destinations: ReadonlyMap<string, KnownDestination>,
  prune: boolean,
): Entry[] {
  if (row.orphanedAt === null && posted.rules.some(({ name }) => name === row.name)) return [];
  const source = [...sources.values()].find((one) => one.row?.id === row.sourceId);
  const destination = [...destinations.values()].find((one) => one.row?.id === row.destinationId);
  if (source === undefined || destination === undefined) return [];
  const left = row.orphanedAt === null ? "orphan" : "orphaned";
  return [
    {
      rule: row.definition,
      at: null,
      row,
      action: prune ? "prune" : left,
      why: prune ? "its rule is pruned" : "",
      source,
      destination,
    },
  ];
}

/** `changed: target, variables`. Names of fields; a credential is among them and its reference is not shown. */
function changed(before: unknown, after: unknown): string {
  const fields = (value: unknown): Record<string, unknown> =>
    value !== null && typeof value === "object" ? (value as Record<string, unknown>) : {};
  const [a, b] = [fields(before), fields(after)];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
    (name) => !same(a[name] ?? null, b[name] ?? null),
  );
  return `changed: ${names.sort().join(", ")}`;
}
