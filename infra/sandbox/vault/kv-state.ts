/** One KV mount in memory, and the arithmetic of versions as the kv secrets engine does it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface KvVersion {
  /** Null once destroyed. */
  data: JsonObject | null;
  readonly createdAt: number;
  /** May lie ahead (`delete_version_after`). */
  deletedAt: number | null;
  destroyed: boolean;
}

export interface KvSecret {
  readonly versions: Map<number, KvVersion>;
  currentVersion: number;
  /** 0 until versions begin to be pruned. */
  oldestVersion: number;
  createdAt: number;
  updatedAt: number;
  maxVersions: number;
  casRequired: boolean;
  deleteAfterSeconds: number;
  customMetadata: Record<string, string> | null;
}

export interface KvMount {
  readonly name: string;
  readonly version: 1 | 2;
  readonly accessor: string;
  /** v2: secrets; v1 keeps its values as version 1 of each. */
  readonly secrets: Map<string, KvSecret>;
  readonly config: { maxVersions: number; casRequired: boolean; deleteAfterSeconds: number };
}

export function newMount(name: string, version: 1 | 2): KvMount {
  return {
    name,
    version,
    accessor: `kv_${Buffer.from(name).toString("hex").padEnd(8, "0").slice(0, 8)}`,
    secrets: new Map(),
    config: { maxVersions: 0, casRequired: false, deleteAfterSeconds: 0 },
  };
}

export function newSecret(now: number): KvSecret {
  return {
    versions: new Map(),
    currentVersion: 0,
    oldestVersion: 0,
    createdAt: now,
    updatedAt: now,
    maxVersions: 0,
    casRequired: false,
    deleteAfterSeconds: 0,
    customMetadata: null,
  };
}

const DEFAULT_VERSIONS = 10;

/** Adds the next version and forgets those beyond `max_versions` (the larger of secret's and mount's, else 10). */
export function addVersion(mount: KvMount, secret: KvSecret, data: JsonObject, now: number): KvVersion {
  const lifetimes = [secret.deleteAfterSeconds, mount.config.deleteAfterSeconds].filter(
    (seconds) => seconds > 0,
  );
  const version: KvVersion = {
    data,
    createdAt: now,
    deletedAt: lifetimes.length === 0 ? null : now + Math.min(...lifetimes) * 1000,
    destroyed: false,
  };
  if (secret.currentVersion === 0) secret.createdAt = now;
  secret.currentVersion += 1;
  secret.updatedAt = now;
  secret.versions.set(secret.currentVersion, version);
  const keep = Math.max(secret.maxVersions, mount.config.maxVersions) || DEFAULT_VERSIONS;
  if (secret.currentVersion - secret.oldestVersion >= keep) {
    secret.oldestVersion = secret.currentVersion - keep + 1;
    for (const number of secret.versions.keys()) {
      if (number < secret.oldestVersion) secret.versions.delete(number);
    }
  }
  return version;
}

/** Deleted now, whenever that was decided. */
export const isDeleted = (version: KvVersion, now: number): boolean =>
  version.deletedAt !== null && version.deletedAt <= now;

/** RFC 7396: null removes, objects merge, everything else replaces. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const merged: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Names one level below a folder, folders with a slash at the end, sorted; what LIST shows. */
export function listKeys(paths: Iterable<string>, folder: string): string[] {
  const prefix = folder === "" || folder.endsWith("/") ? folder : `${folder}/`;
  const names = new Set<string>();
  for (const path of paths) {
    if (!path.startsWith(prefix)) continue;
    const rest = path.slice(prefix.length);
    const slash = rest.indexOf("/");
    names.add(slash === -1 ? rest : rest.slice(0, slash + 1));
  }
  return [...names].sort((a, b) => (a < b ? -1 : 1));
}
