/** Queries of connection strings as people write them by hand: the parameters, their values and their orders. */
import type { Parameter } from "./connection-strings.ts";

/** Seconds that connecting may take. */
export const TIMEOUTS = [10, 15, 30, 60] as const;
/** Of Prisma's engine before version 7, and what guides on pooling and serverless functions tell to add. */
export const EXTRAS: Readonly<Record<string, readonly string[]>> = {
  connection_limit: ["1", "2", "3", "5", "10", "20"],
  pgbouncer: ["true"],
  pool_timeout: ["0", "10", "15", "20", "30"],
  schema: ["public"],
};

/** libpq's other modes, which Branchline writes for nobody, and none at all. */
const MODES = [
  null,
  "require",
  "prefer",
  "verify-full",
  "verify-ca",
  "disable",
  "allow",
  "no-verify",
] as const;

/** Parameters in the orders that are usual: security first or last, the others in any order. */
export function* queries(extras: number): Generator<readonly Parameter[]> {
  const modes = extras < 2 ? MODES : MODES.slice(0, 2);
  for (const mode of modes)
    for (const bound of [false, true])
      for (const more of extrasOf(extras)) {
        const ssl: Parameter[] = mode === null ? [] : [["sslmode", mode]];
        const binding: Parameter[] = bound ? [["channel_binding", "require"]] : [];
        yield [...ssl, ...binding, ...more];
        if (more.length > 0) yield [...more, ...ssl, ...binding];
        if (bound && mode !== null) yield [...binding, ...ssl, ...more];
      }
}

function* extrasOf(count: number, without: readonly string[] = []): Generator<readonly Parameter[]> {
  if (count === 0) {
    yield [];
    return;
  }
  const all = { connect_timeout: TIMEOUTS.map(String), ...EXTRAS };
  for (const [name, values] of Object.entries(all)) {
    if (without.includes(name)) continue;
    for (const rest of extrasOf(count - 1, [...without, name]))
      for (const value of values) yield [[name, value], ...rest];
  }
}
