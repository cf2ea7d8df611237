/**
 * What the core needs from the world. Adapters implement these; `workers` and `api` wire them.
 * Contracts are written here once and checked by the suites in test/conformance.
 */
export * from "./ports/destination.ts";
export * from "./ports/io.ts";
export * from "./ports/source.ts";
