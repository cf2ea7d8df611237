/**
 * Globs over branch names. `*` stops at `/`, `**` crosses it, `?` is one character that is not `/`,
 * `[a-z]` and `[!a-z]` are one of a set, `\` takes the next character literally. Case matters.
 * Nothing else is special: no braces, no extended globs, no negation.
 *
 * A matcher of our own because patterns may come from a stranger's pull request: those that compile
 * a glob to a regular expression (picomatch, minimatch) need minutes for `*a*a*a*a*b` on a long name.
 * This one walks all alternatives at once: time is pattern length times name length.
 */
type Token =
  | { readonly kind: "char"; readonly char: string }
  | { readonly kind: "any" }
  | {
      readonly kind: "set";
      readonly negated: boolean;
      readonly ranges: readonly (readonly [string, string])[];
    }
  | { readonly kind: "star" }
  | { readonly kind: "globstar" }
  /** A `**` that is a whole segment: takes any number of whole segments, also none. */
  | { readonly kind: "segments" };

const LONGEST = 512;

/** Whether the glob describes the whole text. A pattern that cannot be parsed matches nothing. */
export function matchesGlob(pattern: string, text: string): boolean {
  const tokens = parse(pattern);
  return typeof tokens !== "string" && run(tokens, text);
}

/** Why a pattern cannot be parsed, in words, or null. */
export function checkPattern(pattern: string): string | null {
  const tokens = parse(pattern);
  return typeof tokens === "string" ? tokens : null;
}

function run(tokens: readonly Token[], text: string): boolean {
  let states = follow(tokens, new Set([0]), true);
  const characters = [...text];
  for (const [index, char] of characters.entries()) {
    const next = new Set<number>();
    for (const state of states) {
      const token = tokens[state];
      if (token === undefined) continue;
      if (repeats(token)) {
        if (char !== "/" || token.kind !== "star") next.add(state);
      } else if (accepts(token, char)) {
        next.add(state + 1);
      }
    }
    if (next.size === 0) return false;
    states = follow(tokens, next, characters[index] === "/");
  }
  return states.has(tokens.length);
}

/** Adds the states reachable without a character. `segments` may only be left where a segment starts. */
function follow(tokens: readonly Token[], states: Set<number>, atSegmentStart: boolean): Set<number> {
  for (const state of states) {
    const token = tokens[state];
    if (token === undefined || !repeats(token)) continue;
    if (token.kind !== "segments" || atSegmentStart) states.add(state + 1);
  }
  return states;
}

function repeats(token: Token): boolean {
  return token.kind === "star" || token.kind === "globstar" || token.kind === "segments";
}

function accepts(token: Token, char: string): boolean {
  if (token.kind === "char") return token.char === char;
  if (char === "/") return false;
  if (token.kind === "any") return true;
  if (token.kind !== "set") return false;
  return token.ranges.some(([from, to]) => from <= char && char <= to) !== token.negated;
}

/** The tokens, or why there are none. */
function parse(pattern: string): readonly Token[] | string {
  if (pattern === "") return "the pattern is empty";
  if (pattern.length > LONGEST) return `the pattern is longer than ${LONGEST} characters`;
  if (pattern.startsWith("!")) return 'a leading "!" does not negate: list the pattern under exclude';
  const chars = [...pattern];
  const tokens: Token[] = [];
  let i = 0;
  while (i < chars.length) {
    const char = chars[i] ?? "";
    if (char === "\\") {
      const literal = chars[i + 1];
      if (literal === undefined) return 'the pattern ends in a lone "\\"';
      tokens.push({ kind: "char", char: literal });
      i += 2;
    } else if (char === "*") {
      const [token, length] = parseStars(chars, i);
      tokens.push(token);
      i += length;
    } else if (char === "[") {
      const set = parseSet(chars, i);
      if (typeof set === "string") return set;
      tokens.push(set.token);
      i = set.end;
    } else if (char === "{" || char === "}") {
      return `"${char}" at character ${i + 1}: braces are not expanded; write one pattern per alternative`;
    } else {
      tokens.push(char === "?" ? { kind: "any" } : { kind: "char", char });
      i += 1;
    }
  }
  return tokens;
}

function parseStars(chars: readonly string[], start: number): [Token, number] {
  let end = start;
  while (chars[end] === "*") end += 1;
  if (end - start === 1) return [{ kind: "star" }, 1];
  const opensSegment = start === 0 || chars[start - 1] === "/";
  if (opensSegment && chars[end] === "/") return [{ kind: "segments" }, end - start + 1];
  return [{ kind: "globstar" }, end - start];
}

function parseSet(chars: readonly string[], start: number): { token: Token; end: number } | string {
  const negated = chars[start + 1] === "!" || chars[start + 1] === "^";
  const first = start + (negated ? 2 : 1);
  const ranges: [string, string][] = [];
  let i = first;
  while (chars[i] !== undefined && (chars[i] !== "]" || i === first)) {
    const from = chars[i] ?? "";
    const to = chars[i + 2];
    if (chars[i + 1] === "-" && to !== undefined && to !== "]") {
      if (from > to) return `the range "${from}-${to}" runs backwards`;
      ranges.push([from, to]);
      i += 3;
    } else {
      ranges.push([from, from]);
      i += 1;
    }
  }
  if (chars[i] !== "]") return `"[" at character ${start + 1} is not closed`;
  return { token: { kind: "set", negated, ranges }, end: i + 1 };
}
