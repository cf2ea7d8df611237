import { createHmac, timingSafeEqual } from "node:crypto";
import type { Fingerprint } from "./ports.ts";
import type { Secret } from "./secret.ts";

/** What a fingerprint is of: the same text in two domains gives two fingerprints. */
export type Domain = "value" | "password" | "login" | "inputs" | "credential";

export type Fingerprinter = (domain: Domain, ...parts: readonly (Secret | string)[]) => Fingerprint;

/**
 * Keyed hashes (HMAC-SHA256). A plain hash of a password in a row or a tag lets anyone guess short
 * values; with the key sealed away, equal values compare equal and nothing else can be learnt.
 */
export function createFingerprinter(key: Uint8Array): Fingerprinter {
  return (domain, ...parts) => {
    const mac = createHmac("sha256", key).update(`branchline:${domain}`);
    for (const part of parts) {
      const text = typeof part === "string" ? part : part.reveal();
      // Length first, so that ("ab", "c") and ("a", "bc") differ.
      mac.update(`:${Buffer.byteLength(text)}:`).update(text);
    }
    return mac.digest("base64url");
  };
}

/** Compares without telling by its duration where two texts differ. */
export function equalInConstantTime(a: string, b: string): boolean {
  const hash = (text: string) => createHmac("sha256", "compare").update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
