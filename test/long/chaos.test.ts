/** `npm run chaos` as a program: short runs, whose exit code and JSON are what scripts go by. */
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Ended, endAll, openPlace, ROOT, run } from "../support/process.ts";

interface Printed {
  readonly seed: number;
  readonly minutes: number;
  readonly faults: number;
  readonly pushes: number;
  readonly queue: string;
  readonly violations: readonly { readonly promise: string; readonly what: string }[];
  readonly isolation: { readonly trials: readonly { readonly ill: string }[] } | null;
}

afterAll(endAll);

const SHORT = [
  "--quick",
  "--no-computes",
  "--no-redis",
  "--workers",
  "1",
  "--apis",
  "1",
  "--minutes",
  "0.05",
];

async function chaos(...flags: string[]): Promise<Ended> {
  const { cwd, env, remove } = openPlace();
  const ended = await run(process.execPath, [join(ROOT, "dist/test/chaos/main.js"), ...flags], { cwd, env })
    .ended;
  remove();
  return ended;
}

describe("npm run chaos", () => {
  test("exits 0 where no promise was broken, with what it did as one object", {
    timeout: 240_000,
  }, async () => {
    const { code, stdout, stderr } = await chaos(...SHORT, "--seed", "2", "--json");
    const printed = JSON.parse(stdout) as Printed;
    expect([code, printed.violations], stderr).toEqual([0, []]);
    expect(printed).toMatchObject({ seed: 2, minutes: 0.05, queue: "postgres" });
    expect(printed.faults).toBeGreaterThan(0);
    expect(printed.pushes).toBeGreaterThan(0);
    expect(printed.isolation?.trials.map(({ ill }) => ill)).toEqual(["down", "slow", "throttled", "hanging"]);
  });

  test("exits 1 where one was, and says which", { timeout: 240_000 }, async () => {
    const { code, stdout, stderr } = await chaos(...SHORT, "--seed", "2", "--json", "--plant");
    expect(code, stderr).toBe(1);
    const { violations } = JSON.parse(stdout) as Printed;
    expect(violations).toContainEqual(
      expect.objectContaining({ promise: "P5", place: "vault p5", timeline: expect.any(Array) }),
    );
  });

  test("and neither where the run cannot be made", async () => {
    const { code, stdout } = await chaos("--minutes", "none");
    expect([code, stdout]).toEqual([64, ""]);
  });
});
