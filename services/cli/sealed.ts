/**
 * Credentials that came along with a document: sealed under the master key, in place of the reference. The sealed
 * text stands in the block itself and leaves the database by no answer.
 */
import { randomUUID } from "node:crypto";
import type { Configuration, Path } from "../file/configuration.ts";
import type { Kept } from "../file/kept.ts";
import { credentialsIn } from "../file/load.ts";
import type { InForce } from "../file/posted.ts";
import { same } from "../store/configure.ts";
import { inlineCredential } from "../sync/credential.ts";
import type { PlanPart } from "../sync/document-plan.ts";
import { SyncError } from "../sync/errors.ts";
import type { Fingerprinter } from "../sync/fingerprint.ts";
import { Keyring } from "../sync/keyring.ts";
import type { CredentialRef, ResolveCredential } from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";

const SEALED = "sealed:";
const INLINE = "inline:";
export const CREDENTIAL = "credential";

/**
 * A process that opened the installation's own key and cannot open this was overtaken by `rekey`. Others can: what it
 * was about to do is tried again and is not parked.
 */
function open(keyring: Keyring, { ref }: CredentialRef): Secret {
  return unlessOvertaken(
    () => new Secret(Buffer.from(keyring.unseal(CREDENTIAL, ref.slice(SEALED.length))).toString("utf8")),
  );
}

function unlessOvertaken<T>(use: () => T): T {
  try {
    return use();
  } catch {
    throw new SyncError("unavailable", "the master key of this process does not open what is sealed", {
      next: "If the key was replaced, start this process again with the new BRANCHLINE_MASTER_KEY.",
    });
  }
}

/** Resolves sealed references by the master key and leaves all others to `others`. Throws `unavailable` if it cannot. */
export function sealedOr(masterKey: Uint8Array | Keyring, others: ResolveCredential): ResolveCredential {
  const keyring = Keyring.of(masterKey);
  return (ref) => (ref.ref.startsWith(SEALED) ? open(keyring, ref) : others(ref));
}

type Section = "sources" | "destinations";

/** For one document: finds out what its credentials are, first without and then with sealing them. */
export class Sealing {
  readonly kept: Kept;
  readonly #keyring: Keyring;
  readonly #fingerprint: Fingerprinter;
  readonly #inForce: InForce;
  readonly #marker = new Secret(randomUUID());
  /** By the text that stands for them until they are sealed. */
  readonly #new = new Map<string, Secret>();

  constructor(keyring: Keyring, fingerprint: Fingerprinter, inForce: InForce) {
    this.#keyring = keyring;
    this.#fingerprint = fingerprint;
    this.#inForce = inForce;
    this.kept = {
      marker: this.#marker.reveal(),
      paths: (section, name) =>
        credentialsIn(this.#stored(section, name), [])
          .filter(({ ref }) => ref.startsWith(SEALED))
          .map(({ path }) => path),
    };
  }

  /**
   * The document with what is stored already in its place, and with fingerprints for what is new: the same
   * document gives the same text. What is kept for another host or account is refused.
   */
  settle(configuration: Configuration): { configuration: Configuration; refused: PlanPart[] } {
    const refused: PlanPart[] = [];
    const settleIn = (section: Section) =>
      configuration[section].map((one) => {
        const stored = this.#stored(section, one.name);
        const block = mapReferences(one.block, [], (ref, path) => this.#settle(ref, at(stored, path)));
        const elsewhere = stored !== undefined && !same(whereabouts(block), whereabouts(stored));
        const keeps = credentialsIn(one.block, []).some(({ path }) => this.#isKept(at(one.block, path)));
        if (keeps && elsewhere)
          refused.push({
            section,
            name: one.name,
            at: configuration.positions?.[`${section}.${one.name}`] ?? null,
            action: "refuse",
            reason: "its address or account changes: the credential that was kept has to be given again",
          });
        return { ...one, block };
      });
    const sources = settleIn("sources");
    const destinations = settleIn("destinations");
    const webhooks = mapReferences(configuration.webhooks, [], (ref, path) =>
      this.#settle(ref, at(this.#inForce.webhooks, path)),
    );
    return { configuration: { ...configuration, sources, destinations, webhooks }, refused };
  }

  /** The same document, ready to be stored beside `inForce`, the installation's sealed key. Throws as a keyring. */
  seal(configuration: Configuration, inForce: string): Configuration {
    return mapReferences(configuration, [], (ref) => {
      const secret = this.#new.get(ref.ref);
      if (secret === undefined) return ref;
      const plain = Buffer.from(secret.reveal());
      return {
        ref: SEALED + unlessOvertaken(() => this.#keyring.sealLike(inForce, CREDENTIAL, plain)),
      };
    });
  }

  #settle(ref: CredentialRef, stored: CredentialRef | undefined): CredentialRef {
    const secret = inlineCredential(ref);
    if (secret === undefined) return ref;
    const before = stored?.ref.startsWith(SEALED) === true ? stored : undefined;
    if (this.#isKept(ref) && before !== undefined) return before;
    const print = this.#print(secret);
    if (before !== undefined && this.#print(open(this.#keyring, before)) === print) return before;
    this.#new.set(INLINE + print, secret);
    return { ref: INLINE + print };
  }

  #isKept(ref: CredentialRef | undefined): boolean {
    const secret = ref === undefined ? undefined : inlineCredential(ref);
    return secret !== undefined && this.#print(secret) === this.#print(this.#marker);
  }

  #print(secret: Secret): string {
    return this.#fingerprint("credential", secret);
  }

  #stored(section: string, name: string): unknown {
    const rows = section === "sources" ? this.#inForce.sources : this.#inForce.destinations;
    return rows.find((one) => one.name === name)?.block;
  }
}

/** Everything but credentials, and how fast it goes: a kept credential must not be sent anywhere else. */
const whereabouts = (block: unknown): unknown =>
  mapReferences(block, [], () => ({ ref: "" }), ["maxInFlight", "writeSpacingMs"]);

function at(value: unknown, path: Path): CredentialRef | undefined {
  const found = path.reduce<unknown>(
    (inner, step) =>
      inner !== null && typeof inner === "object" ? (inner as Record<string, unknown>)[step] : undefined,
    value,
  );
  return isReference(found) ? found : undefined;
}

const isReference = (value: unknown): value is CredentialRef =>
  value !== null &&
  typeof value === "object" &&
  "ref" in value &&
  typeof value.ref === "string" &&
  Object.keys(value).length === 1;

/** The same value with every reference replaced; `without` names keys to leave out. */
function mapReferences<T>(
  value: T,
  path: Path,
  change: (ref: CredentialRef, path: Path) => CredentialRef,
  without: readonly string[] = [],
): T {
  if (isReference(value)) return change(value, path) as T;
  if (Array.isArray(value))
    return value.map((item, index) => mapReferences(item, [...path, index], change, without)) as T;
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value)
    .filter(([key]) => !without.includes(key))
    .map(([key, item]) => [key, mapReferences(item, [...path, key], change, without)]);
  return Object.fromEntries(entries) as T;
}

/** Every sealed text in a piece of JSON, opened with the one key and sealed with the other. */
export function resealAll(json: unknown, reseal: (sealed: string) => string): unknown {
  return mapReferences(json, [], ({ ref }) => ({
    ref: ref.startsWith(SEALED) ? SEALED + reseal(ref.slice(SEALED.length)) : ref,
  }));
}
