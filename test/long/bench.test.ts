import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { endAll, openPlace, type Place, ROOT, run } from "../support/process.ts";

const TIMEOUT_MS = 240_000;

interface Told {
  readonly machine: { readonly node: string; readonly cores: number };
  readonly results: readonly {
    readonly name: string;
    readonly value: number;
    readonly unit: string;
    readonly bar: number | null;
    readonly ok: boolean;
  }[];
}

let place: Place | undefined;
afterEach(() => {
  endAll();
  place?.remove();
  place = undefined;
});

/** In a size whose times mean nothing. */
async function bench(name: string, scale: number): Promise<Told> {
  place = openPlace();
  const main = join(ROOT, "dist/test/bench/main.js");
  const { cwd, env } = place;
  const args = [main, name, "--json", "--scale", String(scale)];
  const { code, stdout, stderr } = await run(process.execPath, args, { cwd, env }).ended;
  expect([0, 1], stderr).toContain(code);
  return JSON.parse(stdout) as Told;
}

const namesOf = ({ results }: Told): string[] => results.map((one) => one.name);
const resultOf = ({ results }: Told, name: string) => results.find((one) => one.name === name);

describe("a benchmark", () => {
  test(
    "tells the machine and, of each number, unit, bar and whether it was reached",
    async () => {
      const told = await bench("propagate", 0.03);
      expect(told.machine).toMatchObject({ node: process.version, cores: expect.any(Number) });
      expect(namesOf(told)).toEqual(["propagate.ratio", "propagate.ours.p50", "propagate.ours.p99"]);
      for (const one of told.results) {
        expect(one.value).toEqual(expect.any(Number));
        expect(one.ok).toBe(one.bar === null || one.value <= one.bar);
      }
      expect(resultOf(told, "propagate.ratio")).toMatchObject({
        detail: { path: { find: expect.any(Number), read: expect.any(Number), write: expect.any(Number) } },
      });
    },
    TIMEOUT_MS,
  );

  test(
    "finds every accepted delivery on disk",
    async () => {
      const told = await bench("ingest", 0.02);
      expect(namesOf(told)).toEqual([
        "ingest.to-bare-insert",
        "ingest.to-insert-per-request",
        "ingest.to-event-per-request",
        "ingest.p99-at-1000",
      ]);
    },
    TIMEOUT_MS,
  );

  test(
    "sweeps without a write, a second list or a second read",
    async () => {
      const told = await bench("sweep", 0.012);
      for (const size of [30, 120]) {
        expect(resultOf(told, `sweep.${size}.writes`)).toMatchObject({ value: 0, ok: true });
        expect(resultOf(told, `sweep.${size}.lists`)).toMatchObject({ value: 1, ok: true });
        expect(resultOf(told, `sweep.${size}.reads`)).toMatchObject({ value: 1, ok: true });
        expect(resultOf(told, `sweep.${size}.memory`)).toMatchObject({ ok: true });
      }
    },
    TIMEOUT_MS,
  );

  test(
    "brings a burst of branches to all destinations, hardly ever too fast",
    async () => {
      const told = await bench("burst", 0.01);
      expect(namesOf(told)).toEqual(["burst.time", "burst.refused"]);
      expect(resultOf(told, "burst.refused")).toMatchObject({ ok: true });
    },
    TIMEOUT_MS,
  );

  test(
    "prints what a process takes",
    async () => {
      const told = await bench("footprint", 0.02);
      expect(namesOf(told)).toEqual([
        "footprint.first-start",
        "footprint.start",
        "footprint.idle",
        "footprint.ingest",
      ]);
      for (const one of told.results) expect(one.value).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  test("that nobody knows, or a size that is none, is refused", async () => {
    place = openPlace();
    const main = join(ROOT, "dist/test/bench/main.js");
    const unknown = await run(process.execPath, [main, "nothing"], place).ended;
    expect(unknown).toMatchObject({ code: 64, stderr: expect.stringContaining("ingest") });
    const sized = await run(process.execPath, [main, "calls", "--scale", "2"], place).ended;
    expect(sized.code).toBe(64);
  });
});
