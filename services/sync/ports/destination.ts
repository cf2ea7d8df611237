/** The contract of a destination. The suite in test/conformance is its specification. */
import type { z } from "zod";
import type { SyncError } from "../errors.ts";
import type { AccountLimits } from "../limits.ts";
import type { Secret } from "../secret.ts";
import type { Fingerprint, IdentifyCredential, Io, ResolveCredential } from "./io.ts";

/** How much harm a reader of the target could do with a production login. */
export const EXPOSURES = ["production", "staging", "preview", "development"] as const;
export type Exposure = (typeof EXPOSURES)[number];

/** What the planner, the linter and the conformance suite must know about a vendor. Data, no code paths. */
export interface Traits {
  /** "readable": observe gives fingerprints. "write-only": only versions. "by-type": depends on the record. */
  readonly values: "readable" | "write-only" | "by-type";
  /** "atomic": all names of a place change in one write, under one version. "per-name": one by one. */
  readonly grain: "atomic" | "per-name";
  /** The vendor can refuse to overwrite on first write. */
  readonly createOnly: boolean;
  /** An older writer loses: put carries the observed version and is refused when it moved. */
  readonly compareAndSet: boolean;
  /** There is room for an ownership mark at the vendor. */
  readonly mark: boolean;
  /** Two writes within this many milliseconds may leave the same version. 0: versions are exact. */
  readonly versionGrainMs: number;
  /** At most this many pushes at once per destination. */
  readonly inFlight: number;
  readonly limits: {
    readonly valueBytes: number;
    /** Names per place (or per container, if the vendor counts there); null: no limit known. */
    readonly names: number | null;
    /** All values of one place together; null: no limit known. */
    readonly bundleBytes: number | null;
  };
  /** Two spellings that the vendor takes for the same name give the same string. */
  normaliseName(name: string): string;
  /** Why the vendor refuses this name, in words, or null. */
  refuseName(name: string): string | null;
}

/** Who made a thing at the vendor, as far as the vendor has room to say. Never a hash of a value. */
export interface Mark {
  readonly installation: string;
  readonly rule: string;
  readonly branch: string;
}

export interface ObservedName {
  /** As normalised by the traits. */
  readonly name: string;
  /** Of the value, if it could be read. */
  readonly fingerprint: Fingerprint | null;
  /** Changes whenever the value changes; null if the vendor shows none. */
  readonly version: string | null;
  /** The mark found on this very name (Vercel's comment), null if there is none or no room. */
  readonly mark: Mark | null;
  /** Set when something else owns it (an integration, a rotation): its name in words. */
  readonly foreign: string | null;
  /** When the vendor says it was made; decides whether an unrecorded claim is ours where no mark fits. */
  readonly createdAt?: Date | null;
}

/** What one target looks like now. Absent is absent; anything that could not be seen is said. */
export interface Observation {
  /** False if names may exist that we were not shown. Absence then proves nothing. */
  readonly complete: boolean;
  /** False: contents were not read (AWS by version alone); `names` is then empty and says nothing. */
  readonly contents: boolean;
  /** Atomic vendors: the secret itself exists, in whatever state. Per-name vendors: true. */
  readonly exists: boolean;
  /** Atomic vendors: version of the whole secret, for compare-and-set. Null if absent or per-name. */
  readonly version: string | null;
  /** Atomic vendors: mark on the secret itself. */
  readonly mark: Mark | null;
  /** Atomic vendors: it waits for its deletion, shows nothing, and the first step of a write brings back what it held. */
  readonly revives?: boolean;
  /** Atomic vendors: why the secret as a whole is not to be touched (rotation enabled), in words. */
  readonly foreign: string | null;
  readonly names: readonly ObservedName[];
  /** What consumers name it by where that is not what the rule says: an ARN. Null: not yet there. */
  readonly reference?: string | null;
  /** How many names the vendor takes here, where that is another number than the traits have. */
  readonly room?: number;
  /** What counts against the vendor's limits already, where `names` does not tell. */
  readonly used?: {
    /** Names where the vendor counts them: all of an environment, whichever branch they are for. */
    readonly names?: number;
    /** Bytes of the whole secret. */
    readonly bytes?: number;
  };
}

