/** Cases of the destination suite: apply() when the vendor answers. */
import { expect } from "vitest";
import { nameIn } from "./destination.bench.ts";
import type { Hold } from "./destination.suite.ts";

export function describeApplying(hold: Hold): void {
  hold("creates, then updates", null, async (bench) => {
    await bench.write({ DATABASE_URL: bench.value("one"), DATABASE_URL_UNPOOLED: bench.value("two") });
    await bench.tick();
    const next = bench.value("three");
    const [applied] = await bench.write({ DATABASE_URL: next });
    expect(applied?.unsettled).toBe(false);
    expect(await bench.readBack("DATABASE_URL")).toBe(next);
    expect(await bench.readBack("DATABASE_URL_UNPOOLED")).toContain("two-");
  });

  hold("puts the same claim twice without harm", null, async (bench) => {
    const seen = await bench.observe();
    const value = bench.value("once");
    const put = bench.put("DATABASE_URL", value, seen);
    const claim = bench.claim(seen);
    await bench.apply([put], claim);
    const [again] = await bench.apply([put], claim);
    expect(again?.error).toBeNull();
    expect(await bench.readBack("DATABASE_URL")).toBe(value);
  });

  hold(
    "leaves a name alone that somebody else made since the observation",
    ({ traits }) => traits.createOnly,
    async (bench) => {
      const seen = await bench.observe();
      const theirs = bench.value("theirs");
      await bench.putForeign("DATABASE_URL", theirs);
      const put = bench.put("DATABASE_URL", bench.value("ours"), seen);
      const error = await bench.failure(() => bench.apply([put], bench.claim(seen)));
      expect(["not_owned", "conflict"]).toContain(error.code);
      expect(await bench.readBack("DATABASE_URL")).toBe(theirs);
    },
  );

  hold("does not touch the names beside its own", null, async (bench) => {
    const theirs = bench.value("theirs");
    await bench.putForeign("THEIRS", theirs);
    await bench.write({ DATABASE_URL: bench.value("first") });
    await bench.tick();
    await bench.write({ DATABASE_URL: bench.value("second") });
    const seen = await bench.observe();
    await bench.apply([bench.delete("DATABASE_URL", seen)], bench.claim(seen));
    expect(await bench.readBack("THEIRS")).toBe(theirs);
    expect(await bench.readBack("DATABASE_URL")).toBeUndefined();
  });

  hold(
    "refuses an older writer",
    ({ traits }) => traits.compareAndSet,
    async (bench) => {
      await bench.write({ DATABASE_URL: bench.value("start") });
      const seen = await bench.observe();
      await bench.tick();
      const newer = bench.value("newer");
      await bench.apply([bench.put("DATABASE_URL", newer, seen)], bench.claim(seen));
      const older = bench.put("DATABASE_URL", bench.value("older"), seen);
      const error = await bench.failure(() => bench.apply([older], bench.claim(seen)));
      expect(error.code).toBe("conflict");
      expect(await bench.readBack("DATABASE_URL")).toBe(newer);
    },
  );

  hold(
    "writes an owned name that the observation could not show",
    ({ traits }) => traits.grain === "per-name",
    async (bench) => {
      await bench.write({ DATABASE_URL: bench.value("before") });
      await bench.tick();
      const blind = { ...(await bench.observe()), complete: false, names: [] };
      const value = bench.value("after");
      const put = bench.put("DATABASE_URL", value, blind, { owned: true });
      const [applied] = await bench.apply([put], bench.claim(blind));
      expect(applied?.error).toBeNull();
      expect(await bench.readBack("DATABASE_URL")).toBe(value);
    },
  );

  hold(
    "changes all names of a place in one write",
    ({ traits }) => traits.grain === "atomic",
    async (bench) => {
      const results = await bench.write({ DATABASE_URL: bench.value("a"), PGPASSWORD: bench.value("b") });
      const seen = await bench.observe();
      expect(results.map(({ version }) => version)).toEqual([seen.version, seen.version]);
    },
  );

  hold(
    "lets one bad name fail alone",
    ({ traits, fixture }) => traits.grain === "per-name" && fixture.badNames.length > 0,
    async (bench) => {
      const seen = await bench.observe();
      const [bad = ""] = bench.fixture.badNames;
      const good = bench.value("good");
      const puts = [
        { ...bench.put("A", bench.value("bad"), seen), name: bad },
        bench.put("DATABASE_URL", good, seen),
      ];
      const [refused, landed] = await bench.apply(puts, bench.claim(seen));
      expect(refused?.error?.code).toBe("invalid_secret");
      expect(refused?.error?.names).toEqual([bad]);
      expect(landed?.error).toBeNull();
      expect(await bench.readBack("DATABASE_URL")).toBe(good);
    },
  );

  hold("knows beforehand which names the vendor refuses", null, async (bench) => {
    for (const name of bench.fixture.badNames) expect(bench.traits.refuseName(name)).toMatch(/\w+ \w+/);
  });

  hold("takes a value of the greatest size, and says no to a longer one", null, async (bench) => {
    const { valueBytes } = bench.traits.limits;
    await bench.write({ DATABASE_URL: "v".repeat(valueBytes) });
    const seen = await bench.observe(1);
    const put = bench.put("DATABASE_URL", "v".repeat(valueBytes + 1024), seen);
    const error = await bench.failure(() => bench.apply([put], bench.claim(seen), { n: 1 }));
    expect(["invalid_secret", "limit_exceeded"]).toContain(error.code);
    expect(await bench.readBack("DATABASE_URL", 1)).toBeUndefined();
  });

  hold("deletes what it was told to, and once more without complaint", null, async (bench) => {
    await bench.write({ DATABASE_URL: bench.value("gone"), STAYS: bench.value("stays") });
    const seen = await bench.observe();
    const remove = bench.delete("DATABASE_URL", seen);
    const [first] = await bench.apply([remove], bench.claim(seen));
    expect(first?.error).toBeNull();
    const after = await bench.observe();
    expect(nameIn(after, remove.name)).toBeUndefined();
    const [second] = await bench.apply([remove], bench.claim(after));
    expect(second?.error).toBeNull();
    expect(await bench.readBack("STAYS")).toContain("stays-");
  });

  hold("puts and deletes in one go", null, async (bench) => {
    await bench.write({ OLD_NAME: bench.value("old") });
    const seen = await bench.observe();
    const value = bench.value("new");
    const changes = [bench.put("NEW_NAME", value, seen), bench.delete("OLD_NAME", seen)];
    const results = await bench.apply(changes, bench.claim(seen));
    expect(results.map(({ error }) => error)).toEqual([null, null]);
    expect(await bench.readBack("NEW_NAME")).toBe(value);
    expect(await bench.readBack("OLD_NAME")).toBeUndefined();
  });
}
