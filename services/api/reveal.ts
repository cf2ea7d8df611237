/** What opens a branch, read from Neon now: find the branch, decide, choose the login, read it, note it, answer. */

import type { AuditDetails } from "../store/audit.ts";
import { recordAudit } from "../store/audit.ts";
import { branchByNameOrDefault } from "../store/branch.ts";
import type { Db } from "../store/db.ts";
import { rulesOf } from "../store/rule.ts";
import { liveSources, type SourceRow } from "../store/source.ts";
import { among, meansBranch } from "../store/visible.ts";
import { SyncError } from "../sync/errors.ts";
import type { Fingerprinter } from "../sync/fingerprint.ts";
import { FORMS, renderForm } from "../sync/forms.ts";
import { loginsWanted, material } from "../sync/material.ts";
import {
  type ConnectionOptions,
  DEFAULT_CONNECTION,
  type LoginMaterial,
  type LoginWanted,
} from "../sync/model.ts";
import type { BranchReading, Source } from "../sync/ports.ts";
import { expandPreset, PRESETS } from "../sync/presets.ts";
import { DEFAULT_ALIAS, parseVariable, renderVariable } from "../sync/variables.ts";
import { chooseLogin, missing, suggest, unclear } from "./choice.ts";
import type { Commits } from "./commit.ts";
import type { Caller } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import { admitBranch, admitLogins, type Note } from "./reveal-gate.ts";
import type { Connection, LoginRequest, Reveal, Variables, VariablesRequest } from "./reveal-port.ts";

export interface RevealOptions {
  readonly db: Db;
  /** Opens a source for one request; every read of it goes to Neon. */
  readonly open: (row: SourceRow, signal: AbortSignal) => Source;
  readonly commits: Commits;
  readonly fingerprint: Fingerprinter;
}

/** Of one request, all calls to Neon together. */
const PATIENCE_MS = 25_000;
const DEFAULT_PRESET = "vercel";

export function createReveal({ db, open, commits, fingerprint }: RevealOptions): Reveal {
  const find = async (request: LoginRequest, caller: Caller, details: AuditDetails): Promise<Found> => {
    const row = await sourceFor(db, request.source, caller);
    const source = open(row, AbortSignal.timeout(PATIENCE_MS));
    const reading = await findBranch(db, row, source, request.branch, caller);
    const object = `source/${row.name}/branch/${reading.branch.name}`;
    const note: Note = async (action, more) => {
      const { principal, requestId, sourceAddress } = caller;
      const entry = { actor: principal.name, action, object, requestId, sourceAddress };
      await recordAudit(db, { ...entry, details: { neonId: reading.branch.id, ...details, ...more } });
    };
    await admitBranch(reading, caller, note);
    return { row, source, reading, note };
  };
  /** The logins, if the caller may have them, and what should be known of them. */
  const read = async (found: Found, wanted: readonly LoginWanted[], caller: Caller) => {
    const logins = await readLogins(found, wanted);
    const { source, reading, note } = found;
    const shown = { source, reading, logins: logins.values(), fingerprint };
    return { logins, warning: await admitLogins(shown, caller, note) };
  };

  return {
    connection: async (request, caller) =>
      await inWords(async (): Promise<Connection> => {
        const { pooled } = request;
        const form = formFor(request.form);
        const found = await find(request, caller, { pooled, form });
        const { role, database } = chooseLogin(found.reading, request);
        const { logins, warning } = await read(found, [{ alias: DEFAULT_ALIAS, role, database }], caller);
        const login = logins.get(DEFAULT_ALIAS);
        if (login === undefined) throw new ApiProblem("internal", "");
        const value = renderForm(form, login, DEFAULT_CONNECTION, pooled ? "pooled" : "direct");
        await found.note("connection.reveal", { role, database });
        return { value, branch: found.reading.branch.name, role, database, warning };
      }),

    variables: async (request, caller) =>
      await inWords(async (): Promise<Variables> => {
        const set = await variablesFor(db, request, caller);
        if (request.commit !== null)
          await commits(await sourceFor(db, request.source, caller), request.commit, caller);
        const found = await find(request, caller, set.details);
        const wanted = set.logins ?? [{ alias: DEFAULT_ALIAS, ...chooseLogin(found.reading, request) }];
        const { logins, warning } = await read(found, wanted, caller);
        const variables = Object.entries(set.variables).map(([name, text]) => {
          const expression = parseVariable(text);
          const secret = expression.kind === "login" && expression.form.secret;
          return { name, value: renderVariable(expression, logins, set.connection), secret };
        });
        const roles = [...new Set(wanted.map((login) => login.role))].join(", ");
        await found.note("variables.reveal", { roles, names: Object.keys(set.variables).join(", ") });
        return { branch: found.reading.branch.name, variables, warning };
      }),
  };
}

interface Found {
  readonly row: SourceRow;
  readonly source: Source;
  /** Without passwords. */
  readonly reading: BranchReading;
  readonly note: Note;
}

