import { defineConfig } from "vitest/config";

const shared = { pool: "forks", testTimeout: 30_000, hookTimeout: 60_000 } as const;

export default defineConfig({
  test: {
    globalSetup: ["test/support/global-setup.ts"],
    // Flows wait more than they work: on two cores, four files at a time take half as long as one.
    maxWorkers: 4,
    projects: [
      {
        test: {
          ...shared,
          name: "unit",
          include: ["test/*.test.ts", "test/unit/**/*.test.ts", "test/conformance/**/*.test.ts"],
          // Loading a module takes longer than most of its tests: files of one worker share what is loaded.
          isolate: false,
        },
      },
      { test: { ...shared, name: "flow", include: ["test/flow/**/*.test.ts"] } },
      // What torments processes and servers for minutes: `npm run test:long`.
      { test: { ...shared, name: "long", include: ["test/long/**/*.test.ts"] } },
    ],
  },
});
