/** The judge of P6: what it says of logs that keep the bound and of logs that do not, and what it measures. */
import { describe, expect, test } from "vitest";
import { DESTINATIONS } from "../../chaos/acts.ts";
import { boundMs, type Ground, judgeIsolation, tryIsolation } from "../../chaos/isolation.ts";
import { STABLE } from "../../chaos/schedule.ts";

const peaceMs = { web: 1_000, ci: 2_000, runtime: 1_000, vault: 500 };

describe("the judge of P6", () => {
  test("has nothing to say while the others keep to what is stated", () => {
    const othersMs = { web: boundMs(1_000), ci: 2_100, runtime: 900 };
    expect(judgeIsolation({ peaceMs, trials: [{ ill: "down", destination: "vault", othersMs }] })).toEqual(
      [],
    );
  });

  test("names who was late, and who was ill", () => {
    const othersMs = { web: boundMs(1_000) + 1, ci: 2_100, runtime: null };
    const found = judgeIsolation({ peaceMs, trials: [{ ill: "hanging", destination: "vault", othersMs }] });
    expect(found.map(({ promise }) => promise)).toEqual(["P6", "P6"]);
    expect(found.map(({ what }) => what)).toEqual([
      "web took 5001 ms while vault was hanging; in peace it takes 1000 ms, and 5000 are stated",
      "runtime did not follow while vault was hanging; in peace it takes 1000 ms, and 5000 are stated",
    ]);
  });

  test("does not take silence in peace for a measure", () => {
    const found = judgeIsolation({ peaceMs: { ...peaceMs, ci: null }, trials: [] });
    expect(found).toMatchObject([{ promise: "P6", what: expect.stringContaining("ci did not follow") }]);
  });
});

describe("the trial", () => {
  /** Destinations that follow at once, but for those that `holdsUp` names while another one is ill, in the first round or the second. */
  function world(holdsUp: (ill: string, round: number) => readonly string[]) {
    let ill: string | null = null;
    let rotated = 0;
    const seen: string[] = [];
    const ground: Ground = {
      seed: 1,
      act: async (act) => {
        if (act.kind === "rotate") rotated += 1;
        if (act.kind !== "fault") return;
        rotated = 0;
        ill = { vercel: "web", github: "ci", aws: "runtime", vault: "vault", neon: "neon" }[act.vendor];
        seen.push(`${ill} ${act.fault.kind}`);
      },
      relent: async () => {
        ill = null;
      },
      wrong: async () => {
        if (ill === null) return new Set();
        return new Set([ill, ...holdsUp(ill, rotated / STABLE.length)].map((name) => `${name} p0`));
      },
      rest: async () => ill === null,
      calm: async () => void seen.push("calm"),
      note: () => undefined,
    };
    return { ground, seen };
  }

  test("makes each destination ill in turn, and waits for nobody but the others", async () => {
    const { ground, seen } = world(() => []);
    const isolation = await tryIsolation(ground);
    const calm = "calm";
    const trials = [calm, "ci status", calm, "runtime latency", calm, "vault status", calm, "web hang"];
    expect(seen).toEqual([calm, calm, ...trials]);
    expect(isolation.trials.map(({ destination }) => destination)).toEqual(["ci", "runtime", "vault", "web"]);
    for (const { destination, othersMs } of isolation.trials) {
      expect(Object.keys(othersMs).sort()).toEqual(
        DESTINATIONS.filter((name) => name !== destination).sort(),
      );
    }
    expect(judgeIsolation(isolation)).toEqual([]);
  });

  test("one that was late once and is not again was held up by nobody", { timeout: 40_000 }, async () => {
    const once = world((ill, round) => (ill === "vault" && round === 1 ? ["ci"] : []));
    expect(judgeIsolation(await tryIsolation(once.ground))).toEqual([]);
  });

  test("finds the one that another one holds up", { timeout: 40_000 }, async () => {
    const isolation = await tryIsolation(world((ill) => (ill === "vault" ? ["ci"] : [])).ground);
    expect(judgeIsolation(isolation)).toMatchObject([
      { promise: "P6", what: expect.stringMatching(/^ci did not follow while vault was throttled/) },
    ]);
  });
});
