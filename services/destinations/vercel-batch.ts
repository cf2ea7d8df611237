/** Applies one push to one Vercel target: creates, updates and deletes as batches, and reads what became of each. */
import { asSyncError, SyncError } from "../sync/errors.ts";
import type { Applied, Change, Claim, Delete, ObservedName, Put } from "../sync/ports.ts";
import { parseMark, sameMark } from "./mark.ts";
import { done, failed, failsAll, foreignTo, notTried } from "./results.ts";
import { batchOf, type VercelRemoval, type VercelRow } from "./vercel-client.ts";
import { isAbout, itemError, problemOf, type VercelProblem, vercelError } from "./vercel-errors.ts";
import { covers, foreignOf, moreOpen, type ResolvedTarget, versionOf } from "./vercel-rows.ts";
import type { Sent, VercelShelf } from "./vercel-shelves.ts";

type How = "create" | "update";

/** What the answer to a batch says that was taken, at least in part. */
interface Told {
  readonly rows: readonly VercelRow[];
  /** It cannot be read, or refuses something without saying what. */
  readonly doubtful: boolean;
  /** Of a name that was not written. */
  refusalOf(name: string): SyncError;
}

export class VercelBatchWriter {
  readonly #shelf: VercelShelf;
  readonly #target: ResolvedTarget;
  readonly #claim: Claim;
  readonly #ids: WeakMap<ObservedName, string>;
  readonly #results = new Map<string, Applied>();
  /** Made only where Vercel left something open, and no older than the last request that changed something. */
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
      this.#listing = null;
      left = await this.#take(sent, left, ids);
    }
  }

  /** Records what is known of a batch; answers the puts that were refused only for their company. */
  async #take(
    { operation, response }: Sent,
    puts: readonly Put[],
    ids: ReadonlyMap<string, string> | null,
  ): Promise<readonly Put[]> {
    const context = { vendor: "vercel", operation };
    const answer = batchOf(response);
    const problem = problemOf(response);
    const refused = response.status < 500 && problem !== null ? [problem] : [];
    const nameless: VercelProblem[] = [];
    for (const each of [...(answer?.failed ?? []), ...refused]) {
      const put = puts.find((one) => isAbout(each, one.name, ids?.get(one.name) ?? this.#idOf(one)));
      if (put === undefined) nameless.push(each);
      else this.#set(failed(put.name, itemError(each, put.name, response, context)));
    }
    const open = puts.filter(({ name }) => !this.#results.has(name));
    if (response.status >= 200 && response.status < 300) {
      const [refusal] = nameless;
      await this.#landed(open, {
        rows: [...(answer?.created ?? []), ...(answer?.updated ?? [])],
        doubtful: answer === null || refusal !== undefined,
        refusalOf: (name) => (refusal ? itemError(refusal, name, response, context) : untold(name)),
      });
      return [];
    }
    if (open.length < puts.length) return open;
    const error = vercelError(response, context);
    this.#each(open, ({ name }) => failed(name, error));
    return [];
  }

  /** Puts of a batch that Vercel took, as a whole or in part. An answer that leaves one out is completed by a listing. */
  async #landed(puts: readonly Put[], { rows, doubtful, refusalOf }: Told): Promise<void> {
    for (const put of puts) {
      const { name } = put;
      const told = rows.find(({ key }) => key === name);
      const row = told ?? (await this.#find(name).catch(() => undefined));
      const version = row === undefined ? null : versionOf(row);
      const there =
        told !== undefined || (row === undefined ? !doubtful : this.#isWritten(row, put, doubtful));
      if (!there) this.#set({ ...failed(name, refusalOf(name)), unsettled: true });
      else if (version === null) this.#set({ ...done(name, null), unsettled: true });
      else if (!moreOpen(row?.type, this.#target.type)) this.#set(done(name, version));
      else this.#set({ ...failed(name, keptOpen(name, this.#target.type)), version });
    }
  }

  /** That a record is listed says nothing of what was to be written over it, unless it has moved on since it was seen. */
  #isWritten(row: VercelRow, { observed }: Put, doubtful: boolean): boolean {
    if (observed !== null) return versionOf(row) !== observed.version;
    return !doubtful || sameMark(parseMark(row.comment), this.#claim.mark);
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
      const removal = await this.#shelf.remove([...ids.values()]);
      this.#listing = null;
      for (const { name } of deletes) this.#set(await this.#removed(name, ids.get(name), removal));
    } catch (thrown) {
      const error = asSyncError(thrown);
      this.#each(deletes, ({ name }) => failed(name, error));
    }
  }

  /** What Vercel does not confirm is gone if it is not listed any more; it may have been gone before. */
  async #removed(name: string, id: string | undefined, removal: VercelRemoval): Promise<Applied> {
    if (id === undefined || removal.ids.includes(id)) return done(name, null);
    const rows = await this.#list().catch(() => null);
    if (rows?.every((row) => row.id !== id) === true) return done(name, null);
    return { ...failed(name, removal.refusalOf(name, id) ?? untold(name)), unsettled: true };
  }

  // -------------------------------------------------------------- helpers

  /** Ids of the records with exactly this target; what does not exist has none. */
  async #idsOf(changes: readonly Change[]): Promise<ReadonlyMap<string, string>> {
    const ids = new Map<string, string>();
    for (const { name, observed } of changes) {
      const known = this.#idOf({ observed });
      const row = known === undefined ? await this.#find(name) : undefined;
      const id = known ?? (row !== undefined && foreignOf(row, this.#target) === null ? row.id : undefined);
      if (id) ids.set(name, id);
    }
    return ids;
  }

  #idOf({ observed }: Pick<Change, "observed">): string | undefined {
    return observed === null ? undefined : this.#ids.get(observed);
  }

  async #find(name: string): Promise<VercelRow | undefined> {
    return (await this.#list()).find((row) => row.key === name && covers(row, this.#target));
  }

  async #list(): Promise<readonly VercelRow[]> {
    this.#listing ??= this.#shelf.list().then(({ rows }) => rows);
    return await this.#listing;
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
