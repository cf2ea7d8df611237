import { expect, test } from "vitest";
import { takeTurn } from "../../../../services/destinations/github-pace.ts";

const { signal } = new AbortController();

test("takeTurn() leaves the spacing between the writes of one account", async () => {
  const started = performance.now();
  await Promise.all([1, 2, 3].map(() => takeTurn("a", 40, signal)));
  expect(performance.now() - started).toBeGreaterThanOrEqual(79);
});

test("takeTurn() does not make other accounts wait", async () => {
  await takeTurn("b", 60_000, signal);
  await takeTurn("c", 60_000, signal);
});

test("takeTurn() ends with the work it belongs to", async () => {
  await takeTurn("d", 60_000, signal);
  const stop = new AbortController();
  const waiting = takeTurn("d", 60_000, stop.signal);
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ code: "unavailable", ambiguous: false });
});
