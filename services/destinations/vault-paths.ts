/**
 * Paths of Vault, built and checked before anything else sees them. A branch name may hold whatever its
 * author liked, and node-vault neither encodes nor refuses: `..` reached other APIs, `#` and `?` cut the
 * path. What cannot be meant is refused, what is odd is percent-encoded.
 */

/** Why a path is refused, in words, or null. */
export function refusePath(path: string): string | null {
  const segments = path.split("/");
  if (segments.includes("")) return "empty segments, a slash at the start or at the end";
  if (segments.includes(".") || path.includes("..")) return "`.` or `..`";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are refused
  if (/[\u0000-\u001f\u007f\\]/.test(path)) return "control characters or backslashes";
  if (/\p{Cs}/u.test(path)) return "characters that are none";
  return path.length > LONGEST ? `more than ${LONGEST} characters` : null;
}

/** Every segment with all but letters, digits and `._~-` percent-encoded. Of an accepted path. */
export function encodePath(path: string): string {
  return path.split("/").map(encodeSegment).join("/");
}

/**
 * Whether a URL's path is one that `encodePath` could have made, checked on the raw text: parsing folds dot
 * segments away, and then it is too late. A `?version=` may follow.
 */
export function isCanonical(path: string): boolean {
  const [bare = "", query, ...more] = path.split("?");
  if (more.length > 0 || (query !== undefined && !/^version=\d+$/.test(query))) return false;
  return bare.split("/").every((segment) => SEGMENT.test(segment) && !/^\.+$|\.\./.test(segment));
}

const LONGEST = 1_000;
const SEGMENT = /^(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+$/;

function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
