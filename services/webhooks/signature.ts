import { createHmac, timingSafeEqual } from "node:crypto";

export function hmacSha256(key: Uint8Array | string, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const hmac = createHmac("sha256", key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/**
 * Whether any of `given` is one of `expected`. Every pair is compared, in constant time, so that the
 * answer's timing tells neither how far nor which secret matched.
 */
export function anyEqual(given: readonly Uint8Array[], expected: readonly Uint8Array[]): boolean {
  let equal = false;
  for (const left of given) {
    for (const right of expected) {
      equal = (left.length === right.length && timingSafeEqual(left, right)) || equal;
    }
  }
  return equal;
}
