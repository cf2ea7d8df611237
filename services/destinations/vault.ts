/**
 * HashiCorp Vault and OpenBao: one secret of the key-value engine per place, whose keys are the names.
 * (Vault API docs, secrets engine KV, checked 2026-11.)
 *
 * - Version 2: every write names the version it replaces (`cas`; 0: there is none), so an older value never
 *   replaces a newer one. A soft-deleted secret keeps its version number. There is no idempotency token: a
 *   write whose answer was lost is read back.
 * - Custom metadata holds the mark, merged with what others put there, written after the first version: only
 *   who won the first write stamps it, and a key that has metadata but no version is not overwritten.
 * - Deleting names the version that was seen, and is soft unless the file says `deleteForever`.
 * - Version 1 has no versions, no `cas` and no metadata. Its observations have no version and no mark, and its
 *   writes are `unsettled`: somebody else's may have gone under, or ours.
 */
import { z } from "zod";
import { credentialRef } from "../sync/credential.ts";
import { SyncError } from "../sync/errors.ts";
import type {
  Applied,
  Change,
  Claim,
  Destination,
  DestinationAdapter,
  Io,
  Observation,
  ResolveCredential,
  Traits,
} from "../sync/ports.ts";
import { bytesOf, observedNames, refuseKey } from "./json-members.ts";
import { origin } from "./origin.ts";
import { invalidTarget, parseTarget, privateNetwork } from "./settings.ts";
import { applyToKv } from "./vault-apply.ts";
import { checkVault, mountVersion } from "./vault-check.ts";
import { type KvEngine, type KvState, kvEngine } from "./vault-kv.ts";
import { VaultSession } from "./vault-login.ts";
import { refusePath } from "./vault-paths.ts";
import { vaultTransport } from "./vault-transport.ts";

const plainPath = z
  .string()
  .regex(/^[\w-]+(\.?[\w-]+)*(\/[\w-]+(\.?[\w-]+)*)*$/, "expected names of letters, digits, `_`, `-`, `.`");
const role = z.string().min(1).max(512);

function jwtLogin(mount: string) {
  return z.strictObject({ role, jwt: credentialRef, mount: plainPath.default(mount) });
}

const block = z
  .strictObject({
    address: origin.meta({ description: "https://host:port of Vault or OpenBao." }),
    mount: plainPath.default("secret"),
    kvVersion: z
      .union([z.literal(1), z.literal(2)])
      .optional()
      .meta({ description: "Version of the mount. Without it Vault is asked, once." }),
    namespace: plainPath.optional(),
    auth: z.union([
      z.strictObject({ token: credentialRef }),
      z.strictObject({
        approle: z.strictObject({
          roleId: credentialRef,
          secretId: credentialRef,
          mount: plainPath.default("approle"),
          wrapped: z
            .boolean()
            .default(false)
            .meta({ description: "The secret id is given as a response-wrapping token." }),
        }),
      }),
      z.strictObject({ kubernetes: jwtLogin("kubernetes") }),
      z.strictObject({ jwt: jwtLogin("jwt") }),
    ]),
    caFile: z
      .string()
      .startsWith("/")
      .optional()
      .meta({ description: "PEM certificates to trust instead of the system's." }),
    deleteForever: z
      .boolean()
      .default(false)
      .meta({ description: "Remove every version and the metadata with the last name." }),
    privateNetwork,
  })
  .meta({ description: "One mount of one Vault." });

const target = z.strictObject({
  path: z.string().min(1).meta({ description: "Path of the secret below the mount." }),
});

export type VaultBlock = z.output<typeof block>;

export interface VaultTarget {
  readonly address: string;
  readonly namespace: string | null;
  readonly mount: string;
  /** As meant; encoded only where it enters a URL. */
  readonly path: string;
}

/** The default `max_entry_size` of Vault's integrated storage; Consul takes half of it. */
const ENTRY_BYTES = 1024 * 1024;

