/**
 * The reference destination: keeps values in this process. It is the template that a new adapter starts
 * from and the double that the core's tests use, so it plays every class of vendor by its options:
 * readable or write-only, atomic or per name, with or without create-only, compare-and-set and a mark.
 *
 * An adapter opens with its vendor's facts. Those of this one: no limits to speak of, values are readable
 * unless told otherwise, versions are exact unless a grain is given.
 */
import { z } from "zod";
import { credentialRef } from "../sync/credential.ts";
import { asSyncError, SyncError } from "../sync/errors.ts";
import {
  type Applied,
  type Change,
  type Claim,
  type Destination,
  type DestinationAdapter,
  EXPOSURES,
  type Io,
  type Observation,
  type ObservedName,
  type Put,
  type ResolveCredential,
  type Traits,
} from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";
import {
  type MemoryPlace,
  type MemoryRecord,
  type MemoryStore,
  memoryStore,
  noAnswer,
} from "./memory-store.ts";
import { parseTarget } from "./settings.ts";

export interface MemoryOptions {
  readonly values?: "readable" | "write-only";
  readonly grain?: "atomic" | "per-name";
  readonly createOnly?: boolean;
  readonly compareAndSet?: boolean;
  readonly mark?: boolean;
  readonly versionGrainMs?: number;
  /** Names are spelt in capitals, however they are sent. */
  readonly capitals?: boolean;
}

const block = z.strictObject({
  store: z.string().min(1).meta({ description: "Destinations with the same store share what they hold." }),
  token: credentialRef.optional(),
});
export type MemoryBlock = z.output<typeof block>;

const target = z.strictObject({
  environment: z.string().min(1),
  group: z.string().min(1).default("default").meta({ description: "What one listing covers." }),
});
/** A parsed target knows its account too, so that `place` can name it. */
export type MemoryTarget = z.output<typeof target> & { readonly store: string };

/** A memory destination of the given class. Without options: readable, per name, everything supported. */
export function createMemoryDestination(
  options: MemoryOptions = {},
): DestinationAdapter<MemoryBlock, MemoryTarget> {
  const traits = traitsOf(options);
  return {
    kind: "memory",
    traits,
    block,
    target,
    parseTarget: (settings, input) => ({ ...parseTarget("memory", target, input), store: settings.store }),
    place: placeOf,
    container: ({ store, group }) => `memory:${store}/${group}`,
    within: ({ store }, parsed) => parsed.store === store,
    exposure: ({ environment }) => EXPOSURES.find((exposure) => exposure === environment) ?? null,
    open: (settings, credential, io) => new MemoryDestination(traits, settings, credential, io),
  };
}

/** The one that branchline.yaml means by `memory`. */
export const memory = createMemoryDestination();

function placeOf({ store, group, environment }: MemoryTarget): string {
  return `memory:${store}/${group}/${environment}`;
}

function traitsOf(options: MemoryOptions): Traits {
  return {
    values: options.values ?? "readable",
    grain: options.grain ?? "per-name",
    createOnly: options.createOnly ?? true,
    compareAndSet: options.compareAndSet ?? true,
    mark: options.mark ?? true,
    versionGrainMs: options.versionGrainMs ?? 0,
    inFlight: 8,
    limits: { valueBytes: 64 * 1024, names: 1000, bundleBytes: null },
    normaliseName: (name) => (options.capitals === true ? name.toUpperCase() : name),
    refuseName: (name) =>
      /^[A-Za-z_]\w*$/.test(name) ? null : "may hold only letters, digits and _, and no digit first",
  };
}

class MemoryDestination implements Destination<MemoryTarget> {
  readonly #traits: Traits;
  readonly #store: MemoryStore;
  readonly #token: string | null;
  readonly #io: Io;

  constructor(traits: Traits, settings: MemoryBlock, credential: ResolveCredential, io: Io) {
    this.#traits = traits;
    this.#store = memoryStore(settings.store);
    this.#token = settings.token === undefined ? null : credential(settings.token).reveal();
    this.#io = io;
  }

  async check(target: MemoryTarget): Promise<void> {
    await this.#call("check", placeOf(target));
    this.#requirePlace(target);
  }

  async observe(
    targets: readonly MemoryTarget[],
    options: { contents: boolean },
  ): Promise<readonly Observation[]> {
    const group = targets[0]?.group ?? "";
    await this.#call("observe", group); // one listing for all of them
    return targets.map((target) => {
      this.#requirePlace(target);
      return this.#see(this.#store.place(placeOf(target)), group, options.contents);
    });
  }

