/**
 * What is at destinations already, compared with what Branchline would write there. Looks as a plan does: at
 * sources and destinations that are stored as the document has them, and nowhere else; nothing is written anywhere.
 */

import { createLimit, type Limit } from "../services/sources/limit.ts";
import type { BranchRow } from "../services/store/branch.ts";
import { type Snapshot, takeSnapshot } from "../services/store/snapshot.ts";
import {
  type DocumentImport,
  finishImport,
  type ImportedSource,
  type ImportLine,
  type Surveyed,
} from "../services/sync/document-import.ts";
import { asSyncError, SyncError } from "../services/sync/errors.ts";
import { loginsWanted } from "../services/sync/material.ts";
import type { LoginMaterial } from "../services/sync/model.ts";
import type { Destination, Observation, ObservedName } from "../services/sync/ports.ts";
import { usualExpressions } from "../services/sync/presets.ts";
import { type Aim, aim, means } from "../services/sync/reconcile.ts";
import { DEFAULT_ALIAS } from "../services/sync/variables.ts";
import { isTelling, type Variant } from "../services/sync/variants.ts";
import { viewIn } from "./foresee-intent.ts";
import { UNCHECKED } from "./foresee-lines.ts";
import { onlyObserved } from "./foresee-observe.ts";
import { Reads } from "./foresee-reads.ts";
import { compareScope, type Entry, type KnownDestination, type Posted } from "./foresee-scope.ts";
import { matchAll, type Wanted } from "./import-match.ts";
import { openDestination, type Runtime } from "./runtime.ts";
import { attempt } from "./want.ts";

export interface ImportOptions {
  /** Hand over as well what nobody can read back. */
  readonly replaceUnreadable: boolean;
  readonly signal: AbortSignal;
}

/** A rule without variables is looked at for the usual names, and for whatever turns out to be one of its logins. */
export async function surveyDocument(
  runtime: Runtime,
  posted: Posted,
  options: ImportOptions,
): Promise<DocumentImport> {
  const snapshot = await takeSnapshot(runtime.database.db);
  const scope = compareScope(snapshot, posted, runtime.destinations, false);
  const asked = new Set(posted.rules.map(({ name }) => name));
  const entries = scope.entries.filter(
    ({ rule, action }) => asked.has(rule.name) && !action.startsWith("orphan"),
  );
  const reads = new Reads(runtime, snapshot, entries, options.signal);
  const spots = entries.flatMap((entry) => spotsOf(snapshot, entry));
  const survey = { runtime, snapshot, reads, open: opener(runtime, spots, options.signal) };
  const limit = createLimit(TARGETS_AT_ONCE);
  const [sources, surveyed] = await Promise.all([
    connectedSources(reads, entries),
    Promise.all(entries.map(async (entry) => await surveyRule(survey, entry, spots, limit))),
  ]);
  return finishImport(sources, surveyed, options.replaceUnreadable);
}

/** Enough that a vendor far away does not make it long, few enough for none to mind. */
const TARGETS_AT_ONCE = 4;

async function connectedSources(reads: Reads, entries: readonly Entry[]): Promise<ImportedSource[]> {
  const sources = [...new Set(entries.map(({ source }) => source))];
  const found = await Promise.all(
    sources.map(async (source): Promise<ImportedSource | null> => {
      const asked = await reads.integrations(source).catch(asSyncError);
      if (asked === null) return null;
      if (asked instanceof SyncError)
        return { source: source.name, integrations: null, reason: asked.message };
      return { source: source.name, integrations: asked, reason: "" };
    }),
  );
  return found.filter((one) => one !== null);
}

interface Survey {
  readonly runtime: Runtime;
  readonly snapshot: Snapshot;
  readonly reads: Reads;
  readonly open: (destination: KnownDestination) => Destination;
}

/** One branch of a rule, and where its strings would be. */
interface Spot {
  readonly entry: Entry;
  readonly branch: BranchRow;
  readonly home: Aim | SyncError;
}

