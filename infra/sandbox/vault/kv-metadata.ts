/** Metadata of KV version 2: settings of a secret, and the strings that anyone may stamp on it. */
import { absent, badRequest, wrapped } from "./errors.ts";
import {
  isObject,
  type Json,
  type JsonObject,
  type KvMount,
  type KvSecret,
  listKeys,
  newSecret,
} from "./kv-state.ts";
import { duration, seconds, timeText, type VaultAnswer, type VaultRequest } from "./request.ts";

const DONE: VaultAnswer = { data: null };

export function metadata(mount: KvMount, key: string, request: VaultRequest, now: number): VaultAnswer {
  const secret = mount.secrets.get(key);
  switch (request.operation) {
    case "list": {
      const keys = listKeys(mount.secrets.keys(), key);
      if (keys.length === 0) throw absent();
      return { data: { keys } };
    }
    case "read":
      if (secret === undefined) throw absent();
      return { data: metadataJson(secret) };
    case "write": {
      if (key === "") throw badRequest("missing path");
      const settings = metadataSettings(request.body, false);
      if (Object.keys(settings).length === 0) return DONE;
      const made = secret ?? newSecret(now);
      Object.assign(made, settings);
      mount.secrets.set(key, made);
      return DONE;
    }
    case "patch": {
      const settings = metadataSettings(request.body, true);
      if (secret === undefined) throw absent();
      const patch = request.body["custom_metadata"];
      Object.assign(secret, settings);
      if (isObject(patch)) secret.customMetadata = mergedMetadata(secret.customMetadata, patch);
      return DONE;
    }
    case "delete":
      mount.secrets.delete(key);
      return DONE;
  }
}

type Settings = Partial<
  Pick<KvSecret, "maxVersions" | "casRequired" | "deleteAfterSeconds" | "customMetadata">
>;

/** Only the fields that were sent; the mount's config has the same ones. In a patch, custom_metadata is checked here and merged by the caller. */
export function metadataSettings(body: JsonObject, patch: boolean): Settings {
  const { max_versions, cas_required, delete_version_after, custom_metadata } = body;
  const custom = custom_metadata === undefined ? undefined : checkedMetadata(custom_metadata, patch);
  return {
    ...(max_versions === undefined ? {} : { maxVersions: Number(max_versions) }),
    ...(cas_required === undefined ? {} : { casRequired: cas_required === true }),
    ...(delete_version_after === undefined
      ? {}
      : { deleteAfterSeconds: seconds(delete_version_after, "delete_version_after") }),
    ...(custom === undefined || patch ? {} : { customMetadata: custom }),
  };
}

/** POST replaces the whole map, PATCH merges into it and null removes a key. */
function mergedMetadata(now: Record<string, string> | null, patch: JsonObject): Record<string, string> {
  const merged = new Map(Object.entries(now ?? {}));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, String(value));
  }
  return Object.fromEntries(merged);
}

const INVALID = "custom_metadata validation failed";

/** At most 64 keys of 1..128 bytes with values of 1..512; text only, though numbers are turned into text. */
function checkedMetadata(input: Json, patch: boolean): Record<string, string> {
  if (!isObject(input)) throw badRequest('error converting input for field "custom_metadata"');
  const entries = Object.entries(input).filter(([, value]) => !(patch && value === null));
  if (entries.length > 64) {
    throw badRequest(wrapped(`${INVALID}: payload must contain at most 64 keys, provided ${entries.length}`));
  }
  if (entries.some(([, value]) => typeof value === "object" && value !== null)) {
    throw badRequest(`${INVALID}: expected type 'string'`);
  }
  const texts = entries.map(([key, value]): [string, string] => [key, value === null ? "" : String(value)]);
  const errors = texts.flatMap(([key, value]) => {
    const [keyLength, valueLength] = [Buffer.byteLength(key), Buffer.byteLength(value)];
    return [
      ...(keyLength === 0 || keyLength > 128
        ? [`${INVALID}: length of key "${key}" is ${keyLength} but must be 0 < len(key) <= 128`]
        : []),
      ...(valueLength === 0 || valueLength > 512
        ? [`${INVALID}: length of value for key "${key}" is ${valueLength} but must be 0 < len(value) <= 512`]
        : []),
      ...(/\p{Cc}/u.test(value)
        ? [`${INVALID}: value for key "${key}" contains unprintable characters`]
        : []),
    ];
  });
  if (errors.length > 0) throw badRequest(wrapped(...errors));
  return Object.fromEntries(texts);
}

function metadataJson(secret: KvSecret): JsonObject {
  const versions = [...secret.versions].map(([number, version]): [string, JsonObject] => [
    String(number),
    {
      created_time: timeText(version.createdAt),
      deletion_time: timeText(version.deletedAt),
      destroyed: version.destroyed,
    },
  ]);
  return {
    versions: Object.fromEntries(versions),
    current_version: secret.currentVersion,
    oldest_version: secret.oldestVersion,
    created_time: timeText(secret.createdAt),
    updated_time: timeText(secret.updatedAt),
    max_versions: secret.maxVersions,
    cas_required: secret.casRequired,
    delete_version_after: duration(secret.deleteAfterSeconds),
    custom_metadata: secret.customMetadata,
  };
}
