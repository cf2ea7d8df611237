import { defineConfig } from "vitest/config";

const shared = {
  pool: "forks" as const,
  fileParallelism: true,
  testTimeout: 30_000,
  hookTimeout: 60_000,
};

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
          isolate: false,
        },
      },
      { test: { ...shared, name: "flow", include: ["test/flow/**/*.test.ts"] } },
    ],
  },
});
