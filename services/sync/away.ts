/**
 * Errors by which a database says that it cannot be asked just now, which says nothing about the question. They are known
 * by their codes; whatever else leaves the process speaks in `SyncError`s.
 */

/**
 * Codes of the network, and of a server that ends sessions, starts, stops, has no room for one more, or does not come to
 * what it was asked: a statement that took too long, or met another one again and again.
 */
const AWAY = /^(ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|08|57P0|57014|40001|40P01|53300)/;
/** node-postgres's own errors have no code. */
const AWAY_IN_WORDS =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client (has encountered a connection error|was closed) and is not queryable)/;

/** The database cannot be asked just now, which says nothing about the question. */
export function isAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return AWAY.test(code) || AWAY_IN_WORDS.test(error.message) || isAway(error.cause);
}
