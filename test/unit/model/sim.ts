/** One run's world: time, Neon, one vendor, our rows, and who watches over the promises. */
import { hash } from "node:crypto";
import type { Fingerprinter } from "../../../services/sync/fingerprint.ts";
import type { Checker } from "./check.ts";
import type { Clock, Process } from "./clock.ts";
import type { Neon } from "./neon.ts";
import type { Lease, State } from "./state.ts";
import type { PushTag, Vendor } from "./vendor.ts";

/** Ways to break a promise on purpose. All of them are off in the real thing. */
export interface Switches {
  /** Whoever has lost a lease goes on as if nothing had been, and what it records counts. */
  readonly noFence?: boolean;
  /** The claim is written down after the vendor has been written to. */
  readonly claimAfterWrite?: boolean;
  /** Neon is read before the destination is observed. */
  readonly readBeforeObserve?: boolean;
  /** Writes do not say which version they were made from. */
  readonly noCompare?: boolean;
  /** What was in doubt is not written again. */
  readonly noSettle?: boolean;
  /** One list without a branch is enough to bury it, and nobody asks for it by itself. */
  readonly trustLists?: boolean;
  /** Nobody looks unless an event says so. */
  readonly noPoll?: boolean;
  /** Nobody compares the vendor with the ledger. */
  readonly noSweep?: boolean;
  /** Every name counts as handed over. */
  readonly adoptAll?: boolean;
  /** Each name is pushed for itself, whatever becomes of the rest of its bundle. */
  readonly noBundle?: boolean;
  /** Nobody logs in before a string is published. */
  readonly noProof?: boolean;
  /** Hints are answered before they are on disk. */
  readonly answerFirst?: boolean;
  /** One destination may keep all workers busy. */
  readonly noCap?: boolean;
  /** Nobody asks whose password it is. */
  readonly noGate?: boolean;
  /** A fingerprint is what it stands for. */
  readonly plainFingerprints?: boolean;
}

export interface Sim {
  readonly clock: Clock;
  readonly neon: Neon;
  readonly vendor: Vendor;
  readonly state: State;
  readonly checker: Checker;
  readonly switches: Switches;
  readonly random: () => number;
  /** There may be something to do. */
  kick(): void;
}

/** Some work under its lease, in a process that may stop at any await. */
export interface Job {
  readonly sim: Sim;
  readonly process: Process;
  readonly lease: Lease;
  readonly tag: PushTag;
  /** The process knows that it has lost the lease. */
  aborted(): boolean;
  /** One transaction as the holder of the lease. Throws `LostLease` if that is somebody else by now. */
  record<T>(body: () => T): Promise<T>;
}

export type Outcome = { readonly dueInMs: number | null } | { readonly error: SyncErrorLike };
type SyncErrorLike = import("../../../services/sync/errors.ts").SyncError;

export class LostLease extends Error {}

/** The defaults of the real thing, with a shorter drift interval. */
export const LEASE_MS = 30_000;
export const SETTLE_MS = 15_000;
export const WATCH_MS = 30_000;
export const REREAD_MS = 120_000;
export const SWEEP_MS = 120_000;

const plain: Fingerprinter = (domain, ...parts) =>
  [domain, ...parts.map((part) => (typeof part === "string" ? part : part.reveal()))].join("|");

/** Equal for equal, and nothing of the value in it: more is not asked of a fingerprint here. */
const opaque: Fingerprinter = (domain, ...parts) => hash("sha1", plain(domain, ...parts));

export const fingerprinter = ({ switches }: Pick<Sim, "switches">): Fingerprinter =>
  switches.plainFingerprints ? plain : opaque;
