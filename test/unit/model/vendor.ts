/** The far side where values go: four classes of vendor, with requests that come late, get lost or are not answered. */
import { SyncError } from "../../../services/sync/errors.ts";
import type {
  Applied,
  Change,
  Claim,
  Destination,
  Mark,
  Observation,
  Traits,
} from "../../../services/sync/ports.ts";
import { Secret } from "../../../services/sync/secret.ts";
import type { Process } from "./clock.ts";

export const CLASSES = {
  /** As Vault: one secret, values can be read. */
  "atomic readable": {
    values: "readable",
    grain: "atomic",
    createOnly: true,
    compareAndSet: true,
    mark: true,
  },
  /** As AWS without the right to read: the version is all that is seen. */
  "atomic by version": {
    values: "write-only",
    grain: "atomic",
    createOnly: true,
    compareAndSet: true,
    mark: true,
  },
  /** As Vercel: name by name, readable, with a mark, nothing to compare with. */
  "per-name readable": {
    values: "readable",
    grain: "per-name",
    createOnly: true,
    compareAndSet: false,
    mark: true,
  },
  /** As GitHub: versions to the second are all that is ever seen. */
  "write-only": {
    values: "write-only",
    grain: "per-name",
    createOnly: false,
    compareAndSet: false,
    mark: false,
  },
} as const;
export type VendorClass = keyof typeof CLASSES;

export interface VendorRecord {
  readonly value: string;
  readonly version: number;
  readonly mark: Mark | null;
  readonly createdAt: number;
  /** Who made it first; who overwrites a value does not become its maker. */
  readonly maker: "us" | "them";
}

interface Place {
  exists: boolean;
  /** Somebody else wrote the version that is there now. */
  theirs: boolean;
  version: number;
  mark: Mark | null;
  readonly names: Map<string, VendorRecord>;
}

/** One change as it took effect. */
export interface Effect {
  readonly at: number;
  readonly place: string;
  readonly name: string;
  readonly before: VendorRecord | null;
  readonly after: VendorRecord | null;
  /** The push that asked for it; null: somebody else. */
  readonly push: PushTag | null;
  readonly zombie: boolean;
}

/** What the checker knows of the push behind a request. */
export interface PushTag {
  readonly process: string;
  observedAt: number;
  /** Names in its last observation that somebody else has made. */
  readonly foreign: Set<string>;
}

/** What becomes of one request that writes. `lost`: never arrives. `late`: arrives after the client gave up. */
export type VendorFault = "error" | "lost" | "unanswered" | "late";

const GRAIN_MS = 1_000;
/** So long a client waits for an answer. */
const TIMEOUT_MS = 10_000;

export interface VendorOptions {
  readonly kind: VendorClass;
  readonly now: () => number;
  readonly at: (ms: number, run: () => void) => void;
  readonly faultOf: (request: number) => VendorFault | undefined;
  readonly random: () => number;
  readonly fingerprint: (value: Secret) => string;
  readonly onEffect: (effect: Effect) => void;
  /** False: older writers are let in. */
  readonly compares: boolean;
}

export class Vendor {
  readonly traits: Traits;
  readonly #options: VendorOptions;
  readonly #places = new Map<string, Place>();
  #requests = 0;
  #version = 0;

  constructor(options: VendorOptions) {
    this.#options = options;
    this.traits = {
      ...CLASSES[options.kind],
      versionGrainMs: options.kind === "write-only" ? GRAIN_MS : 0,
      inFlight: 8,
      limits: { valueBytes: 10_000, names: null, bundleBytes: null },
      normaliseName: (name) => name,
      refuseName: () => null,
    };
  }

