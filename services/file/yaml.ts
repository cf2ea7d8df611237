/**
 * The library's reading of a text, within bounds: whoever sends a text chooses how long that takes, and everything else
 * in this process waits for it.
 */
import { Composer, type Document, Lexer, LineCounter, Parser, type YAMLError } from "yaml";

/** Of one file, and of all files of a document that is sent. */
export const LARGEST_TEXT = 1024 * 1024;

/** What a document may cost, with everything that it includes. */
export class Allowance {
  /** After aliases are followed: a file of ten lines can mean billions. */
  static readonly MOST_VALUES = 100_000;
  /** Words, signs, spaces and line ends: the library needs some microseconds for each, whatever they mean. */
  static readonly MOST_PIECES = 250_000;
  values = Allowance.MOST_VALUES;
  #pieces = Allowance.MOST_PIECES;

  takeValues(count: number): boolean {
    this.values -= count;
    return this.values >= 0;
  }

  takePiece(): boolean {
    this.#pieces -= 1;
    return this.#pieces >= 0;
  }
}

/** Something that the library has against the text, in our own words. */
export interface Complaint {
  /** Characters from the beginning. */
  readonly at: number;
  readonly problem: string;
  readonly hint: string;
}

/** More than anybody reads. */
export const MOST_FAULTS = 100;

export function parseYaml(
  text: string,
  allowance: Allowance,
): { contents: unknown; complaints: readonly Complaint[]; lines: LineCounter } {
  const lines = new LineCounter();
  try {
    const { document, more } = withoutTraces(() => compose(text, lines, allowance));
    const found = [...document.errors, ...document.warnings].slice(0, MOST_FAULTS).map(complaintOf);
    const complaints = more === null ? found : [...found, { at: more, ...wordsOf("MULTIPLE_DOCS") }];
    return { contents: document.contents, complaints, lines };
  } catch (thrown) {
    if (!(thrown instanceof TooMany)) throw thrown;
    const problem = `the text consists of more than ${Allowance.MOST_PIECES} words and signs`;
    const complaint = { at: thrown.at, problem, hint: "Split it, or leave out what repeats." };
    return { contents: null, complaints: [complaint], lines };
  }
}

class TooMany extends Error {
  readonly at: number;
  constructor(at: number) {
    super("too many");
    this.at = at;
  }
}

/** The first document, and where another one begins. */
function compose(text: string, lines: LineCounter, allowance: Allowance) {
  const composer = new Composer({
    prettyErrors: false,
    strict: true,
    version: "1.2",
    // Both compare each item with all before it. `tree.ts` looks for keys that are given twice.
    uniqueKeys: false,
    resolveKnownTags: false,
  });
  let document: Document | null = null;
  for (const next of composer.compose(tokensOf(text, lines, allowance), true, text.length)) {
    if (document !== null) return { document, more: next.range[0] };
    document = next;
  }
  return { document: document as unknown as Document, more: null };
}

/** As the library's `Parser.parse` does it, which does not count. */
function* tokensOf(text: string, lines: LineCounter, allowance: Allowance) {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  for (const piece of new Lexer().lex(text)) {
    if (!allowance.takePiece()) throw new TooMany(parser.offset);
    yield* parser.next(piece);
  }
  yield* parser.end();
}

/** The library makes an error for every fault: in a text full of faults most of the time goes into their traces. */
function withoutTraces<T>(act: () => T): T {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return act();
  } finally {
    Error.stackTraceLimit = before;
  }
}

const complaintOf = ({ code, pos }: YAMLError): Complaint => ({ at: pos[0], ...wordsOf(code) });

const wordsOf = (code: string): Omit<Complaint, "at"> => ({
  problem: WORDS[code] ?? "the YAML cannot be read from here on",
  hint: HINTS[code] ?? "",
});

/** The library's own messages may quote the text, and with it a credential. */
const WORDS: Readonly<Record<string, string>> = {
  BAD_ALIAS: "an alias names an anchor that is not set before it",
  BAD_DQ_ESCAPE: "an unknown escape in double quotes",
  BAD_INDENT: "the indentation does not fit, or a bracket before it is not closed",
  BAD_SCALAR_START: "text may not begin with this character without quotes",
  BLOCK_AS_IMPLICIT_KEY: "a mapping may not begin here",
  MISSING_CHAR: "a character is missing, such as a closing quote or bracket, or a colon",
  MULTILINE_IMPLICIT_KEY: "a key must be on one line",
  MULTIPLE_DOCS: "the file holds more than one document",
  TAB_AS_INDENT: "tabs may not indent",
  TAG_RESOLVE_FAILED: "tags are not supported",
  UNEXPECTED_TOKEN: "nothing of this kind may stand here",
};

const HINTS: Readonly<Record<string, string>> = {
  BAD_SCALAR_START: "Put the text in quotes.",
  BLOCK_AS_IMPLICIT_KEY: 'Put the text in quotes if it holds ": ".',
  MULTIPLE_DOCS: "Write one file for each.",
  TAB_AS_INDENT: "Use spaces.",
};