function spotsOf(snapshot: Snapshot, entry: Entry): Spot[] {
  const { adapter, block } = entry.destination;
  const live = snapshot.branches.filter(({ sourceId }) => sourceId === entry.source.row?.id);
  const now = new Date();
  return live.flatMap((branch) => {
    const view = viewIn(live, branch);
    if (!means(entry.rule, view, now)) return [];
    return [{ entry, branch, home: aim(entry.rule, view, { adapter, block }) }];
  });
}

/** Opens each destination once. Only to be asked for those that are as they were. */
function opener(runtime: Runtime, spots: readonly Spot[], signal: AbortSignal): Survey["open"] {
  const opened = new Map<string, Destination>();
  return (known) => {
    if (known.row === null || known.standing !== "same")
      throw new SyncError("internal", "a destination that must not be contacted");
    const targets = spots.flatMap(({ entry, home }) =>
      entry.destination === known && !(home instanceof SyncError) ? [home.target] : [],
    );
    const open =
      opened.get(known.name) ??
      onlyObserved(openDestination(runtime, known.row, signal), known.adapter, targets);
    opened.set(known.name, open);
    return open;
  };
}

async function surveyRule(
  survey: Survey,
  entry: Entry,
  spots: readonly Spot[],
  limit: Limit,
): Promise<Surveyed> {
  const { rule, source, destination } = entry;
  const closed = closedBecause(entry);
  const wanted = wantedOf(entry);
  if (closed !== null) {
    const words = { rule: rule.name, destination: destination.name, reason: closed };
    return { name: rule.name, wanted: rule.variables, lines: [lineOf({ ...words, status: "unchecked" })] };
  }
  const mine = spots.filter((one) => one.entry === entry);
  const surveyAt = async (spot: Spot): Promise<ImportLine[]> => {
    const at = {
      rule: rule.name,
      branch: spot.branch.name,
      destination: destination.name,
      target: spot.home instanceof SyncError ? null : spot.home.key,
    };
    const found = await surveySpot(survey, spot, wanted).catch(asSyncError);
    if (found instanceof SyncError) return [lineOf({ ...at, status: "unchecked", reason: found.message })];
    return found.map((one) => lineOf({ ...at, ...one }));
  };
  const looked = mine.map(async (spot) => await limit(async () => await surveyAt(spot)));
  const lines = (await Promise.all(looked)).flat();
  if (mine.length === 0 && source.row !== null) {
    const reason = "the rule means none of the branches that are known so far";
    lines.push(lineOf({ rule: rule.name, destination: destination.name, status: "unchecked", reason }));
  }
  return { name: rule.name, wanted: namesFound(entry, wanted, lines), lines };
}

/** Why nobody may look, or null. */
function closedBecause({ source, destination }: Entry): string | null {
  const why = [
    ...(source.standing === "same" ? [] : [`the source ${source.name} is ${source.standing}`]),
    ...(destination.standing === "same"
      ? []
      : [`the destination ${destination.name} is ${destination.standing}`]),
  ];
  const todo = "apply the file's sources and destinations first; it may have no rules for that";
  return why.length === 0 ? null : `${UNCHECKED} (${why.join(", ")}): ${todo}`;
}

const lineOf = (
  given: Pick<ImportLine, "rule" | "destination" | "status"> & Partial<ImportLine>,
): ImportLine => ({
  branch: null,
  target: null,
  name: null,
  differs: [],
  expression: null,
  kept: false,
  reason: "",
  ...given,
});

// ---------------------------------------------------------------- which names

function wantedOf({ rule, destination }: Entry): Wanted {
  const { normaliseName } = destination.adapter.traits;
  const given = Object.entries(rule.variables);
  const [alias = DEFAULT_ALIAS] = Object.keys(rule.roles);
  const usual = usualExpressions(alias);
  const names = given.length > 0 ? given : [...usual];
  return {
    expressions: new Map(names.map(([name, expression]) => [normaliseName(name), expression])),
    others: given.length > 0 ? null : (usual.get("DATABASE_URL") ?? null),
  };
}

