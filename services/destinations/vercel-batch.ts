/** Applies one push to one Vercel target: creates, updates and deletes as batches, and reads what became of each. */
import { asSyncError, SyncError } from "../sync/errors.ts";
import type { Applied, Change, Claim, Delete, ObservedName, Put } from "../sync/ports.ts";
import { parseMark, sameMark } from "./mark.ts";
import { done, failed, failsAll, foreignTo, notTried } from "./results.ts";
import { batchOf, type VercelRow } from "./vercel-client.ts";
import { itemError, nameOf, problemOf, vercelError } from "./vercel-errors.ts";
import { covers, foreignOf, moreOpen, type ResolvedTarget, versionOf } from "./vercel-rows.ts";
import type { Sent, VercelShelf } from "./vercel-shelves.ts";

type How = "create" | "update";

export class VercelBatchWriter {
  readonly #shelf: VercelShelf;
  readonly #target: ResolvedTarget;
  readonly #claim: Claim;
  readonly #ids: WeakMap<ObservedName, string>;
  readonly #results = new Map<string, Applied>();
  /** One more listing at most per push, and only where Vercel left something open. */
  #listing: Promise<readonly VercelRow[]> | null = null;

  /** `ids`: of the records that were observed, so that they need not be listed again. */
  constructor(shelf: VercelShelf, target: ResolvedTarget, claim: Claim, ids: WeakMap<ObservedName, string>) {
    this.#shelf = shelf;
    this.#target = target;
    this.#claim = claim;
    this.#ids = ids;
  }

