/** Tables for people: as wide as the terminal, coloured only there. */
import Table from "cli-table3";
import colors from "yoctocolors";

export interface Screen {
  /** Characters in a line; null: nobody wraps (a file, a pipe). */
  readonly width: number | null;
  readonly colors: boolean;
}

/** What standard output is right now. */
export function screen(out: { isTTY?: boolean; columns?: number } = process.stdout): Screen {
  const isTerminal = out.isTTY === true;
  return { width: isTerminal ? (out.columns ?? 80) : null, colors: isTerminal };
}

const LEAST_COLUMN = 8;
/** Of each column: two for padding and one for its border. */
const FRAME = 3;

/**
 * Draws rows under a head. Columns are as wide as their text, and where that is more than the terminal has, the
 * widest give way and wrap. Cells may hold line breaks and colours.
 */
export function drawRows(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  { width, colors: coloured }: Screen,
): string {
  const widths = fitted(
    head.map((title, column) => Math.max(...[title, ...rows.map((row) => row[column] ?? "")].map(widest))),
    width,
  );
  const table = new Table({
    head: head.map((title) => (coloured ? colors.bold(title) : title)),
    style: { head: [], border: coloured ? ["gray"] : [] },
    ...(widths === null
      ? {}
      : { colWidths: widths.map((w) => w + FRAME - 1), wordWrap: true, wrapOnWordBoundary: false }),
  });
  table.push(...rows.map((row) => [...row]));
  const text = table.toString();
  return coloured ? text : plain(text);
}

/** The given widths, the widest cut down until all fit; null: nothing has to give way. */
function fitted(wanted: readonly number[], width: number | null): number[] | null {
  if (width === null) return null;
  const room = width - 1 - wanted.length * FRAME;
  const widths = [...wanted];
  const total = (): number => widths.reduce((sum, w) => sum + w, 0);
  if (total() <= room) return null;
  while (total() > room) {
    const most = Math.max(...widths);
    if (most <= LEAST_COLUMN) break;
    widths[widths.indexOf(most)] = most - 1;
  }
  return widths;
}

const widest = (cell: string): number =>
  Math.max(
    0,
    ...plain(cell)
      .split("\n")
      .map((line) => [...line].length),
  );

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour begins with
const COLOUR = /\u001b\[[0-9;]*m/g;
const plain = (text: string): string => text.replaceAll(COLOUR, "");