/** Those that the rule says, as it spells them; else those that there are and that are nobody else's. */
function namesFound({ rule }: Entry, wanted: Wanted, lines: readonly ImportLine[]): Record<string, string> {
  if (Object.keys(rule.variables).length > 0) return rule.variables;
  const found = lines.flatMap(({ name, status, differs }) =>
    name === null || status === "integration" || differs.includes("value") ? [] : [name],
  );
  return Object.fromEntries(
    [...new Set(found)].map((name) => [name, wanted.expressions.get(name) ?? wanted.others ?? ""]),
  );
}

// ---------------------------------------------------------------- one place

type Found = Pick<ImportLine, "name" | "status"> & Partial<ImportLine>;

async function surveySpot(survey: Survey, spot: Spot, wanted: Wanted): Promise<Found[]> {
  const { entry, branch, home } = spot;
  if (home instanceof SyncError) throw home;
  const logins = await loginsOf(survey, spot);
  // Of names that nobody asked for no value is read, where the vendor makes that a question of its own.
  const compare = new Set(wanted.expressions.keys());
  const [seen] = await survey.open(entry.destination).observe([home.target], { contents: true, compare });
  if (seen === undefined) throw new SyncError("internal", "the adapter observed nothing");
  if (!seen.contents)
    throw new SyncError("forbidden", "the destination did not show what the secret holds", {
      next: "Let its credential read the secret.",
    });
  const kept = keptNames(survey.snapshot, home.key, branch);
  const ruled = seen.names.filter(({ name }) => wanted.expressions.has(name) || wanted.others !== null);
  const matches = await matchAll(survey.runtime, ruled, wanted, { logins, entry });
  const told = ruled.flatMap((one) => tell(one, seen, wanted, matches.get(one.name)));
  return [...told.map((one) => ({ ...one, kept: kept.has(one.name ?? "") })), ...absent(entry, seen, wanted)];
}

async function loginsOf({ reads }: Survey, { entry, branch }: Spot): Promise<Map<string, LoginMaterial>> {
  const reading = await reads.source(entry.source).read(branch.neonId, []);
  if (reading === null) throw new SyncError("source_unready", "the branch is gone by now");
  const logins = new Map<string, LoginMaterial>();
  for (const wanted of loginsWanted(entry.rule)) {
    const made = attempt(reading, wanted);
    if (made instanceof SyncError) throw made;
    logins.set(wanted.alias, made);
  }
  return logins;
}

/** What is in our ledger for a branch is ours already. */
function keptNames({ places, bindings, ledger }: Snapshot, key: string, branch: BranchRow): Set<string> {
  const here = new Set(places.filter((place) => place.key === key).map(({ id }) => id));
  const mine = new Set(bindings.filter(({ branchId }) => branchId === branch.id).map(({ id }) => id));
  const ours = ledger.filter(({ placeId, bindingId }) => here.has(placeId) && mine.has(bindingId));
  return new Set(ours.filter(({ written }) => written).map(({ name }) => name));
}

function tell(one: ObservedName, seen: Observation, wanted: Wanted, match: Variant | undefined): Found[] {
  const { name, fingerprint } = one;
  const asked = wanted.expressions.has(name);
  const foreign = one.foreign ?? seen.foreign;
  if (foreign !== null) return [{ name, status: "integration", reason: foreign }];
  if (fingerprint === null) {
    const reason = "nobody can read back what is there";
    return asked ? [{ name, status: "unreadable", reason }] : [];
  }
  if (match === undefined) {
    const reason = "what is there is no form of this branch's login: an older password, or something else";
    return asked ? [{ name, status: "differs", differs: ["value"], reason }] : [];
  }
  const { expression, differs } = match;
  if (!asked && !isTelling(expression)) return [];
  const reason = expression === null ? "a rule has no words for what is there" : "";
  return [{ name, status: differs.length === 0 ? "same" : "differs", differs, expression, reason }];
}

/** Names that the rule says and that are not there; of the usual ones nobody misses any. */
function absent({ rule }: Entry, seen: Observation, wanted: Wanted): Found[] {
  if (Object.keys(rule.variables).length === 0) return [];
  const there = new Set(seen.names.map(({ name }) => name));
  const reason = seen.complete ? "" : "as far as the destination shows its names";
  return [...wanted.expressions.keys()]
    .filter((name) => !there.has(name))
    .map((name) => ({ name, status: "absent", reason }));
}