const traits: Traits = {
  values: "readable",
  grain: "atomic",
  createOnly: true,
  compareAndSet: true,
  mark: true,
  versionGrainMs: 0,
  inFlight: 16,
  // What one value may have at most so that its name and the JSON around it still fit.
  limits: { valueBytes: ENTRY_BYTES - 4096, names: null, bundleBytes: ENTRY_BYTES },
  normaliseName: (name) => name,
  refuseName: refuseKey,
};

export const vault: DestinationAdapter<VaultBlock, VaultTarget> = {
  kind: "vault",
  traits,
  block,
  target,
  parseTarget: parse,
  place: placeOf,
  container: placeOf,
  within: ({ address, namespace, mount }, where) =>
    where.address === address && where.namespace === (namespace ?? null) && where.mount === mount,
  exposure: () => null,
  // What there is an operator has set (rate limit quotas), and says so with a 429.
  limits: ({ address, namespace = "", mount }) => ({
    account: ["vault", address, namespace, mount].join(" "),
    limits: [],
  }),
  open: (options, credential, io) => new Vault(options, credential, io),
};

function parse(options: VaultBlock, input: unknown): VaultTarget {
  const { path } = parseTarget("Vault", target, input);
  const refusal = refusePath(path);
  if (refusal !== null) throw invalidTarget("Vault", `path: it may not hold ${refusal}`);
  const { address, namespace, mount } = options;
  return { address, namespace: namespace ?? null, mount, path };
}

function placeOf({ address, namespace, mount, path }: VaultTarget): string {
  return ["vault", address, namespace ?? "", mount, path].join("|");
}

class Vault implements Destination<VaultTarget> {
  readonly #options: VaultBlock;
  readonly #io: Io;
  readonly #session: VaultSession;
  /** What this piece of work has read, by path and version: a version never changes. */
  readonly #read = new Map<string, KvState>();

  constructor(options: VaultBlock, credential: ResolveCredential, io: Io) {
    const site = { address: options.address, namespace: options.namespace ?? null };
    this.#options = options;
    this.#io = io;
    this.#session = new VaultSession(site, options.auth, credential, io, vaultTransport(site, io));
  }

  check(where: VaultTarget): Promise<void> {
    return checkVault(this.#session, this.#options, where.path);
  }

  /** One read for each target: nothing of Vault lists values. */
  async observe(targets: readonly VaultTarget[]): Promise<readonly Observation[]> {
    const engine = await this.#engine();
    const seen: Observation[] = [];
    for (const { path } of targets) {
      const state = await engine.read(path);
      this.#read.set(`${path} ${state.version}`, state);
      seen.push(this.#observation(state));
    }
    return seen;
  }

  async apply(where: VaultTarget, changes: readonly Change[], claim: Claim): Promise<readonly Applied[]> {
    for (const change of changes) if (change.op === "put") refuseLong(change.name, change.value.bytes);
    const { path } = where;
    const engine = await this.#engine();
    const { version } = claim.observation;
    const read = engine.versioned ? this.#read.get(`${path} ${version}`) : undefined;
    return applyToKv({ engine, path, read, forever: this.#options.deleteForever }, changes, claim);
  }

  #observation({ state, version, members, mark }: KvState): Observation {
    const shown = version === null ? null : String(version);
    return {
      complete: true,
      contents: true,
      exists: state !== "absent",
      version: shown,
      mark,
      foreign: null,
      names: observedNames(members, shown, this.#io),
      used: { bytes: bytesOf(members) },
    };
  }

  async #engine(): Promise<KvEngine> {
    const { mount, kvVersion } = this.#options;
    return kvEngine(kvVersion ?? (await mountVersion(this.#session, this.#options)), mount, this.#session);
  }
}

function refuseLong(name: string, bytes: number): void {
  const { valueBytes } = traits.limits;
  if (bytes <= valueBytes) return;
  throw new SyncError("invalid_secret", `${name} has ${bytes} bytes, Vault takes ${valueBytes}`, {
    vendor: "vault",
    names: [name],
    next: "Choose a shorter form.",
  });
}
