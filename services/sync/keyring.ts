/** The master key, and the one before it while it is being replaced. */
import { SyncError } from "./errors.ts";
import { seal, unseal } from "./seal.ts";

/** What the installation's own key is sealed for: whichever master key opens that is the one in force. */
export const FINGERPRINT_KEY = "fingerprint key";

/** Opens with any of its keys; seals with the one that is in force. */
export class Keyring {
  #keys: readonly Uint8Array[];
  readonly #reread: () => readonly Uint8Array[];

  /** `keys`: the newest first. `reread`: asked when none of them opens, where a key may be replaced while we run. */
  constructor(keys: readonly Uint8Array[], reread: () => readonly Uint8Array[] = () => []) {
    this.#keys = keys;
    this.#reread = reread;
  }

  static of(key: Uint8Array | Keyring): Keyring {
    return key instanceof Keyring ? key : new Keyring([key]);
  }

  /** Throws `unauthenticated` if none of the keys opens it. */
  unseal(purpose: string, sealed: string): Uint8Array {
    return unseal(this.#keyFor(purpose, sealed), purpose, sealed);
  }

  /** Before there is anything to go by. */
  sealFirst(purpose: string, plain: Uint8Array): string {
    return seal(this.#first(), purpose, plain);
  }

  /** With the key that `inForce`, the installation's sealed key, is sealed with. Throws as `unseal`. */
  sealLike(inForce: string, purpose: string, plain: Uint8Array): string {
    return seal(this.#keyFor(FINGERPRINT_KEY, inForce), purpose, plain);
  }

  #keyFor(purpose: string, sealed: string): Uint8Array {
    const found = this.#keys.find((key) => opens(key, purpose, sealed));
    if (found !== undefined) return found;
    const reread = this.#reread();
    const now = reread.find((key) => opens(key, purpose, sealed));
    if (now !== undefined) this.#keys = [...reread, ...this.#keys];
    // It throws, and says what to do.
    if (now === undefined) unseal(this.#first(), purpose, sealed);
    return now ?? this.#first();
  }

  #first(): Uint8Array {
    const [first] = this.#keys;
    if (first === undefined) throw new SyncError("internal", "a keyring without a key");
    return first;
  }
}

export function opens(key: Uint8Array, purpose: string, sealed: string): boolean {
  try {
    unseal(key, purpose, sealed);
    return true;
  } catch {
    return false;
  }
}
