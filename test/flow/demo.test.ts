/** `branchline demo` as anybody starts it: a process of its own, watched from outside. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { processesOf } from "../support/postgres-owner.ts";
import { branchline, type Ended, endAll, openPlace, type Place, run } from "../support/process.ts";
import { until } from "../support/until.ts";

let place: Place;
beforeEach(() => {
  place = openPlace();
});
afterEach(async () => {
  endAll();
  await nobodyLeft();
  place.remove();
});

const demo = (...args: string[]) => branchline(["demo", ...args], place);
const start = () => demo("--once", "--json");

/** A server goes a moment after whoever started it was killed. */
const nobodyLeft = async () =>
  await until(() => processesOf(place.cwd).length === 0, { what: "every process of the demo to end" });

/** Folders of runs, of any cluster in them, and temporary files. */
function leftovers(): string[] {
  const folders = [".branchline/runs", ".branchline/computes"].map((name) => join(place.cwd, name));
  return [...folders, place.env.TMPDIR].flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []));
}

interface Report {
  readonly ok: boolean;
  readonly steps: readonly { name: string; ms: number; ok: boolean; destinations: object }[];
}

function reportOf({ code, signal, stdout, stderr }: Ended): Report {
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  return JSON.parse(stdout) as Report;
}

/** Numerical Recipes' generator: the same moments in every run, so that a failure comes again. */
function* moments(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

describe("demo", () => {
  test("plays twice at once after others were killed at any moment, and leaves nothing of any", async () => {
    const random = moments(20_261_121);
    for (const longest of [900, 1_800, 2_700]) {
      const killed = start();
      await inMs(random.next().value * longest);
      expect(processesOf(place.cwd)).toContain(killed.pid);
      const { stdout } = await killed.end("SIGKILL");
      expect(stdout).toBe("");
    }

    const staying = demo();
    const report = reportOf(await start().ended);
    expect(report.ok).toBe(true);
    expect(report.steps.map((step) => step.name)).toEqual([
      "production is there",
      "branch appears",
      "password rotates",
      "branch goes",
    ]);
    const [, appears, , goes] = report.steps;
    expect(appears?.destinations).toEqual(all({ state: "synced", agrees: true }));
    expect(goes?.destinations).toEqual(all({ state: "removed", agrees: true }));

    const [, api] = await staying.says(/API +(http:\S+)/, 60_000);
    const [, token] = await staying.says(/token +(\S+)/);
    const bindings = await fetch(`${api}/v1/bindings`, { headers: { authorization: `Bearer ${token}` } });
    expect(await bindings.json()).toMatchObject({ items: expect.arrayContaining([expect.anything()]) });
    const { code, stdout } = await staying.end("SIGINT");
    expect(stdout).toContain("Every vendor held exactly what Neon said, at every step.");
    expect(stdout).toContain("Everything is stopped.");
    expect(code).toBe(0);

    await nobodyLeft();
    expect(leftovers().filter((name) => name.startsWith("run-"))).toEqual([]);
  }, 120_000);

  test("stops at once when Ctrl-C comes in the middle of the story, and leaves nothing", async () => {
    const running = demo("--once");
    await running.says(/1\. production is there/, 60_000);

    const { code } = await running.end("SIGINT");

    expect(code).toBe(130);
    expect(running.said()).not.toContain("Every vendor held exactly what Neon said");
    await nobodyLeft();
    expect(leftovers()).toEqual([]);
  }, 60_000);

  test("says in words what is wrong with an option", async () => {
    const { code, stderr } = await demo("--port", "70000").ended;
    expect(code).toBe(1);
    expect(stderr).toContain("A port is a number from 0 to 65535.");
  });
});

const all = <T>(of: T) => ({ web: of, ci: of, runtime: of, vault: of });

/** Another process's moment: nothing that we could see happens then, so there is no condition to wait for. */
async function inMs(ms: number): Promise<void> {
  const clock = run("sleep", [String(ms / 1_000)], place);
  await clock.ended;
}
