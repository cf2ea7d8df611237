/** KV version 2: data, subkeys, metadata, delete, undelete, destroy, config. Behaviour of the kv secrets engine. */
import { absent, badRequest, unsupportedOperation, unsupportedPath, VaultError } from "./errors.ts";
import { metadata, metadataSettings } from "./kv-metadata.ts";
import {
  addVersion,
  isDeleted,
  isObject,
  type Json,
  type JsonObject,
  type KvMount,
  type KvSecret,
  type KvVersion,
  mergePatch,
  newSecret,
} from "./kv-state.ts";
import { duration, timeText, type VaultAnswer, type VaultRequest } from "./request.ts";

const DONE: VaultAnswer = { data: null };

export function kvV2(mount: KvMount, path: string, request: VaultRequest, now: number): VaultAnswer {
  if (path === "config") return config(mount, request);
  const [, area = "", key = ""] = /^([a-z]+)\/(.*)$/s.exec(path) ?? [];
  if (area === "metadata") return metadata(mount, key, request, now);
  if (!["data", "subkeys", "delete", "undelete", "destroy"].includes(area)) throw invalidPath(request);
  if (key === "" || key.endsWith("/")) throw unsupportedPath();
  if (area === "data") return data(mount, key, request, now);
  if (area === "subkeys") return subkeys(mount, key, request, now);
  if (request.operation !== "write") throw unsupportedOperation();
  return onVersions(mount, key, area, request, now);
}

/** Somebody spoke version 1 to a version 2 mount. */
function invalidPath({ operation }: VaultRequest): VaultError {
  const verb = operation === "write" ? "put" : operation === "read" ? "get" : operation;
  const warning =
    "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. " +
    `If using the Vault CLI, use 'vault kv ${verb}' for this operation.`;
  return new VaultError(404, [], { warnings: [warning] });
}

// ---------------------------------------------------------------- data

function data(mount: KvMount, key: string, request: VaultRequest, now: number): VaultAnswer {
  const secret = mount.secrets.get(key);
  switch (request.operation) {
    case "read":
      return readData(secret, request, now);
    case "write":
      return writeData(mount, key, request, now);
    case "patch":
      return patchData(mount, secret, request, now);
    case "delete": {
      const latest = secret?.versions.get(secret.currentVersion);
      if (latest && !latest.destroyed && !isDeleted(latest, now)) latest.deletedAt = now;
      return DONE;
    }
    case "list":
      throw unsupportedOperation();
  }
}

function versionWanted(secret: KvSecret | undefined, query: URLSearchParams): [number, KvVersion] {
  const text = query.get("version") ?? "0";
  if (!/^\d+$/.test(text)) throw badRequest('error converting input for field "version"');
  const number = Number(text) || (secret?.currentVersion ?? 0);
  const version = secret?.versions.get(number);
  if (version === undefined) throw absent();
  return [number, version];
}

function readData(secret: KvSecret | undefined, { query }: VaultRequest, now: number): VaultAnswer {
  const [number, version] = versionWanted(secret, query);
  const metadata = versionJson(number, version, secret);
  if (version.destroyed || isDeleted(version, now)) return { data: { data: null, metadata }, status: 404 };
  return { data: { data: version.data, metadata } };
}

function writeData(mount: KvMount, key: string, { body }: VaultRequest, now: number): VaultAnswer {
  const contents = contentsOf(body);
  const secret = mount.secrets.get(key) ?? newSecret(now);
  checkAndSet(mount, secret, body);
  const version = addVersion(mount, secret, contents, now);
  mount.secrets.set(key, secret);
  return { data: versionJson(secret.currentVersion, version, secret) };
}

function patchData(
  mount: KvMount,
  secret: KvSecret | undefined,
  { body }: VaultRequest,
  now: number,
): VaultAnswer {
  const contents = contentsOf(body);
  if (secret === undefined) throw absent();
  checkAndSet(mount, secret, body);
  const latest = secret.versions.get(secret.currentVersion);
  if (latest === undefined) throw absent();
  if (latest.destroyed || isDeleted(latest, now)) {
    return { data: versionJson(secret.currentVersion, latest, secret), status: 404 };
  }
  const merged = mergePatch(latest.data ?? {}, contents);
  const version = addVersion(mount, secret, isObject(merged) ? merged : {}, now);
  return { data: versionJson(secret.currentVersion, version, secret) };
}

