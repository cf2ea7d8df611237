/** Takes in what a document says: sources, destinations and rules, in one transaction. */
import { createHash } from "node:crypto";
import { and, eq, inArray, isNull, notInArray, sql } from "drizzle-orm";
import type { Rule } from "../sync/model.ts";
import { binding } from "./binding.ts";
import { branch } from "./branch.ts";
import { configurationRow, noteConfiguration } from "./configuration.ts";
import { type Db, withoutDeadlock } from "./db.ts";
import { destination } from "./destination.ts";
import { managedRow } from "./managed.ts";
import { pruneOrphans } from "./prune.ts";
import { rule } from "./rule.ts";
import { source } from "./source.ts";
import { markDue } from "./work.ts";

export interface Declared {
  readonly sources: readonly { name: string; kind: string; identity: string; block: unknown }[];
  readonly destinations: readonly {
    name: string;
    kind: string;
    block: unknown;
    /** Left out or null: nobody else's limits concern it. */
    account?: string | null;
    inFlight: number;
  }[];
  readonly rules: readonly Rule[];
}

/** Any number of our own: two processes that start with one file take turns, and a new master key waits for its own. */
export const TURN = 810_128;

/** How a document is taken in. */
export interface Taking {
  /** As the document says it; null: it says none. A lower one than that of last time is not taken in. */
  readonly revision: number | null;
  /** Webhooks and intervals, to be noted beside it. */
  readonly settings: unknown;
  /** What has been taken in before, by `version`; anything else is refused as moved. */
  readonly expect?: number;
  /** What rules that left have written goes, or stays for good, as each rule says. */
  readonly prune?: boolean;
  /** It comes from somebody who may not while a file manages the installation. */
  readonly unlessManaged?: boolean;
  /** In the same transaction: the audit log, credentials. Not called unless something is taken in. */
  also?(tx: Db): Promise<void>;
}

/** "unchanged": the same was taken in before. "moved": somebody else has taken in something since. */
export type Taken =
  | { readonly outcome: "taken" | "unchanged" | "moved" }
  | { readonly outcome: "old"; readonly revision: number }
  | { readonly outcome: "managed"; readonly file: string };

/**
 * Afterwards the database says what the document says. A source with another project is another source. A
 * rule that left is orphaned, not undone. Whatever changed is made due. With `taking` equal content changes
 * nothing, and what is older than that of last time is refused.
 */
export async function configure(db: Db, declared: Declared, taking?: Taking): Promise<Taken> {
  // Workers of other processes hold and change the same rows, in an order of their own.
  return await withoutDeadlock(
    async () =>
      await db.transaction(async (tx) => {
        await tx.execute(sql`select pg_advisory_xact_lock(${TURN})`);
        const digest = digestOf([declared, taking?.settings ?? null]);
        const refused = taking === undefined ? null : await refuse(tx, digest, taking);
        if (refused !== null) return refused;
        const sources = await takeSources(tx, declared.sources);
        const destinations = await takeDestinations(tx, declared.destinations);
        await takeRules(tx, declared.rules, sources, destinations);
        if (taking?.prune === true) await pruneOrphans(tx);
        if (taking !== undefined) {
          const { revision, settings } = taking;
          await noteConfiguration(tx, { revision, digest, settings });
          await taking.also?.(tx);
        }
        return { outcome: "taken" };
      }),
  );
}

async function refuse(tx: Db, digest: string, taking: Taking): Promise<Taken | null> {
  const { revision, expect, prune } = taking;
  const file = taking.unlessManaged === true ? await managedRow(tx) : undefined;
  if (file !== undefined) return { outcome: "managed", file: file.file };
  const before = await configurationRow(tx);
  if (expect !== undefined && expect !== (before?.version ?? 0)) return { outcome: "moved" };
  if (before === undefined) return null;
  if (before.revision !== null && (revision ?? -1) < before.revision)
    return { outcome: "old", revision: before.revision };
  const same = before.digest === digest && before.revision === revision;
  return same && prune !== true ? { outcome: "unchanged" } : null;
}

/** Of anything that JSON can say; keys in any order. */
export const digestOf = (value: unknown): string =>
  createHash("sha256").update(canonical(value)).digest("base64url");

async function takeSources(tx: Db, declared: Declared["sources"]): Promise<Map<string, string>> {
  const rows = await tx.select().from(source).where(isNull(source.removedAt));
  const ids = new Map<string, string>();
  for (const row of rows) {
    const still = declared.find((one) => one.name === row.name && one.identity === row.identity);
    if (still === undefined) {
      await tx.update(source).set({ removedAt: sql`now()`, dueAt: null }).where(eq(source.id, row.id));
      await leaveBehind(tx, row.id);
      continue;
    }
    ids.set(row.name, row.id);
    await tx.update(source).set({ block: still.block }).where(eq(source.id, row.id));
    await markDue(tx, "source", [row.id]);
  }
  for (const one of declared) {
    if (ids.has(one.name)) continue;
    const [row] = await tx
      .insert(source)
      .values({ ...one, dueAt: sql`now()` })
      .returning({ id: source.id });
    if (row !== undefined) ids.set(one.name, row.id);
  }
  return ids;
}

