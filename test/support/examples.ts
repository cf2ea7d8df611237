/** What the pages show to be typed or read: blocks and commands, each with its place. */

export interface Block {
  /** The first word after the fence: sh, yaml, json. */
  readonly language: string;
  /** What follows it: of which operation an answer is. */
  readonly of: string;
  readonly text: string;
  readonly line: number;
}

/** All fenced blocks of a page, without the indentation of the list that they stand in. */
export function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^( *)```(\S*) *([^\n]*)\n([\s\S]*?)^\1```$/gm)].map((found) => {
    const [, indent = "", language = "", of = "", text = ""] = found;
    const line = page.slice(0, found.index).split("\n").length;
    return { language, of, line, text: text.replaceAll(new RegExp(`^${indent}`, "gm"), "") };
  });
}

/** Commands of a block of shell, one a line, without comments. */
export const linesOf = ({ text }: Block): string[] =>
  text
    .replaceAll(/\\\n\s*/g, " ")
    .split("\n")
    .map((line) => line.replace(/\s+#\s.*$/, "").trim())
    .filter((line) => line !== "" && !line.startsWith("#"));

/**
 * Commands between backquotes outside of blocks. In one cell of a table, what follows a command may leave out the
 * program's name. `known`: the names of commands.
 */
export function mentionsOf(page: string, known: ReadonlySet<string>): string[] {
  const text = page.replaceAll(/^( *)```[\s\S]*?^\1```$/gm, "");
  return text.split("\n").flatMap((line) => {
    const [, cell] = /^\| (`branchline [^|]*)\|/.exec(line) ?? [];
    if (cell === undefined)
      return [...line.matchAll(/`(branchline [a-z][^`]*)`/g)].map(([, one = ""]) => one);
    return [...cell.matchAll(/`([^`]*)`/g)].flatMap(([, one = ""]) => {
      const words = one.split(" ").filter((word) => word !== "branchline");
      return known.has(words[0] ?? "") ? [`branchline ${words.join(" ")}`] : [];
    });
  });
}

/** As a shell takes a line apart, with the variables that are set; nothing else of a shell. */
export function wordsOf(line: string, variables: Readonly<Record<string, string>>): string[] {
  const fill = (text: string) => text.replaceAll(/\$(\w+)/g, (_, name: string) => variables[name] ?? "");
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, plain]) =>
    single === undefined ? fill(double ?? plain ?? "") : single,
  );
}
