/** Processes whose wall clock is off: they say so where an operator looks, and far off they do not start. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { endAll, openPlace, type Place, ROOT, type Running, run } from "../support/process.ts";
import { until } from "../support/until.ts";

const TOKEN = randomBytes(24).toString("base64url");

let place: Place;
let database: TestDatabase;

beforeAll(async () => {
  place = openPlace();
  database = await createDatabase({ migrated: true });
});
afterEach(endAll);
afterAll(async () => {
  await database.drop();
  place.remove();
});

/** An API on a machine whose clock is off by so much. */
function serveWithClockOff(seconds: number): Running {
  const file = join(place.cwd, "clock");
  writeFileSync(file, String(seconds * 1_000));
  const clock = `${pathToFileURL(join(ROOT, "dist/test/chaos/clock.js"))}?file=${encodeURIComponent(file)}`;
  const cli = join(ROOT, "dist/services/cli/main.js");
  return run(process.execPath, ["--import", clock, cli, "serve", "--api"], {
    cwd: place.cwd,
    env: {
      ...place.env,
      DATABASE_URL: database.url,
      BRANCHLINE_MASTER_KEY: Buffer.alloc(32, 7).toString("base64"),
      BRANCHLINE_ADMIN_TOKEN: TOKEN,
      PORT: "0",
    },
  });
}

const apiOf = async (serving: Running): Promise<string> =>
  (await serving.says(/"api":"(http:[^"]+)"/))[1] ?? "";

test.each([
  { seconds: 30, way: "ahead of" },
  { seconds: -30, way: "behind" },
])(
  "a clock that is $seconds s off is told in the log, at /readyz and in the metrics",
  async ({ seconds, way }) => {
    const serving = serveWithClockOff(seconds);
    const api = await apiOf(serving);
    expect(serving.said()).toContain("the clock is off");
    expect(await readiness(api)).toMatchObject({
      status: "ready",
      warnings: [{ name: "clock", detail: expect.stringContaining(`s ${way} the database's`) }],
    });
    const metrics = await fetch(`${api}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } });
    const skew = Number(/^branchline_clock_skew_seconds (\S+)$/m.exec(await metrics.text())?.[1]);
    expect(Math.abs(skew - seconds)).toBeLessThan(2);
    await serving.end();
  },
);

test("one that is right has nothing to say", async () => {
  const serving = serveWithClockOff(0);
  expect(await readiness(await apiOf(serving))).toEqual({ status: "ready" });
  await serving.end();
});

/** Once the database has answered in time, which a machine that stands still for seconds keeps it from. */
const readiness = async (api: string): Promise<unknown> =>
  await until(async () => {
    const response = await fetch(`${api}/readyz`);
    const said = (await response.json()) as { warnings?: readonly { detail: string }[] };
    const unasked = said.warnings?.some(({ detail }) => detail === "does not answer");
    return response.status === 200 && unasked !== true ? said : null;
  });

test.each([310, -310])(
  "a machine that is %d s off does not start, and is told what to do",
  async (seconds) => {
    const { code, stdout, stderr } = await serveWithClockOff(seconds).ended;
    expect(code).toBe(1);
    expect(stdout).not.toContain("branchline is up");
    expect(stderr).toContain("5 min 10 s");
    expect(stderr).toContain("NTP");
  },
);