/** Nobody can tell any more what its branches are: what they wrote stays, for a successor to take over. */
async function leaveBehind(tx: Db, sourceId: string): Promise<void> {
  await tx.execute(sql`
    update branchline.binding n set state = 'retained', since = now(), code = null, cause = null, next = null
    from branchline.branch b where b.id = n.branch_id and b.source_id = ${sourceId} and n.state <> 'removed'`);
}

async function takeDestinations(tx: Db, declared: Declared["destinations"]): Promise<Map<string, string>> {
  await revive(tx, declared);
  const rows = await tx.select().from(destination).where(isNull(destination.removedAt));
  const ids = new Map<string, string>();
  for (const row of rows) {
    const still = declared.find((one) => one.name === row.name && one.kind === row.kind);
    if (still === undefined) {
      await tx.update(destination).set({ removedAt: sql`now()` }).where(eq(destination.id, row.id));
      continue;
    }
    ids.set(row.name, row.id);
    const { block, account = null, inFlight } = still;
    if (!same(row.block, block)) {
      await recheck(tx, row.id);
      await aimAgain(tx, row.id);
    }
    await tx.update(destination).set({ block, account, inFlight }).where(eq(destination.id, row.id));
  }
  for (const one of declared) {
    if (ids.has(one.name)) continue;
    const [row] = await tx.insert(destination).values(one).returning({ id: destination.id });
    if (row !== undefined) ids.set(one.name, row.id);
  }
  return ids;
}

/** One that comes back is the one that it was: what it had written is still its own. */
async function revive(tx: Db, declared: Declared["destinations"]): Promise<void> {
  for (const { name, kind } of declared) {
    await tx.execute(sql`
      update branchline.destination set removed_at = null
      where id = (
        select id from branchline.destination where name = ${name} and kind = ${kind} and removed_at is not null
        order by removed_at desc limit 1
      ) and not exists (select from branchline.destination where name = ${name} and removed_at is null)`);
  }
}

/** Another credential or address: what was parked for the old one is worth another try. */
async function recheck(tx: Db, destinationId: string): Promise<void> {
  const { rows } = await tx.execute<{ id: string }>(
    sql`select id from branchline.place where destination_id = ${destinationId} and code is not null`,
  );
  await markDue(
    tx,
    "place",
    rows.map((row) => row.id),
  );
}

/** Another account: what goes there has other places from now on. */
async function aimAgain(tx: Db, destinationId: string): Promise<void> {
  const rows = await tx
    .selectDistinct({ id: rule.sourceId })
    .from(rule)
    .where(and(eq(rule.destinationId, destinationId), isNull(rule.orphanedAt)));
  await rereadBranches(
    tx,
    rows.map((row) => row.id),
  );
}

async function takeRules(
  tx: Db,
  declared: readonly Rule[],
  sources: ReadonlyMap<string, string>,
  destinations: ReadonlyMap<string, string>,
): Promise<void> {
  const moved = new Set<string>();
  const names = declared.map((one) => one.name);
  const gone = and(isNull(rule.orphanedAt), names.length > 0 ? notInArray(rule.name, names) : undefined);
  const orphaned = await tx
    .update(rule)
    .set({ orphanedAt: sql`now()` })
    .where(gone)
    .returning({ id: rule.id, sourceId: rule.sourceId });
  for (const row of orphaned) moved.add(row.sourceId);
  await tx
    .update(binding)
    .set({ state: "orphaned", since: sql`now()` })
    .where(
      and(
        inArray(
          binding.ruleId,
          orphaned.map((row) => row.id),
        ),
        eq(binding.state, "synced"),
      ),
    );
  const rows = await tx.select().from(rule).where(isNull(rule.orphanedAt));
  for (const definition of declared) {
    const sourceId = sources.get(definition.source);
    const destinationId = destinations.get(definition.destination);
    if (sourceId === undefined || destinationId === undefined) continue;
    const row = rows.find((one) => one.name === definition.name);
    const columns = { sourceId, destinationId, definition };
    if (row === undefined) {
      await tx.insert(rule).values({ name: definition.name, ...columns, revision: 1 });
    } else if (
      !same(row.definition, definition) ||
      row.sourceId !== sourceId ||
      row.destinationId !== destinationId
    ) {
      const revision = sql`${rule.revision} + 1`;
      await tx
        .update(rule)
        .set({ ...columns, revision })
        .where(eq(rule.id, row.id));
      moved.add(row.sourceId);
    } else continue;
    moved.add(sourceId);
  }
  await rereadBranches(tx, [...moved]);
}

/** Rules moved: every branch of these sources is matched anew, and production's passwords are read again. */
async function rereadBranches(tx: Db, sourceIds: readonly string[]): Promise<void> {
  if (sourceIds.length === 0) return;
  const rows = await tx
    .update(branch)
    .set({ readAt: null })
    .where(and(inArray(branch.sourceId, [...sourceIds]), isNull(branch.goneAt)))
    .returning({ id: branch.id });
  await markDue(
    tx,
    "branch",
    rows.map((row) => row.id),
  );
}

/** As JSON, with keys in any order: the database keeps none. */
export function same(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
