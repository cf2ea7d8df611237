/**
 * The far side of the memory destination: what a vendor would keep, and the ways in which vendors fail.
 * Tests look inside, change things behind the adapter's back, and make it fail.
 */
import { type Code, SyncError } from "../sync/errors.ts";
import type { Mark } from "../sync/ports.ts";

/** How this vendor answers the next matching calls. First match wins. */
export interface MemoryFault {
  /**
   * "error": nothing happens and `code` is the answer. "hang": nothing happens and no answer ever.
   * "die-after-applying": it happens, and no answer says so.
   */
  readonly kind: "error" | "hang" | "die-after-applying";
  readonly code?: Code;
  readonly retryAfterMs?: number;
  /** Only these calls; default all. */
  readonly during?: "observe" | "apply" | "check";
  /** How often; default for ever. */
  readonly times?: number;
}

export interface MemoryRecord {
  readonly value: string;
  readonly version: string;
  readonly createdAt: Date;
  readonly mark: Mark | null;
  /** Set by tests: something else owns it. */
  readonly foreign: string | null;
  /** The claim that wrote it, as AWS keeps a client request token. */
  readonly intent: string | null;
}

/** What is kept at one place. `version` and `mark` of the whole serve atomic destinations. */
export interface MemoryPlace {
  version: string;
  mark: Mark | null;
  foreign: string | null;
  readonly records: Map<string, MemoryRecord>;
}

/** One vendor account. Shared by all destinations of this process whose block names the same store. */
export class MemoryStore {
  /** Calls so far, as "observe container", "apply place", "check place". */
  readonly calls: string[] = [];
  /** Places that do not exist at the vendor, as a deleted project would be. */
  readonly missing = new Set<string>();
  /** Containers of which we are not shown everything. */
  readonly hiding = new Set<string>();
  /** If set, the only credential that is accepted. */
  token: string | null = null;
  /** The vendor's clock, for versions that are timestamps. */
  now: () => number = Date.now;

  readonly #places = new Map<string, MemoryPlace>();
  #faults: { fault: MemoryFault; left: number }[] = [];
  #writes = 0;

  place(place: string): MemoryPlace | undefined {
    return this.#places.get(place);
  }

  /** The values at a place, for assertions. */
  values(place: string): Record<string, string> {
    const records = this.#places.get(place)?.records ?? new Map<string, MemoryRecord>();
    return Object.fromEntries([...records].map(([name, { value }]) => [name, value]));
  }

  /** Writes as somebody else would: without our mark, over whatever is there. */
  putForeign(place: string, name: string, value: string, options: { foreign?: string } = {}): void {
    const before = this.#places.get(place)?.records.get(name);
    const { foreign = null } = options;
    this.write(place, name, { value, mark: before?.mark ?? null, foreign, intent: null }, 0);
  }

  /** Stores one record under a new version and answers that version. Grain 0: every write has its own. */
  write(
    place: string,
    name: string,
    record: Omit<MemoryRecord, "version" | "createdAt">,
    versionGrainMs: number,
  ): string {
    const version = this.#nextVersion(versionGrainMs);
    const at = this.#places.get(place) ?? { version, mark: null, foreign: null, records: new Map() };
    this.#places.set(place, at);
    const createdAt = at.records.get(name)?.createdAt ?? new Date(this.now());
    at.records.set(name, { ...record, version, createdAt });
    at.version = version;
    return version;
  }

  /** Removes one record; a place that becomes empty stays, as a vendor's would. */
  remove(place: string, name: string, versionGrainMs: number): void {
    const at = this.#places.get(place);
    if (at?.records.delete(name) === true) at.version = this.#nextVersion(versionGrainMs);
  }

  /** Removes the whole place. */
  drop(place: string): void {
    this.#places.delete(place);
  }

  fault(fault: MemoryFault): void {
    this.#faults.push({ fault, left: fault.times ?? Number.POSITIVE_INFINITY });
  }

  clearFaults(): void {
    this.#faults = [];
  }

  /** Counts the call, and throws or waits if a fault says so. True: die once it is applied. */
  async enter(during: "observe" | "apply" | "check", where: string, signal: AbortSignal): Promise<boolean> {
    this.calls.push(`${during} ${where}`);
    const match = this.#faults.find(({ fault, left }) => left > 0 && (fault.during ?? during) === during);
    if (match === undefined) return false;
    match.left -= 1;
    const { kind, code = "unavailable", retryAfterMs } = match.fault;
    if (kind === "hang") throw await silence(signal, during !== "apply");
    if (kind === "die-after-applying") return true;
    throw new SyncError(code, `the memory destination was told to answer ${code}`, {
      vendor: "memory",
      operation: during,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }

  #nextVersion(grainMs: number): string {
    this.#writes += 1;
    if (grainMs === 0) return String(this.#writes);
    return new Date(Math.floor(this.now() / grainMs) * grainMs).toISOString();
  }
}

/** The store of that name, made on first use. */
export function memoryStore(name: string): MemoryStore {
  const known = stores.get(name) ?? new MemoryStore();
  stores.set(name, known);
  return known;
}

const stores = new Map<string, MemoryStore>();

const HANG_MS = 50;

/** What a caller sees of a vendor that never answers: its own deadline, or its work being stopped. */
function silence(signal: AbortSignal, harmless: boolean): Promise<SyncError> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve(noAnswer(!harmless));
    };
    const timer = setTimeout(end, HANG_MS);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
}

/** The error of a call that may have been carried out. */
export function noAnswer(ambiguous: boolean): SyncError {
  return new SyncError("unavailable", "the memory destination did not answer", {
    vendor: "memory",
    ambiguous,
    next: "Nothing: it is tried again.",
  });
}