  place(key: string): Place {
    const place = this.#places.get(key) ?? {
      exists: false,
      theirs: false,
      version: 0,
      mark: null,
      names: new Map(),
    };
    this.#places.set(key, place);
    return place;
  }

  /** As somebody else would: makes it, or changes what is there. */
  putForeign(key: string, name: string): void {
    this.#write(key, name, `theirs-${++this.#version}`, null, null, false);
  }

  removeForeign(key: string, name: string): void {
    this.#remove(key, name, null, false);
  }

  /** As `process` sees it; `aborted` says that its work was stopped. */
  open(process: Process, tag: PushTag, aborted: () => boolean): Destination<string> {
    return {
      check: async () => undefined,
      observe: async (targets, { contents }) => {
        await process.pause(10);
        const seen = targets.map((key) => this.#see(key, contents));
        tag.observedAt = this.#options.now();
        for (const key of targets) {
          for (const [name, { maker }] of this.place(key).names) if (maker === "them") tag.foreign.add(name);
        }
        await process.pause(10);
        return seen;
      },
      apply: async (key, changes, claim) => {
        const send = (some: readonly Change[]) => this.#request(process, tag, aborted, key, some, claim);
        if (this.traits.grain === "atomic") return await send(changes);
        const results: Applied[] = [];
        for (const change of changes) results.push(...(await send([change])));
        return results;
      },
    };
  }

  // ---------------------------------------------------------------- a request and its fate

  async #request(
    process: Process,
    tag: PushTag,
    aborted: () => boolean,
    key: string,
    changes: readonly Change[],
    claim: Claim,
  ): Promise<readonly Applied[]> {
    const all = (error: SyncError | null, version: string | null): Applied[] =>
      changes.map(({ name }) => ({ name, version, unsettled: error?.ambiguous ?? false, error }));
    await process.pause(2);
    const { zombie } = process;
    process.zombie = false;
    if (aborted() && !zombie) return all(new SyncError("unavailable", "stopped"), null);

    const { now, at, random } = this.#options;
    const fault = this.#options.faultOf(++this.#requests);
    let outcome: Applied[] | null = null;
    const take = (): void => {
      const refusal = this.#refusal(key, changes, claim);
      if (refusal === null) for (const change of changes) this.#change(key, change, claim, tag, zombie);
      outcome = all(refusal, this.#versionAfter(key, changes[0]?.name ?? ""));
    };
    const arrives = now() + 5 + random() * 40;
    if (fault === undefined || fault === "unanswered") at(arrives, take);
    // Never later than the longest life of a request, which settling waits for.
    if (fault === "late") at(now() + TIMEOUT_MS + random() * 4_500, take);
    if (fault === "error") {
      await process.pause(20);
      return all(new SyncError("unavailable", "refused"), null);
    }
    if (fault !== undefined) {
      await process.pause(TIMEOUT_MS);
      return all(new SyncError("unavailable", "no answer", { ambiguous: true }), null);
    }
    await process.pause(50);
    return outcome ?? all(new SyncError("unavailable", "no answer", { ambiguous: true }), null);
  }

  #refusal(key: string, changes: readonly Change[], claim: Claim): SyncError | null {
    const { createOnly, compareAndSet } = this.traits;
    const place = this.place(key);
    const { observation } = claim;
    if (
      compareAndSet &&
      this.#options.compares &&
      (place.exists !== observation.exists || this.#shownVersion(place) !== observation.version)
    )
      return new SyncError("conflict", "another version");
    // Without the right to read, what somebody else has added would be lost: the adapter does not write.
    if (place.exists && place.theirs && this.#options.kind === "atomic by version")
      return new SyncError("not_owned", "cannot be read");
    for (const change of changes) {
      const there = place.names.has(change.name);
      if (change.op === "put" && createOnly && change.observed === null && !change.owned && there)
        return new SyncError("not_owned", "exists");
      // An update names the record that was seen; GitHub's puts make what is not there.
      if (change.op === "put" && createOnly && change.observed !== null && !there)
        return new SyncError("conflict", "gone");
    }
    return null;
  }

  #change(key: string, change: Change, claim: Claim, tag: PushTag, zombie: boolean): void {
    if (change.op === "delete") this.#remove(key, change.name, tag, zombie);
    else this.#write(key, change.name, change.value.reveal(), claim.mark, tag, zombie);
  }

  // ---------------------------------------------------------------- effects

  #write(
    key: string,
    name: string,
    value: string,
    mark: Mark | null,
    push: PushTag | null,
    zombie: boolean,
  ): void {
    const place = this.place(key);
    const before = place.names.get(name) ?? null;
    const { now } = this.#options;
    const version = this.traits.versionGrainMs > 0 ? Math.floor(now() / GRAIN_MS) : ++this.#version;
    const perName = this.traits.mark && this.traits.grain === "per-name";
    const after: VendorRecord = {
      value,
      version,
      mark: push === null ? (before?.mark ?? null) : perName ? mark : null,
      createdAt: before?.createdAt ?? now(),
      maker: before?.maker ?? (push === null ? "them" : "us"),
    };
    if (!place.exists && push !== null) place.mark = mark;
    place.exists = true;
    place.theirs = push === null;
    place.version = version;
    place.names.set(name, after);
    this.#options.onEffect({ at: now(), place: key, name, before, after, push, zombie });
  }

  #remove(key: string, name: string, push: PushTag | null, zombie: boolean): void {
    const place = this.place(key);
    const before = place.names.get(name);
    if (before === undefined) return;
    place.names.delete(name);
    place.theirs = push === null;
    place.version = ++this.#version;
    this.#options.onEffect({ at: this.#options.now(), place: key, name, before, after: null, push, zombie });
  }

  // ---------------------------------------------------------------- what is seen

  #see(key: string, contents: boolean): Observation {
    const place = this.place(key);
    const atomic = this.traits.grain === "atomic";
    const readable = this.traits.values === "readable";
    const shown = atomic ? contents && readable : true;
    return {
      complete: true,
      contents: shown,
      exists: atomic ? place.exists : true,
      version: this.#shownVersion(place),
      mark: atomic ? place.mark : null,
      foreign: null,
      names: shown
        ? [...place.names].map(([name, record]) => ({
            name,
            fingerprint: readable ? this.#options.fingerprint(new Secret(record.value)) : null,
            version: atomic ? null : String(record.version),
            mark: record.mark,
            foreign: null,
            createdAt: new Date(record.createdAt),
          }))
        : [],
    };
  }

  #shownVersion(place: Place): string | null {
    return this.traits.grain === "atomic" && place.exists ? String(place.version) : null;
  }

  #versionAfter(key: string, name: string): string | null {
    const place = this.place(key);
    if (this.traits.grain === "atomic") return this.#shownVersion(place);
    const record = place.names.get(name);
    return record === undefined ? null : String(record.version);
  }
}
