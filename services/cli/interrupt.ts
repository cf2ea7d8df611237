/**
 * Resolves on the first Ctrl-C or SIGTERM, so that everything can be ended in order. A second one ends the
 * process at once; an embedded server still goes with it.
 */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    let first = true;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        if (!first) process.exit(130);
        first = false;
        resolve();
      });
    }
  });
}
