/**
 * Credentials that lie in a secret store which is a destination as well: `vault:NAME/path#key` and
 * `aws-sm:NAME/secretId#key`, read with the account of the destination NAME by our own clients.
 */
import { SyncError } from "../sync/errors.ts";
import type { CredentialRef, Io, ResolveCredential } from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";
import { AwsCalls } from "./aws-calls.ts";
import { awsSecretsManager } from "./aws-secrets-manager.ts";
import { type Members, parseMembers } from "./json-members.ts";
import { vault } from "./vault.ts";
import { mountVersion } from "./vault-check.ts";
import { kvEngine } from "./vault-kv.ts";
import { VaultSession } from "./vault-login.ts";
import { vaultTransport } from "./vault-transport.ts";

export interface StoredCredential {
  /** Of the destination that it is read from. */
  readonly kind: string;
  readonly destination: string;
  /** Path or secret id. */
  readonly path: string;
  /** Null: the whole text. */
  readonly key: string | null;
}

/** Null: the reference is of another kind. */
export function parseStored({ ref }: CredentialRef): StoredCredential | null {
  const match = /^(vault|aws-sm):([^/#]+)\/([^#]+)(?:#(.+))?$/.exec(ref);
  if (match === null) return null;
  const [, scheme, destination = "", path = "", key = null] = match;
  return { kind: scheme === "vault" ? vault.kind : awsSecretsManager.kind, destination, path, key };
}

/** Reads it now. Throws `unauthenticated` naming the reference if nothing is there, or as the vendor's calls do. */
export async function readStored(
  ref: CredentialRef,
  block: unknown,
  credential: ResolveCredential,
  io: Io,
): Promise<Secret> {
  const stored = parseStored(ref);
  if (stored === null) throw missing(ref);
  const read = stored.kind === vault.kind ? readVault : readAws;
  const found = await read(stored, block, credential, io);
  if (found === null || found.bytes === 0) throw missing(ref);
  return found;
}

async function readVault(
  { path, key }: StoredCredential,
  block: unknown,
  credential: ResolveCredential,
  io: Io,
): Promise<Secret | null> {
  const options = block as Parameters<typeof vault.open>[0];
  const site = { address: options.address, namespace: options.namespace ?? null };
  const session = new VaultSession(site, options.auth, credential, io, vaultTransport(site, io));
  const version = options.kvVersion ?? (await mountVersion(session, options));
  const { members } = await kvEngine(version, options.mount, session).read(path);
  return memberOf(members, key ?? "");
}

async function readAws(
  { path, key }: StoredCredential,
  block: unknown,
  credential: ResolveCredential,
  io: Io,
): Promise<Secret | null> {
  const options = block as Parameters<typeof awsSecretsManager.open>[0];
  const { region, endpoint = null, stsEndpoint = null } = options;
  const calls = new AwsCalls(options, { region, endpoint, stsEndpoint }, credential, io);
  const version = (await calls.describe(path))?.current;
  const text = version == null ? null : await calls.read(path, version);
  if (text === null || key === null) return text;
  return memberOf(parseMembers(text.reveal()) ?? new Map(), key);
}

/** Members are JSON texts; a credential is a string. */
function memberOf(members: Members, key: string): Secret | null {
  const raw = members.get(key);
  const value: unknown = raw === undefined ? null : JSON.parse(raw.reveal());
  return typeof value === "string" ? new Secret(value) : null;
}

const missing = ({ ref }: CredentialRef): SyncError =>
  new SyncError("unauthenticated", `${ref} is not there, or is no text`, {
    next: "Put the credential there, readable for the account of the destination that the reference names.",
  });
