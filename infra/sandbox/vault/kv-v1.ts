/** KV version 1: a flat body, no versions, no check-and-set. */
import { absent, badRequest, unsupportedOperation, unsupportedPath } from "./errors.ts";
import { type KvMount, listKeys, newSecret } from "./kv-state.ts";
import type { VaultAnswer, VaultRequest } from "./request.ts";

export function kvV1(mount: KvMount, path: string, request: VaultRequest, now: number): VaultAnswer {
  const { operation, body } = request;
  if (operation === "list") {
    const keys = listKeys(mount.secrets.keys(), path);
    if (keys.length === 0) throw absent();
    return { data: { keys } };
  }
  if (path === "" || path.endsWith("/")) throw unsupportedPath();
  if (operation === "read") {
    const data = mount.secrets.get(path)?.versions.get(1)?.data ?? null;
    if (data === null) throw absent();
    return { data, leaseSeconds: 2_764_800 };
  }
  if (operation === "patch") throw unsupportedOperation();
  if (operation === "delete") {
    mount.secrets.delete(path);
    return { data: null };
  }
  if (Object.keys(body).length === 0) throw badRequest("missing data fields");
  const secret = newSecret(now);
  secret.currentVersion = 1;
  secret.versions.set(1, { data: body, createdAt: now, deletedAt: null, destroyed: false });
  mount.secrets.set(path, secret);
  return { data: null };
}
