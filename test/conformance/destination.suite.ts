/**
 * What every destination must do, as tests. The adapter's traits choose which of them apply; beyond that a
 * test is skipped only by title and with a reason. The contract in prose is services/sync/ports.ts.
 */
import { describe, expect, test } from "vitest";
import { describeApplying } from "./destination.applying.ts";
import { Bench, type DestinationFixture } from "./destination.bench.ts";
import { describeFailing } from "./destination.failing.ts";
import { describeSeeing } from "./destination.seeing.ts";

export type { DestinationFixture, SuiteFault } from "./destination.bench.ts";

export interface SuiteOptions {
  open(): Promise<DestinationFixture>;
  /** Tests that cannot hold here, by their title, and why. */
  readonly skip?: readonly { readonly reason: string; readonly tests: readonly string[] }[];
}

/** One case: its title, which adapters it is about (null: all), and what must happen on a fresh account. */
export type Hold = (
  title: string,
  applies: ((bench: Bench) => boolean) | null,
  run: (bench: Bench) => Promise<void>,
) => void;

/** The whole contract for one adapter. */
export function describeDestination(name: string, options: SuiteOptions): void {
  const skipped = new Set(options.skip?.flatMap(({ tests }) => tests));
  const titles = new Set<string>();

  const hold: Hold = (title, applies, run) => {
    titles.add(title);
    test.skipIf(skipped.has(title))(title, async (context) => {
      const bench = new Bench(await options.open());
      try {
        if (applies !== null && !applies(bench)) context.skip("the traits say that this vendor cannot");
        await run(bench);
      } finally {
        await bench.close();
      }
    });
  };

  describe(name, () => {
    describe("observe() and check()", () => describeSeeing(hold));
    describe("apply()", () => describeApplying(hold));
    describe("failures", () => describeFailing(hold));

    test("skips only tests that exist, each with a reason", () => {
      expect([...skipped].filter((title) => !titles.has(title))).toEqual([]);
      expect(options.skip?.filter(({ reason }) => reason.length < 10) ?? []).toEqual([]);
    });
  });
}
