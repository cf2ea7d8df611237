import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { SyncError } from "./errors.ts";

const VERSION = "v1";

/** Encrypts with AES-256-GCM under the master key. `purpose` is bound in: a seal opens only for its own. */
export function seal(masterKey: Uint8Array, purpose: string, plain: Uint8Array): string {
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", masterKey, iv).setAAD(Buffer.from(purpose));
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return [VERSION, iv, sealed, cipher.getAuthTag()]
    .map((part) => (typeof part === "string" ? part : part.toString("base64url")))
    .join(".");
}

/** Throws `unauthenticated` if the key is another one or the text was changed. */
export function unseal(masterKey: Uint8Array, purpose: string, sealed: string): Uint8Array {
  const [version, iv, text, tag] = sealed.split(".");
  try {
    if (version !== VERSION || iv === undefined || text === undefined || tag === undefined) {
      throw new Error("unknown form");
    }
    const decipher = createDecipheriv("aes-256-gcm", masterKey, Buffer.from(iv, "base64url"), {
      authTagLength: 16,
    });
    decipher.setAAD(Buffer.from(purpose)).setAuthTag(Buffer.from(tag, "base64url"));
    return Buffer.concat([decipher.update(Buffer.from(text, "base64url")), decipher.final()]);
  } catch {
    throw new SyncError("unauthenticated", `the master key does not open what was sealed for "${purpose}"`, {
      next: "Set BRANCHLINE_MASTER_KEY to the key that this database was set up with.",
    });
  }
}