  async apply(target: MemoryTarget, changes: readonly Change[], claim: Claim): Promise<readonly Applied[]> {
    const place = placeOf(target);
    if (this.#traits.grain === "atomic") return await this.#applyWhole(place, target, changes, claim);
    const results: Applied[] = [];
    for (const change of changes) results.push(await this.#applyOne(place, target, change, claim));
    return results;
  }

  // -------------------------------------------------------------- per name: one call per change

  async #applyOne(place: string, target: MemoryTarget, change: Change, claim: Claim): Promise<Applied> {
    try {
      const dies = await this.#call("apply", place);
      this.#requirePlace(target);
      const version = this.#change(place, change, claim);
      if (dies) throw noAnswer(true);
      return { name: change.name, version, unsettled: false, error: null };
    } catch (thrown) {
      const error = asSyncError(thrown);
      return { name: change.name, version: null, unsettled: error.ambiguous, error };
    }
  }

  #change(place: string, change: Change, claim: Claim): string | null {
    const there = this.#store.place(place)?.records.get(change.name);
    if (change.op === "delete") {
      this.#store.remove(place, change.name, this.#traits.versionGrainMs);
      return null;
    }
    refuse(change, this.#traits);
    if (repeated(there, change, claim)) return there?.version ?? null;
    if (this.#traits.createOnly && change.observed === null && !change.owned && there !== undefined) {
      throw new SyncError("not_owned", "exists already and was not there a moment ago", {
        vendor: "memory",
        names: [change.name],
        next: "Adopt the name or choose another.",
      });
    }
    if (this.#traits.compareAndSet && change.observed !== null) {
      requireVersion(there?.version ?? null, change.observed.version, [change.name]);
    }
    return this.#write(place, change, claim);
  }

  // -------------------------------------------------------------- atomic: one call for all changes

  async #applyWhole(
    place: string,
    target: MemoryTarget,
    changes: readonly Change[],
    claim: Claim,
  ): Promise<readonly Applied[]> {
    let error: SyncError | null = null;
    try {
      const dies = await this.#call("apply", place);
      this.#requirePlace(target);
      this.#changeWhole(place, changes, claim);
      if (dies) error = noAnswer(true);
    } catch (thrown) {
      error = asSyncError(thrown);
      if (!error.ambiguous) throw error; // nothing was written
    }
    const version = error === null ? (this.#store.place(place)?.version ?? null) : null;
    return changes.map(({ name }) => ({ name, version, unsettled: error !== null, error }));
  }

  #changeWhole(place: string, changes: readonly Change[], claim: Claim): void {
    const there = this.#store.place(place);
    const puts = changes.filter((change) => change.op === "put");
    for (const put of puts) refuse(put, this.#traits);
    if (puts.length > 0 && puts.every((put) => repeated(there?.records.get(put.name), put, claim))) return;
    if (this.#traits.compareAndSet) {
      const names = changes.map(({ name }) => name);
      requireVersion(there?.version ?? null, claim.observation.version, names);
    }
    for (const change of changes) {
      if (change.op === "put") this.#write(place, change, claim);
      else this.#store.remove(place, change.name, this.#traits.versionGrainMs);
    }
    const now = this.#store.place(place);
    if (now !== undefined && there === undefined && this.#traits.mark) now.mark = claim.mark;
  }

  // -------------------------------------------------------------- both

  #write(place: string, put: Put, claim: Claim): string {
    const mark = this.#traits.mark && this.#traits.grain === "per-name" ? claim.mark : null;
    const record = { value: put.value.reveal(), mark, foreign: null, intent: claim.intent };
    return this.#store.write(place, put.name, record, this.#traits.versionGrainMs);
  }

  #see(at: MemoryPlace | undefined, group: string, contents: boolean): Observation {
    const atomic = this.#traits.grain === "atomic";
    const shown = contents || !atomic;
    return {
      complete: !this.#store.hiding.has(group),
      contents: shown,
      exists: atomic ? at !== undefined : true,
      version: atomic ? (at?.version ?? null) : null,
      mark: atomic ? (at?.mark ?? null) : null,
      foreign: at?.foreign ?? null,
      names: shown ? [...(at?.records ?? [])].map(([name, record]) => this.#seeName(name, record)) : [],
    };
  }

  #seeName(name: string, record: MemoryRecord): ObservedName {
    const readable = this.#traits.values === "readable";
    return {
      name,
      fingerprint: readable ? this.#io.fingerprint(new Secret(record.value)) : null,
      version: this.#traits.grain === "atomic" ? null : record.version,
      mark: record.mark,
      foreign: record.foreign,
      createdAt: record.createdAt,
    };
  }

  async #call(during: "observe" | "apply" | "check", where: string): Promise<boolean> {
    if (this.#io.signal.aborted) throw noAnswer(false);
    const dies = await this.#store.enter(during, where, this.#io.signal);
    if (this.#store.token !== null && this.#store.token !== this.#token) {
      throw new SyncError("unauthenticated", "memory does not accept the credential", {
        vendor: "memory",
        operation: during,
        next: "Replace the credential.",
      });
    }
    return dies;
  }

  #requirePlace(target: MemoryTarget): void {
    if (!this.#store.missing.has(placeOf(target))) return;
    throw new SyncError("target_missing", `memory has no environment ${target.environment}`, {
      vendor: "memory",
      next: "Create it or correct the target.",
    });
  }
}

/** The same claim wrote exactly this before: there is nothing left to do. */
function repeated(there: MemoryRecord | undefined, put: Put, claim: Claim): boolean {
  return there?.intent === claim.intent && there.value === put.value.reveal();
}

function refuse(put: Put, traits: Traits): void {
  const words =
    traits.refuseName(put.name) ??
    (put.value.bytes > traits.limits.valueBytes ? `is longer than ${traits.limits.valueBytes} bytes` : null);
  if (words === null) return;
  throw new SyncError("invalid_secret", `${put.name} ${words}`, { vendor: "memory", names: [put.name] });
}

function requireVersion(now: string | null, seen: string | null, names: readonly string[]): void {
  if (now === seen) return;
  throw new SyncError("conflict", "changed since it was observed", {
    vendor: "memory",
    names,
    next: "Nothing: it is observed again.",
  });
}