async function sourceFor(db: Db, asked: string, { principal }: Caller): Promise<SourceRow> {
  const sources = principal.limits?.sources ?? null;
  const rows = (await liveSources(db)).filter(({ name }) => among(sources, name));
  const row = rows.find(({ id }) => id === asked) ?? rows.find(({ name }) => name === asked);
  if (row !== undefined) return row;
  const names = rows.map(({ name }) => name);
  throw missing("source", "there is no such source", asked, names);
}

/**
 * Neon's list decides which branch a name means. What we know already only spares that list: it counts if
 * Neon, asked for that very branch, still gives it this name (names are unique), or still calls it the default.
 */
async function findBranch(
  db: Db,
  row: SourceRow,
  source: Source,
  asked: string | null,
  caller: Caller,
): Promise<BranchReading> {
  const globs = caller.principal.limits?.branches ?? null;
  const isMeant = ({ branch }: Pick<BranchReading, "branch">) =>
    asked === null ? branch.default : branch.name === asked;
  const isVisible = ({ name }: { name: string }) => meansBranch(globs, name);
  const known = await branchByNameOrDefault(db, row.id, asked);
  const guess = known === undefined ? null : await source.read(known.neonId, []);
  if (guess !== null && isMeant(guess) && isVisible(guess.branch)) return guess;

  const listed = (await source.branches()).filter(isVisible);
  const meant =
    listed.find((branch) => isMeant({ branch })) ?? listed.find(({ id }) => asked !== null && id === asked);
  const reading = meant === undefined ? null : await source.read(meant.id, []);
  // Renamed between the two: it is judged by the name that it has now.
  if (reading !== null && isVisible(reading.branch)) return reading;
  const { revealDefault } = caller.principal;
  const shown = listed.filter((branch) => revealDefault || !(branch.default || branch.protected));
  const names = shown.map(({ name }) => name);
  if (asked === null && globs === null)
    throw new ApiProblem("source_unready", "The source has no default branch right now.");
  throw missing("branch", "there is no such branch", asked ?? "", names);
}

async function readLogins(
  { source, reading }: Found,
  wanted: readonly LoginWanted[],
): Promise<ReadonlyMap<string, LoginMaterial>> {
  const roles = [...new Set(wanted.map((login) => login.role))];
  const whole = await source.read(reading.branch.id, roles);
  if (whole === null) throw new ApiProblem("not_found", "The branch was deleted just now.");
  return new Map(wanted.map((login) => [login.alias, material(whole, login)]));
}

function formFor(asked: string | null): string {
  const form = asked ?? "url";
  if (FORMS.has(form)) return form;
  throw unclear("form", "there is no such form", suggest(form, [...FORMS.keys()]));
}

interface VariableSet {
  readonly variables: Readonly<Record<string, string>>;
  /** Null: one login, chosen on the branch. */
  readonly logins: readonly LoginWanted[] | null;
  readonly connection: ConnectionOptions;
  readonly details: AuditDetails;
}

async function variablesFor(db: Db, request: VariablesRequest, caller: Caller): Promise<VariableSet> {
  const row = await sourceFor(db, request.source, caller);
  if (request.rule !== null) {
    const destinations = caller.principal.limits?.destinations ?? null;
    const rules = (await rulesOf(db, row.id)).flatMap(({ rule, destination }) =>
      rule.orphanedAt === null && among(destinations, destination.name) ? [rule] : [],
    );
    const rule = rules.find(({ name }) => name === request.rule);
    if (rule === undefined) {
      const names = rules.map(({ name }) => name);
      throw missing("rule", "there is no such rule of this source", request.rule, names);
    }
    const { variables, connection } = rule.definition;
    return { variables, connection, logins: loginsWanted(rule.definition), details: { rule: rule.name } };
  }
  const name = request.preset ?? DEFAULT_PRESET;
  if (!PRESETS.has(name)) {
    throw unclear("preset", "there is no such preset", suggest(name, [...PRESETS.keys()]));
  }
  const entries = expandPreset(name, projectOf(row)).map((entry) => [entry.name, entry.expression]);
  const variables: Record<string, string> = Object.fromEntries(entries);
  return { variables, logins: null, connection: DEFAULT_CONNECTION, details: { preset: name } };
}

function projectOf({ block }: SourceRow): string | null {
  const known = typeof block === "object" && block !== null && "project" in block ? block.project : null;
  return typeof known === "string" ? known : null;
}

/** Neon's refusals in the API's words. Messages of a SyncError are ours and hold no value. */
async function inWords<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof SyncError) || thrown.code === "unavailable" || thrown.code === "internal")
      throw thrown;
    const code = UNREADY.has(thrown.code) ? "source_unready" : "source_failed";
    const next = thrown.next === undefined ? "" : ` ${thrown.next}`;
    throw new ApiProblem(code, `Neon: ${thrown.message}.${next}`, { members: { code: thrown.code } });
  }
}

const UNREADY: ReadonlySet<string> = new Set(["source_unready", "invalid_secret", "invalid_target"]);
