/** The key-value engine, version 2 and version 1, as far as we use it: one secret, a map of names. */
import { z } from "zod";
import { SyncError } from "../sync/errors.ts";
import type { Mark } from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";
import { type Members, NO_MEMBERS, parseMembers, printMembers } from "./json-members.ts";
import { isCasMismatch, vaultError } from "./vault-errors.ts";
import type { VaultSession } from "./vault-login.ts";
import { encodePath } from "./vault-paths.ts";
import type { VaultAnswer } from "./vault-transport.ts";

export interface KvState {
  /** "deleted": the latest version is soft-deleted or destroyed; its number counts for check-and-set. */
  readonly state: "absent" | "deleted" | "live";
  /** Null in version 1, and where there is none. */
  readonly version: number | null;
  readonly members: Members;
  readonly mark: Mark | null;
}

export interface KvEngine {
  readonly versioned: boolean;
  /** Absent is absent, anything else that is no secret throws. `version`: that one instead of the latest. */
  read(path: string, version?: number): Promise<KvState>;
  /** The new version (null in version 1), or "conflict" if the latest is no longer `cas` (ignored in version 1). */
  write(path: string, members: Members, cas: number): Promise<number | null | "conflict">;
  /** Takes away the version that was seen; for version 1 the secret. What is gone already is fine. */
  remove(path: string, version: number | null): Promise<void>;
  /** Removes every version and the metadata, for good. */
  destroy(path: string): Promise<void>;
  /** Adds the mark to the custom metadata of others. */
  stamp(path: string, mark: Mark): Promise<void>;
}

export function kvEngine(version: 1 | 2, mount: string, session: VaultSession): KvEngine {
  return version === 2 ? new KvV2(mount, session) : new KvV1(mount, session);
}

class KvV2 implements KvEngine {
  readonly versioned = true;
  readonly #mount: string;
  readonly #session: VaultSession;

  constructor(mount: string, session: VaultSession) {
    this.#mount = encodePath(mount);
    this.#session = session;
  }

  async read(path: string, version?: number): Promise<KvState> {
    const operation = "GET {mount}/data/{path}";
    const query = version === undefined ? "" : `?version=${version}`;
    const answer = await this.#session.call({
      method: "GET",
      path: `${this.#path("data", path)}${query}`,
      operation,
    });
    if (answer.status === 404 && isAbsence(answer)) return ABSENT;
    if (answer.status !== 200 && answer.status !== 404) throw vaultError(answer, operation, false);
    const parsed = dataAnswer.safeParse(answer.json);
    if (!parsed.success) throw notVault(answer, operation);
    const { metadata, data } = parsed.data.data;
    const found = { version: metadata.version, mark: markOf(metadata.custom_metadata ?? {}) };
    if (data === null) return { ...found, state: "deleted", members: NO_MEMBERS };
    const members = membersAt(answer, ["data", "data"]);
    if (answer.status === 404 || members === null) throw notVault(answer, operation);
    return { ...found, state: "live", members };
  }

  async write(path: string, members: Members, cas: number): Promise<number | "conflict"> {
    const operation = "POST {mount}/data/{path}";
    const body = new Secret(`{"options":{"cas":${cas}},"data":${printMembers(members)}}`);
    const answer = await this.#session.call({
      method: "POST",
      path: this.#path("data", path),
      operation,
      body,
    });
    if (isCasMismatch(answer)) return "conflict";
    if (answer.status !== 200 && answer.status !== 204) throw vaultError(answer, operation, true);
    const parsed = writeAnswer.safeParse(answer.json);
    // A mount of version 1 takes the same call for a secret named data/... and answers nothing.
    if (!parsed.success) throw notVault(answer, operation, true);
    return parsed.data.data.version;
  }

  async remove(path: string, version: number | null): Promise<void> {
    if (version === null) return;
    const operation = "POST {mount}/delete/{path}";
    const body = new Secret(JSON.stringify({ versions: [version] }));
    const answer = await this.#session.call({
      method: "POST",
      path: this.#path("delete", path),
      operation,
      body,
    });
    requireDone(answer, operation);
  }

  async destroy(path: string): Promise<void> {
    const operation = "DELETE {mount}/metadata/{path}";
    const answer = await this.#session.call({
      method: "DELETE",
      path: this.#path("metadata", path),
      operation,
    });
    requireDone(answer, operation);
  }

  async stamp(path: string, mark: Mark): Promise<void> {
    const operation = "PATCH {mount}/metadata/{path}";
    const body = new Secret(JSON.stringify({ custom_metadata: metadataOf(mark) }));
    const answer = await this.#session.call({
      method: "PATCH",
      path: this.#path("metadata", path),
      operation,
      body,
    });
    if (answer.status < 300) return;
    // Without the capability "patch", or before Vault 1.9: POST replaces the whole map, so read it first.
    if (![403, 404, 405, 415].includes(answer.status)) throw vaultError(answer, operation, true);
    await this.#stampByHand(path, mark);
  }

  async #stampByHand(path: string, mark: Mark): Promise<void> {
    const at = this.#path("metadata", path);
    const reading = "GET {mount}/metadata/{path}";
    const now = await this.#session.call({ method: "GET", path: at, operation: reading });
    if (now.status !== 200 && !isAbsence(now)) throw vaultError(now, reading, false);
    const parsed = metadataAnswer.safeParse(now.json);
    if (now.status === 200 && !parsed.success) throw notVault(now, reading);
    const theirs = parsed.success ? (parsed.data.data.custom_metadata ?? {}) : {};
    const operation = "POST {mount}/metadata/{path}";
    const body = new Secret(JSON.stringify({ custom_metadata: { ...theirs, ...metadataOf(mark) } }));
    requireDone(await this.#session.call({ method: "POST", path: at, operation, body }), operation);
  }

  #path(kind: "data" | "metadata" | "delete", path: string): string {
    return `${this.#mount}/${kind}/${encodePath(path)}`;
  }
}

