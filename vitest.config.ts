import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What takes minutes begins first: at the end it would be waited for alone. */
const LONGEST = /\/long\/chaos\.test\.ts$/;

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLongest = ({ moduleId }: TestSpecification) => LONGEST.test(moduleId);
    return [...sorted.filter(isLongest), ...sorted.filter((file) => !isLongest(file))];
  }
}

// Loading modules takes longer than most tests: files of one worker share what is loaded.
const shared = { isolate: false, pool: "forks", testTimeout: 30_000, hookTimeout: 60_000 } as const;

export default defineConfig({
  test: {
    globalSetup: ["test/support/global-setup.ts"],
    // Flows wait more than they work: on two cores, four files at a time take half as long as one.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...shared,
          name: "unit",
          include: ["test/*.test.ts", "test/unit/**/*.test.ts", "test/conformance/**/*.test.ts"],
        },
      },
      { test: { ...shared, name: "flow", include: ["test/flow/**/*.test.ts"] } },
      // What torments processes and servers for minutes: `npm run test:long`.
      {
        test: {
          ...shared,
          name: "long",
          include: ["test/long/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
