/** What can be known before anything is written: the token, its namespace, the mount, the capabilities. */
import { z } from "zod";
import { decodeJson } from "../http.ts";
import { SyncError } from "../sync/errors.ts";
import { Secret } from "../sync/secret.ts";
import { vaultError } from "./vault-errors.ts";
import type { VaultSession } from "./vault-login.ts";
import { encodePath } from "./vault-paths.ts";

export interface VaultMount {
  readonly address: string;
  readonly namespace?: string | undefined;
  readonly mount: string;
  readonly kvVersion?: 1 | 2 | undefined;
}

/** Throws `unauthenticated`, `wrong_account`, `target_missing`, `invalid_target` or `forbidden`. Writes nothing. */
export async function checkVault(session: VaultSession, options: VaultMount, path: string): Promise<void> {
  const { namespace } = await session.lookup();
  const expected = options.namespace ?? "";
  // A token of a parent namespace may work in its children, never the other way round.
  if (namespace !== undefined && namespace !== "" && !`${expected}/`.startsWith(`${namespace}/`)) {
    throw new SyncError(
      "wrong_account",
      `expected namespace ${expected === "" ? "root" : expected}, credential belongs to ${namespace.replace(/[^\w./-]/g, "")}`,
      { vendor: "vault", operation: "GET auth/token/lookup-self" },
    );
  }
  const actual = await askMount(session, options.mount);
  if (actual !== null && options.kvVersion !== undefined && actual !== options.kvVersion) {
    throw new SyncError(
      "invalid_target",
      `the mount is of version ${actual}, the destination says ${options.kvVersion}`,
      {
        vendor: "vault",
        operation: MOUNTS,
        next: "Correct kvVersion, or leave it out.",
      },
    );
  }
  await checkCapabilities(session, options.mount, options.kvVersion ?? actual ?? 2, path);
}

/**
 * Version of the mount, asked once per process: a write of version 2 to a mount of version 1 lands as a
 * secret of another name. Where Vault does not tell, 2.
 */
export async function mountVersion(session: VaultSession, options: VaultMount): Promise<1 | 2> {
  const key = JSON.stringify([options.address, options.namespace, options.mount]);
  const known = versions.get(key);
  if (known !== undefined) return known;
  const asked = await askMount(session, options.mount);
  if (asked === null) return 2;
  if (versions.size < 1_000) versions.set(key, asked);
  return asked;
}

const versions = new Map<string, 1 | 2>();

const MOUNTS = "GET sys/internal/ui/mounts/{mount}";
const mountAnswer = z.object({
  data: z.object({ type: z.string(), options: z.object({ version: z.string().optional() }).nullish() }),
});

/**
 * Null if Vault does not tell. What its own clients use to find out, open to every token with some access to
 * the mount; the API guide calls it internal, so nothing depends on it where `kvVersion` is given.
 */
async function askMount(session: VaultSession, mount: string): Promise<1 | 2 | null> {
  const path = `sys/internal/ui/mounts/${encodePath(mount)}`;
  const answer = await session.call({ method: "GET", path, operation: MOUNTS });
  if ([400, 403, 404, 405].includes(answer.status)) return null;
  if (answer.status !== 200) throw vaultError(answer, MOUNTS, false);
  const { data } = decodeJson(answer.response, mountAnswer, { vendor: "vault", operation: MOUNTS });
  if (data.type !== "kv" && data.type !== "generic") {
    throw new SyncError("target_missing", "the mount is no key-value engine", {
      vendor: "vault",
      operation: MOUNTS,
      next: "Name a mount of type kv.",
    });
  }
  return data.options?.version === "2" ? 2 : 1;
}

const capabilityAnswer = z.object({ data: z.record(z.string(), z.unknown()) });
const CAPABILITIES = "POST sys/capabilities-self";

/** Finds a policy that is too narrow while there is still nothing half done. Silent where Vault does not tell. */
async function checkCapabilities(
  session: VaultSession,
  mount: string,
  version: 1 | 2,
  path: string,
): Promise<void> {
  const data = version === 2 ? `${mount}/data/${path}` : `${mount}/${path}`;
  const metadata = `${mount}/metadata/${path}`;
  const body = new Secret(JSON.stringify({ paths: version === 2 ? [data, metadata] : [data] }));
  const answer = await session.call({
    method: "POST",
    path: "sys/capabilities-self",
    operation: CAPABILITIES,
    body,
  });
  const parsed = capabilityAnswer.safeParse(answer.json);
  if (answer.status !== 200 || !parsed.success) return;
  const may = (at: string, ...wanted: readonly string[]) => {
    const given = parsed.data.data[at];
    if (!Array.isArray(given) || given.includes("root")) return [];
    return wanted.filter((capability) => !given.includes(capability));
  };
  requireAll("{mount}/data/{path}", may(data, "read", "create", "update"));
  if (version === 1 || may(metadata, "patch").length === 0) return;
  requireAll("{mount}/metadata/{path}", may(metadata, "read", "update"));
}

function requireAll(at: string, missing: readonly string[]): void {
  if (missing.length === 0) return;
  throw new SyncError("forbidden", `the token has no ${missing.join(", ")} on ${at}`, {
    vendor: "vault",
    operation: CAPABILITIES,
    next: "Give the policy these capabilities; infra/policies lists all that are needed.",
  });
}