/** No versions, no check-and-set, no metadata: who writes last wins, and nothing says who it was. */
class KvV1 implements KvEngine {
  readonly versioned = false;
  readonly #mount: string;
  readonly #session: VaultSession;

  constructor(mount: string, session: VaultSession) {
    this.#mount = encodePath(mount);
    this.#session = session;
  }

  async read(path: string): Promise<KvState> {
    const operation = "GET {mount}/{path}";
    const answer = await this.#session.call({ method: "GET", path: this.#path(path), operation });
    if (answer.status === 404 && isAbsence(answer)) return ABSENT;
    if (answer.status !== 200) throw vaultError(answer, operation, false);
    const members = membersAt(answer, ["data"]);
    if (members === null) throw notVault(answer, operation);
    return { state: "live", version: null, members, mark: null };
  }

  async write(path: string, members: Members): Promise<null> {
    const operation = "POST {mount}/{path}";
    const body = new Secret(printMembers(members));
    requireDone(
      await this.#session.call({ method: "POST", path: this.#path(path), operation, body }),
      operation,
    );
    return null;
  }

  async remove(path: string): Promise<void> {
    const operation = "DELETE {mount}/{path}";
    requireDone(await this.#session.call({ method: "DELETE", path: this.#path(path), operation }), operation);
  }

  destroy(path: string): Promise<void> {
    return this.remove(path);
  }

  async stamp(): Promise<void> {}

  #path(path: string): string {
    return `${this.#mount}/${encodePath(path)}`;
  }
}

// ---------------------------------------------------------------- answers

const ABSENT: KvState = { state: "absent", version: null, members: NO_MEMBERS, mark: null };

const customMetadata = z.record(z.string(), z.string()).nullish();
const dataAnswer = z.object({
  data: z.object({
    data: z.record(z.string(), z.unknown()).nullable(),
    metadata: z.object({ version: z.int().positive(), custom_metadata: customMetadata }),
  }),
});
const writeAnswer = z.object({ data: z.object({ version: z.int().positive() }) });
const metadataAnswer = z.object({ data: z.object({ custom_metadata: customMetadata }) });
const absence = z.object({ errors: z.array(z.unknown()).length(0), data: z.undefined().optional() });

/** Vault's own "never existed": no error and no data. A gateway's 404 is none, nor is a mount that is not there. */
const isAbsence = (answer: VaultAnswer): boolean =>
  answer.status === 404 && absence.safeParse(answer.json).success;

function requireDone(answer: VaultAnswer, operation: string): void {
  if (answer.status !== 200 && answer.status !== 204 && !isAbsence(answer)) {
    throw vaultError(answer, operation, true);
  }
}

function notVault(answer: VaultAnswer, operation: string, write = false): SyncError {
  if (answer.status === 404 && answer.says("")) return vaultError(answer, operation, write);
  return new SyncError("unavailable", "the answer is not one of Vault's key-value engine", {
    vendor: "vault",
    operation,
    status: answer.status,
    ambiguous: write,
    next: "Check the address, the mount and its kvVersion; it is tried again.",
  });
}

/** From the text of the answer, so that what others wrote goes back as it came. */
function membersAt(answer: VaultAnswer, keys: readonly string[]): Members | null {
  let text: string | undefined = answer.response.body;
  for (const key of keys) text = parseMembers(text)?.get(key)?.reveal() ?? "";
  return parseMembers(text);
}

const KEYS = {
  installation: "branchline_installation",
  rule: "branchline_rule",
  branch: "branchline_branch",
} as const;

function markOf(metadata: Readonly<Record<string, string>>): Mark | null {
  const installation = metadata[KEYS.installation];
  if (installation === undefined) return null;
  return { installation, rule: metadata[KEYS.rule] ?? "", branch: metadata[KEYS.branch] ?? "" };
}

/** Values of custom metadata: 1 to 512 characters. */
function metadataOf(mark: Mark): Record<string, string> {
  const entries = [
    [KEYS.installation, mark.installation],
    [KEYS.rule, mark.rule],
    [KEYS.branch, mark.branch],
  ] as const;
  return Object.fromEntries(
    entries.flatMap(([key, value]) => (value === "" ? [] : [[key, value.slice(0, 512)]])),
  );
}