export interface Put {
  readonly op: "put";
  readonly name: string;
  readonly value: Secret;
  readonly fingerprint: Fingerprint;
  /** What was seen of this name, for compare-and-set; null means: not there, create only. */
  readonly observed: ObservedName | null;
  /** The observation could not show this name but the ledger has it: write without create-only. */
  readonly owned: boolean;
}

export interface Delete {
  readonly op: "delete";
  readonly name: string;
  readonly observed: ObservedName | null;
}

export type Change = Put | Delete;

/** What was written to our own disk before the first write. */
export interface Claim {
  /** Id of the push, kept over its repeats. */
  readonly intent: string;
  /** Random, stored with the claim, new whenever the desired values are new: AWS's ClientRequestToken. */
  readonly token: string;
  readonly mark: Mark;
  /** The observation that the plan was made from: compare-and-set refers to it. */
  readonly observation: Observation;
}

/** What became of one change. `error` set: not applied, or not known to be. */
export interface Applied {
  readonly name: string;
  /** The vendor's version after the write, as it will be observed; null if the vendor shows none. */
  readonly version: string | null;
  /** True: the write may be overtaken or may not have landed as told. The place becomes unsettled. */
  readonly unsettled: boolean;
  readonly error: SyncError | null;
  /** As of an observation; of what was just made. */
  readonly reference?: string;
}

/**
 * One vendor. Knows its calls and nothing else: no diff, no ownership, no policy, no retry.
 *
 * To add one: copy `memory.ts`, add a line to `index.ts`, add a 20-line conformance test.
 */
export interface DestinationAdapter<Block = unknown, Target = unknown> {
  /** Key in branchline.yaml and in the database. Never renamed. */
  readonly kind: string;
  readonly traits: Traits;
  /** What the file may say about a destination of this kind; credentials as CredentialRef. */
  readonly block: z.ZodType<Block>;
  /** What a rule may say as its target, before templates are filled in; for the JSON Schema. */
  readonly target: z.ZodType;
  /** Throws `invalid_target`; the message says which field and what was expected. */
  parseTarget(block: Block, target: unknown): Target;
  /** The same place always gives the same string, whatever the spelling. Includes host and account. */
  place(target: Target): string;
  /** What one listing covers: all targets with the same container are observed together. */
  container(target: Target): string;
  /**
   * Whether a target that was parsed with an earlier block still lies where this one leads. If not, calls with
   * this block would meet something else under the target's name. Left out: whatever the block says.
   */
  within?(block: Block, target: Target): boolean;
  /** Derived from the vendor's own environments, else null: the rule must declare it. */
  exposure(target: Target): Exposure | null;
  /** Which account's rate limits the calls count against. Left out: it has none, and nobody waits. */
  limits?(block: Block, identify: IdentifyCredential): AccountLimits;
  /** Cheap and synchronous; contacts nobody. */
  open(block: Block, credential: ResolveCredential, io: Io): Destination<Target>;
}

export interface ObserveOptions {
  readonly contents: boolean;
  /** Names that somebody hands over: their values may be read although nobody marked them as ours. */
  readonly compare?: ReadonlySet<string>;
  /** Nothing there is ours yet, so it may have to be made: what would then be asked next may be asked beside. */
  readonly first?: boolean;
}

/** An adapter with its credential, for the duration of one push, sweep or check. */
export interface Destination<Target = unknown> {
  /**
   * Right account, credential works, target exists. Changes nothing. Throws `wrong_account`,
   * `unauthenticated`, `forbidden`, `target_missing`, or what any call may throw.
   */
  check(target: Target): Promise<void>;
  /**
   * For a plan that would create names: throws `target_missing` if the vendor would refuse that as far as it tells
   * without a write. Left out: `check` and `observe` say it all.
   */
  foretell?(target: Target): Promise<void>;
  /**
   * One observation per target, in order. All targets are of one container. Absent is absent; a
   * failure throws and never looks like absence. `contents: false` allows an atomic vendor to give
   * the version alone if that is cheaper.
   */
  observe(targets: readonly Target[], options: ObserveOptions): Promise<readonly Observation[]>;
  /**
   * Applies all changes to one target. One result per change, in order. Never deletes and creates
   * where it could update. Throws only if nothing was written; a failure in the middle is in the results.
   * Deleting what is gone already counts as done. Putting the same claim twice is harmless.
   */
  apply(target: Target, changes: readonly Change[], claim: Claim): Promise<readonly Applied[]>;
}
