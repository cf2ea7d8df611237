/** Rows that one statement may hold: PostgreSQL takes 65,535 parameters, and no row of ours has a hundred. */
const MOST_ROWS = 500;

/** The same rows, in as many statements as it takes. */
export function* chunks<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < rows.length; at += MOST_ROWS) yield rows.slice(at, at + MOST_ROWS);
}