  /** One result per change, in order. What is wanted is written first; nothing is deleted before it is there. */
  async apply(changes: readonly Change[]): Promise<readonly Applied[]> {
    for (const { name, observed } of changes) {
      if (observed?.foreign != null) this.#set(foreignTo("vercel", name, observed.foreign));
    }
    const allowed = changes.filter(({ name }) => !this.#results.has(name));
    const puts = allowed.filter((change) => change.op === "put");
    await this.#put(puts.filter(isCreate), "create");
    await this.#put(
      puts.filter((put) => !isCreate(put)),
      "update",
    );
    await this.#delete(allowed.filter((change) => change.op === "delete"));
    return changes.map(({ name }) => this.#results.get(name) ?? failed(name, untold(name)));
  }

  /** A definite "no such target" means that a remembered id may have gone stale. */
  get targetMissing(): boolean {
    return [...this.#results.values()].some(({ error }) => error?.code === "target_missing");
  }

  // -------------------------------------------------------------- puts

  async #put(puts: readonly Put[], how: How): Promise<void> {
    const trouble = [...this.#results.values()].find(({ error }) => failsAll(error))?.error;
    if (trouble) return this.#each(puts, ({ name }) => notTried(name, trouble));
    try {
      const ids = how === "update" && this.#shelf.updatesById ? await this.#idsOf(puts) : null;
      await this.#sendAll(ids === null ? puts : puts.filter(({ name }) => ids.has(name)), how, ids);
      // Where records are changed by id, one that is not there can only be created.
      const gone = ids === null ? [] : puts.filter(({ name }) => !ids.has(name));
      await this.#sendAll(gone, "create", null);
      if (how === "create") await this.#reclaim(puts);
    } catch (thrown) {
      const error = asSyncError(thrown);
      const open = puts.filter(({ name }) => !this.#results.has(name));
      this.#each(open, ({ name }) => failed(name, error));
    }
  }

  /**
   * If Vercel refuses a batch as a whole because of single items, the others are sent once more: one bad name
   * fails alone. A refusal that names no item is everybody's.
   */
  async #sendAll(puts: readonly Put[], how: How, ids: ReadonlyMap<string, string> | null): Promise<void> {
    let left = puts;
    while (left.length > 0) {
      const { mark } = this.#claim;
      const sent =
        how === "create"
          ? await this.#shelf.create(this.#target, left, mark)
          : await this.#shelf.update(this.#target, left, mark, ids ?? new Map());
      left = await this.#take(sent, left);
    }
  }

  /** Records what is known of a batch; answers the puts that were refused only for their company. */
  async #take({ operation, response }: Sent, puts: readonly Put[]): Promise<readonly Put[]> {
    const context = { vendor: "vercel", operation };
    const answer = batchOf(response);
    const problem = problemOf(response);
    const refused = response.status < 500 && problem !== null ? [problem] : [];
    for (const each of [...(answer?.failed ?? []), ...refused]) {
      const put = puts.find(({ name }) => name === nameOf(each));
      if (put !== undefined) this.#set(failed(put.name, itemError(each, put.name, response, context)));
    }
    const open = puts.filter(({ name }) => !this.#results.has(name));
    if (response.status >= 200 && response.status < 300) {
      await this.#landed(open, [...(answer?.created ?? []), ...(answer?.updated ?? [])]);
      return [];
    }
    if (open.length < puts.length) return open;
    const error = vercelError(response, context);
    this.#each(open, ({ name }) => failed(name, error));
    return [];
  }

  /** Puts that Vercel says it took. An answer that leaves one out is completed by a listing. */
  async #landed(puts: readonly Put[], rows: readonly VercelRow[]): Promise<void> {
    for (const { name } of puts) {
      const row = rows.find(({ key }) => key === name) ?? (await this.#find(name).catch(() => undefined));
      const version = row === undefined ? null : versionOf(row);
      if (version === null) this.#set({ ...done(name, null), unsettled: true });
      else if (!moreOpen(row?.type, this.#target.type)) this.#set(done(name, version));
      else this.#set({ ...failed(name, keptOpen(name, this.#target.type)), version });
    }
  }

  /**
   * A create that met a record of its name: if that record carries this very mark, it is our own from an
   * attempt whose answer was lost, and is written as ours.
   */
  async #reclaim(puts: readonly Put[]): Promise<void> {
    const ours: Put[] = [];
    for (const put of puts) {
      if (this.#results.get(put.name)?.error?.code !== "not_owned") continue;
      const row = await this.#find(put.name).catch(() => undefined);
      if (row === undefined || foreignOf(row, this.#target) !== null) continue;
      if (sameMark(parseMark(row.comment), this.#claim.mark)) ours.push(put);
    }
    for (const { name } of ours) this.#results.delete(name);
    if (ours.length > 0) await this.#put(ours, "update");
  }

  // -------------------------------------------------------------- deletes

  async #delete(deletes: readonly Delete[]): Promise<void> {
    const trouble = [...this.#results.values()].find(({ error }) => error !== null)?.error;
    if (trouble) return this.#each(deletes, ({ name }) => notTried(name, trouble));
    if (deletes.length === 0) return;
    try {
      const ids = await this.#idsOf(deletes);
      if (ids.size > 0) await this.#shelf.remove([...ids.values()]);
      this.#each(deletes, ({ name }) => done(name, null));
    } catch (thrown) {
      const error = asSyncError(thrown);
      this.#each(deletes, ({ name }) => failed(name, error));
    }
  }

  // -------------------------------------------------------------- helpers

  /** Ids of the records with exactly this target; what does not exist has none. */
  async #idsOf(changes: readonly Change[]): Promise<ReadonlyMap<string, string>> {
    const ids = new Map<string, string>();
    for (const { name, observed } of changes) {
      const known = observed === null ? undefined : this.#ids.get(observed);
      const row = known === undefined ? await this.#find(name) : undefined;
      const id = known ?? (row !== undefined && foreignOf(row, this.#target) === null ? row.id : undefined);
      if (id) ids.set(name, id);
    }
    return ids;
  }

  async #find(name: string): Promise<VercelRow | undefined> {
    this.#listing ??= this.#shelf.list().then(({ rows }) => rows);
    return (await this.#listing).find((row) => row.key === name && covers(row, this.#target));
  }

  #each<T extends Change>(changes: readonly T[], result: (change: T) => Applied): void {
    for (const change of changes) this.#set(result(change));
  }

  #set(result: Applied): void {
    this.#results.set(result.name, result);
  }
}

function isCreate({ observed, owned }: Put): boolean {
  return observed === null && !owned;
}

function keptOpen(name: string, wanted: string): SyncError {
  return new SyncError("policy", `${name}: vercel keeps the value more openly than ${wanted}`, {
    vendor: "vercel",
    names: [name],
    next: `Remove the variable in Vercel, so that it is created anew as ${wanted}, or say another \`type\`.`,
  });
}

function untold(name: string): SyncError {
  return new SyncError("internal", `vercel's answer does not say what became of ${name}`, {
    vendor: "vercel",
    names: [name],
    ambiguous: true,
  });
}
