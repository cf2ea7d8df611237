/** What a branch's rules want, written down: bindings, places, and `wanted` where an input moved. */
import { type BindingRow, raiseWanted, setState } from "../services/store/binding.ts";
import { answered, type Db } from "../services/store/db.ts";
import { formerPlaces } from "../services/store/ledger.ts";
import type { LoginRow } from "../services/store/login.ts";
import { ensurePlaces } from "../services/store/place.ts";
import type { RuleWithDestination } from "../services/store/rule.ts";
import { takeOver } from "../services/store/succession.ts";
import { markDue } from "../services/store/work.ts";
import { SyncError } from "../services/sync/errors.ts";
import { loginsWanted, material } from "../services/sync/material.ts";
import type { LoginMaterial, LoginWanted } from "../services/sync/model.ts";
import { nextFor } from "../services/sync/outcome.ts";
import type { BranchReading } from "../services/sync/ports.ts";
import { type Aim, aim, type BranchView, factsFor, inputs, JUDGED_HERE } from "../services/sync/reconcile.ts";
import { destinationAdapter, type Runtime } from "./runtime.ts";

export interface Meant {
  readonly view: BranchView;
  /** One for each of the entries. */
  readonly bindings: readonly BindingRow[];
  readonly entries: readonly RuleWithDestination[];
  /** Null: no rule asks for a login. */
  readonly reading: BranchReading | null;
  /** The logins that could be made, by `loginKey`. */
  readonly known: ReadonlyMap<string, LoginRow>;
  /** What made the branch due. */
  readonly noticed: readonly string[];
}

export const loginKey = (login: { role: string; database: string }): string =>
  `${login.role}\n${login.database}`;

/** The login, or why it cannot be made. */
export function attempt(reading: BranchReading, login: LoginWanted): LoginMaterial | SyncError {
  try {
    return material(reading, login);
  } catch (thrown) {
    if (thrown instanceof SyncError) return thrown;
    throw thrown;
  }
}

/** A handful of statements, however many rules there are. Resolves with whether there is something to push now. */
export async function want(runtime: Runtime, tx: Db, meant: Meant): Promise<boolean> {
  const wishes: Wish[] = [];
  for (const entry of meant.entries) {
    const binding = meant.bindings.find((one) => one.ruleId === entry.rule.id);
    if (binding === undefined) continue;
    const wish = wishOf(runtime, meant, entry, binding);
    if (wish instanceof SyncError) {
      const reason = { code: wish.code, cause: wish.message, next: nextFor(wish) };
      await setState(tx, [binding.id], "parked", reason);
    } else wishes.push(wish);
  }
  return await raise(runtime, tx, wishes, meant.noticed);
}

/** What one binding wants to have, and where. */
interface Wish {
  /** It is another thing than it has or is about to get. */
  readonly moves: boolean;
  readonly binding: BindingRow;
  readonly aimed: Aim;
  readonly destinationId: string;
  readonly names: readonly string[];
  readonly inputs: string;
  readonly logins: Readonly<Record<string, string>>;
}

function wishOf(
  runtime: Runtime,
  { view, reading, known }: Meant,
  { rule, destination }: RuleWithDestination,
  binding: BindingRow,
): Wish | SyncError {
  const adapter = destinationAdapter(runtime, destination.kind);
  const aimed = aim(rule.definition, view, { adapter, block: destination.block });
  if (aimed instanceof SyncError) return aimed;
  const logins: { alias: string; id: string; generation: number }[] = [];
  for (const login of loginsWanted(rule.definition)) {
    const row = known.get(loginKey(login));
    const problem = row === undefined && reading !== null ? attempt(reading, login) : null;
    if (problem instanceof SyncError) return problem;
    if (row !== undefined) logins.push({ alias: login.alias, id: row.id, generation: row.generation });
  }
  const facts = reading === null ? [] : factsFor(rule.definition, view, reading.branch);
  const text = inputs(rule.revision, aimed.key, logins, facts);
  return {
    moves: binding.inputs !== text || isBack(binding),
    binding,
    aimed,
    destinationId: destination.id,
    names: Object.keys(rule.definition.variables).map((name) => adapter.traits.normaliseName(name)),
    inputs: text,
    logins: Object.fromEntries(logins.map((login) => [login.alias, login.id])),
  };
}

/** It had left, or what it was parked for may have changed without any of its inputs moving. */
function isBack({ leaving, state, code }: BindingRow): boolean {
  if (leaving || state === "removed" || state === "retained") return true;
  return state === "parked" && JUDGED_HERE.has(code ?? "");
}

async function raise(
  runtime: Runtime,
  tx: Db,
  wishes: readonly Wish[],
  noticed: readonly string[],
): Promise<boolean> {
  const placed = await placesFor(runtime, tx, wishes);
  // Also who wants nothing new may inherit: its predecessor may have left only now.
  const { removed, heirs } = await takeOver(tx, placed);
  // A rule that left the file, and whose names have just gone to another, wants nothing any more.
  const raised = placed.filter(
    ({ moves, bindingId }) => (moves || heirs.has(bindingId)) && !removed.has(bindingId),
  );
  if (raised.length === 0) return false;
  const places = [...new Set(raised.map((one) => one.placeId))];
  const [left] = await answered([
    formerPlaces(tx, raised),
    raiseWanted(tx, raised, noticed),
    markDue(tx, "place", places),
  ]);
  await markDue(
    tx,
    "place",
    left.filter((id) => !places.includes(id)),
  );
  return true;
}

type Placed = Wish & { readonly bindingId: string; readonly placeId: string };

async function placesFor(runtime: Runtime, tx: Db, wishes: readonly Wish[]): Promise<Placed[]> {
  const moving = wishes.filter(({ moves }) => moves);
  const placeIds = await ensurePlaces(
    tx,
    moving.map(({ destinationId, aimed: { key, container, target } }) => ({
      destinationId,
      key,
      container,
      target,
    })),
    runtime.settings.sweepEveryMs,
  );
  return wishes.flatMap((wish) => {
    const { moves, binding } = wish;
    const placeId = moves ? placeIds[moving.indexOf(wish)] : binding.placeId;
    return placeId == null ? [] : [{ ...wish, bindingId: binding.id, placeId }];
  });
}
