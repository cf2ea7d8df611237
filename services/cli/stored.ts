/** Credentials that are read from secret stores: before they are needed, and anew every minute. */
import { readFileSync } from "node:fs";
import { parseStored, readStored } from "../destinations/stored-credentials.ts";
import { credentialsIn } from "../file/load.ts";
import { createIo } from "../http.ts";
import type { Logger } from "../log.ts";
import { asSyncError, SyncError } from "../sync/errors.ts";
import type { CredentialRef, ResolveCredential } from "../sync/ports.ts";
import type { Secret } from "../sync/secret.ts";

/** What names credentials, and the accounts to read them with. */
export interface Blocks {
  readonly sources: readonly { readonly block: unknown }[];
  readonly destinations: readonly { readonly name: string; readonly kind: string; readonly block: unknown }[];
  readonly webhooks: unknown;
}

const REFRESH_MS = 60_000;
const TIMEOUT_MS = 10_000;

export class StoredCredentials {
  readonly #others: ResolveCredential;
  readonly #log: Logger;
  readonly #known = new Map<string, Secret>();

  /** `others` resolves what the stores themselves are opened with: no store is opened from another. */
  constructor(others: ResolveCredential, log: Logger) {
    this.#others = others;
    this.#log = log;
  }

  readonly resolve: ResolveCredential = (ref) => {
    if (parseStored(ref) === null) return this.#others(ref);
    const found = this.#known.get(ref.ref);
    if (found !== undefined) return found;
    throw new SyncError("unauthenticated", `${ref.ref} could not be read so far`, {
      next: "Look into the log for the reason; it is read again every minute.",
    });
  };

  /** Reads all that the blocks name. What cannot be read is logged, and stays what it was. */
  async refresh({ sources, destinations, webhooks }: Blocks): Promise<void> {
    const named = credentialsIn([sources, destinations, webhooks], []);
    const refs = new Set(named.filter((ref) => parseStored(ref) !== null).map(({ ref }) => ref));
    await Promise.all([...refs].map(async (ref) => await this.#read({ ref }, destinations)));
  }

  /** Until it is stopped. */
  keep(blocks: () => Promise<Blocks>): () => void {
    const timer = setInterval(() => {
      blocks()
        .then(async (now) => await this.refresh(now))
        .catch((err: unknown) => this.#log.warn({ err }, "stored credentials were not read again"));
    }, REFRESH_MS);
    timer.unref();
    return () => clearInterval(timer);
  }

  async #read(ref: CredentialRef, destinations: Blocks["destinations"]): Promise<void> {
    const stored = parseStored(ref);
    const from = destinations.find(({ name, kind }) => name === stored?.destination && kind === stored.kind);
    try {
      if (from === undefined) {
        throw new SyncError("unauthenticated", `${ref.ref} names no destination of its kind`);
      }
      const { privateNetwork = false, caFile } = from.block as { privateNetwork?: boolean; caFile?: string };
      const io = createIo({
        signal: AbortSignal.timeout(TIMEOUT_MS),
        fingerprint: () => "",
        privateNetwork,
        ...(caFile === undefined ? {} : { ca: readFileSync(caFile, "utf8") }),
      });
      this.#known.set(ref.ref, await readStored(ref, from.block, this.#others, io));
    } catch (thrown) {
      const { code, message, next } = asSyncError(thrown);
      this.#log.warn({ code, message, next, ref: ref.ref }, "a stored credential cannot be read");
    }
  }
}
