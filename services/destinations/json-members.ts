/**
 * The members of one JSON object, each kept as the text that stood there. In a secret that holds a map
 * a name is a key, and keys of others go back exactly as they came: a number of twenty digits or `1.0`
 * would not survive being parsed and printed again.
 */
import { createHash } from "node:crypto";
import { SyncError, type Where } from "../sync/errors.ts";
import type { Change, Fingerprint, Io, ObservedName } from "../sync/ports.ts";
import { Secret } from "../sync/secret.ts";

/** Key to the JSON text of its value. */
export type Members = ReadonlyMap<string, Secret>;

export const NO_MEMBERS: Members = new Map();

/** The members of a JSON object; null if the text is anything else. The last of two equal keys counts. */
export function parseMembers(json: string): Members | null {
  if (!isObject(json)) return null;
  const members = new Map<string, Secret>();
  let at = skipSpace(json, json.indexOf("{") + 1);
  while (json[at] !== "}") {
    const keyEnd = endOfValue(json, at);
    const key = String(JSON.parse(json.slice(at, keyEnd)));
    const start = skipSpace(json, skipSpace(json, keyEnd) + 1); // over the colon
    const end = endOfValue(json, start);
    members.set(key, new Secret(json.slice(start, end)));
    at = skipSpace(json, end);
    if (json[at] === ",") at = skipSpace(json, at + 1);
  }
  return members;
}

export function printMembers(members: Members): string {
  return `{${[...members].map(([key, raw]) => `${JSON.stringify(key)}:${raw.reveal()}`).join(",")}}`;
}

/** As it takes room at the vendor, to within the punctuation. */
export function bytesOf(members: Members): number {
  return [...members].reduce((sum, [key, raw]) => sum + Buffer.byteLength(key) + raw.bytes, 0);
}

/** What the object shall hold after the changes: other keys as they were. */
export function mergeChanges(members: Members, changes: readonly Change[]): Members {
  const merged = new Map(members);
  for (const change of changes) {
    if (change.op === "put") merged.set(change.name, new Secret(JSON.stringify(change.value.reveal())));
    else merged.delete(change.name);
  }
  return merged;
}

/** Whether every put is there with its value and every delete is gone. Servers may escape otherwise than we do. */
export function holds(members: Members, changes: readonly Change[]): boolean {
  return changes.every((change) => {
    const raw = members.get(change.name);
    if (change.op === "delete") return raw === undefined;
    return raw !== undefined && JSON.parse(raw.reveal()) === change.value.reveal();
  });
}

/**
 * Puts that are to create a key which is there already. Throws `not_owned` with the names: a plan made
 * from a version alone cannot know the keys of others.
 */
export function refuseForeignKeys(members: Members, changes: readonly Change[], where: Where): void {
  const names = changes.flatMap((change) =>
    change.op === "put" && change.observed === null && !change.owned && members.has(change.name)
      ? [change.name]
      : [],
  );
  if (names.length === 0) return;
  throw new SyncError("not_owned", `the secret already holds ${names.join(", ")}, not made here`, {
    ...where,
    names,
    next: "Adopt the names in the rule, or choose others.",
  });
}

/** Every key as the planner wants to see it, all under the version of the whole. */
export function observedNames(members: Members, version: string | null, io: Io): readonly ObservedName[] {
  return [...members].map(([name, raw]) => ({
    name,
    fingerprint: fingerprintOf(raw, io),
    version,
    mark: null,
    foreign: null,
  }));
}

/** Of a set of names, not of values. Short, the same in any order; says which keys a version holds. */
export function digestOfNames(names: Iterable<string>): string {
  return createHash("sha256")
    .update(JSON.stringify([...names].sort(byCodeUnits)))
    .digest("hex")
    .slice(0, 10);
}

/** Names that a JSON map takes. Case counts, nothing is folded. */
export function refuseKey(name: string): string | null {
  if (name === "") return "a name may not be empty";
  if (name.length > 256) return "a name may have 256 characters at most";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are refused
  return /[\u0000-\u001f\u007f]/.test(name) ? "a name may not hold control characters" : null;
}

/** Not by locale: the same on every machine. */
const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function fingerprintOf(raw: Secret, io: Io): Fingerprint {
  const value: unknown = JSON.parse(raw.reveal());
  // A number 5432 is not the text "5432": it is to be seen as different and written as text.
  return io.fingerprint(typeof value === "string" ? new Secret(value) : new Secret(`json:${raw.reveal()}`));
}

function isObject(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false; // the caller says what it means that this is no object
  }
}

function skipSpace(json: string, from: number): number {
  let at = from;
  while (" \t\r\n".includes(json[at] ?? "x")) at += 1;
  return at;
}

/** End of the value that starts here, in text known to be valid JSON. */
function endOfValue(json: string, start: number): number {
  let depth = 0;
  let at = start;
  do {
    const c = json[at];
    if (c === '"') at = endOfString(json, at);
    else if (c === "{" || c === "[") {
      depth += 1;
      at += 1;
    } else if (c === "}" || c === "]") {
      depth -= 1;
      at += 1;
    } else if (depth > 0) at += 1;
    else {
      while (!/[\s,}\]]/.test(json[at] ?? ",")) at += 1; // number, true, false, null
    }
  } while (depth > 0);
  return at;
}

function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at + 1;
}