function contentsOf(body: JsonObject): JsonObject {
  const { data: contents } = body;
  if (contents === undefined || contents === null) throw badRequest("no data provided");
  if (!isObject(contents)) throw badRequest('error converting input for field "data"');
  return contents;
}

/** The only word that tells these four apart is the text; the status is always 400. */
function checkAndSet(mount: KvMount, secret: KvSecret, body: JsonObject): void {
  const options = body["options"] ?? {};
  if (!isObject(options)) throw badRequest('error converting input for field "options"');
  const { cas } = options;
  if (cas === undefined) {
    if (mount.config.casRequired || secret.casRequired) {
      throw badRequest("check-and-set parameter required for this call");
    }
    return;
  }
  if (!["number", "string", "boolean"].includes(typeof cas) || !Number.isInteger(Number(cas))) {
    throw badRequest("error parsing check-and-set parameter");
  }
  if (Number(cas) !== secret.currentVersion) {
    throw badRequest("check-and-set parameter did not match the current version");
  }
}

function versionJson(number: number, version: KvVersion, secret: KvSecret | undefined): JsonObject {
  return {
    version: number,
    created_time: timeText(version.createdAt),
    deletion_time: timeText(version.deletedAt),
    destroyed: version.destroyed,
    custom_metadata: secret?.customMetadata ?? null,
  };
}

function subkeys(mount: KvMount, key: string, { operation, query }: VaultRequest, now: number): VaultAnswer {
  if (operation !== "read") throw unsupportedOperation();
  const secret = mount.secrets.get(key);
  const [number, version] = versionWanted(secret, query);
  const metadata = versionJson(number, version, secret);
  if (version.destroyed || isDeleted(version, now)) return { data: { subkeys: null, metadata }, status: 404 };
  const blank = (value: Json): Json =>
    isObject(value)
      ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, blank(inner)]))
      : null;
  return { data: { subkeys: blank(version.data ?? {}), metadata } };
}

// ---------------------------------------------------------------- versions

function onVersions(
  mount: KvMount,
  key: string,
  area: string,
  { body }: VaultRequest,
  now: number,
): VaultAnswer {
  const { versions } = body;
  const list = Array.isArray(versions) ? versions : versions === undefined ? [] : String(versions).split(",");
  const numbers = list.map(Number);
  if (numbers.length === 0) throw badRequest("No version number provided");
  if (numbers.some((number) => !Number.isInteger(number))) {
    throw badRequest('error converting input for field "versions"');
  }
  const secret = mount.secrets.get(key);
  for (const number of numbers) {
    const version = secret?.versions.get(number);
    if (version === undefined || version.destroyed) continue;
    if (area === "undelete") version.deletedAt = null;
    if (area === "delete" && !isDeleted(version, now)) version.deletedAt = now;
    if (area === "destroy") {
      version.destroyed = true;
      version.data = null;
    }
  }
  return DONE;
}

// ---------------------------------------------------------------- config

function config(mount: KvMount, { operation, body }: VaultRequest): VaultAnswer {
  if (operation === "write") {
    const { maxVersions, casRequired, deleteAfterSeconds } = metadataSettings(body, true);
    if (maxVersions !== undefined) mount.config.maxVersions = maxVersions;
    if (casRequired !== undefined) mount.config.casRequired = casRequired;
    if (deleteAfterSeconds !== undefined) mount.config.deleteAfterSeconds = Math.max(0, deleteAfterSeconds);
    return DONE;
  }
  if (operation !== "read") throw unsupportedOperation();
  return {
    data: {
      max_versions: mount.config.maxVersions,
      cas_required: mount.config.casRequired,
      delete_version_after: duration(mount.config.deleteAfterSeconds),
    },
  };
}
