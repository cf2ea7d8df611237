/**
 * A PostgreSQL server of our own, for `serve` without DATABASE_URL, the demo and the tests: loopback
 * only, random password, ends with the process that started it.
 */

/** The parts, for who needs many servers at once (the computes of the sandbox). */
export { serverAccount } from "./account.ts";
export { findBinaries, NoPostgresBinaries } from "./binaries.ts";
export { openRun, type Run } from "./runs.ts";
export { connect, copyCluster, type Ground, initialise, launch, type Server } from "./server.ts";
export { type Postgres, type StartOptions, startPostgres } from "./start.ts";
