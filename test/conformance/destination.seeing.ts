/** Cases of the destination suite: targets, check() and observe(). */
import { expect } from "vitest";
import { Secret } from "../../services/sync/secret.ts";
import { fingerprint, nameIn } from "./destination.bench.ts";
import type { Hold } from "./destination.suite.ts";

export function describeSeeing(hold: Hold): void {
  hold("gives one target one place, and two targets two", null, async (bench) => {
    const { adapter } = bench;
    expect(adapter.place(bench.target(0))).toBe(adapter.place(bench.target(0)));
    expect(adapter.place(bench.target(0))).not.toBe(adapter.place(bench.target(1)));
    expect(adapter.container(bench.target(0))).toBe(adapter.container(bench.target(0)));
  });

  hold("knows its own target again after both lay in the database", null, async (bench) => {
    const stored = <T>(value: T): T => JSON.parse(JSON.stringify(value));
    const { adapter } = bench;
    const target = bench.target(0);
    expect(adapter.within?.(stored(bench.block), stored(target))).toBe(true);
    expect(adapter.place(stored(target))).toBe(adapter.place(target));
  });

  hold("refuses a target that it cannot mean", null, async (bench) => {
    const error = await bench.failure(() => bench.adapter.parseTarget(bench.block, bench.fixture.badTarget));
    expect(error.code).toBe("invalid_target");
    const unknown = await bench.failure(() =>
      bench.adapter.parseTarget(bench.block, { ...Object(bench.fixture.target(0)), nonsense: true }),
    );
    expect(unknown.code).toBe("invalid_target");
  });

  hold("refuses a block with a field that it does not know", null, async (bench) => {
    const block = { ...Object(bench.fixture.block), nonsense: true };
    expect(bench.adapter.block.safeParse(block).success).toBe(false);
  });

  hold("normalises a name once and for all", null, async (bench) => {
    const once = bench.traits.normaliseName("database_url");
    expect(bench.traits.normaliseName(once)).toBe(once);
    expect(bench.traits.refuseName(once)).toBeNull();
  });

  hold("checks a target that exists without changing it", null, async (bench) => {
    await bench.destination.check(bench.target(0));
    expect((await bench.observe()).names).toEqual([]);
  });

  hold(
    "says when the target does not exist",
    (bench) => bench.fixture.missingTarget !== null,
    async (bench) => {
      const missing = bench.adapter.parseTarget(bench.block, bench.fixture.missingTarget);
      expect((await bench.failure(() => bench.destination.check(missing))).code).toBe("target_missing");
    },
  );

  hold("sees nothing where nothing is", null, async (bench) => {
    const seen = await bench.observe();
    expect(seen).toMatchObject({ complete: true, names: [], foreign: null });
    expect(seen.exists).toBe(bench.traits.grain === "per-name");
  });

  hold("sees what it has put", null, async (bench) => {
    const value = bench.value("first");
    const [applied] = await bench.write({ DATABASE_URL: value });
    const seen = await bench.observe();
    const name = nameIn(seen, bench.traits.normaliseName("DATABASE_URL"));
    expect(name?.foreign).toBeNull();
    const version = bench.traits.grain === "atomic" ? seen.version : name?.version;
    expect(applied?.version).toBe(version);
    expect(version).not.toBeNull();
    if (bench.traits.values === "readable") expect(name?.fingerprint).toBe(fingerprint(new Secret(value)));
    if (bench.traits.values === "write-only") expect(name?.fingerprint).toBeNull();
    if (bench.traits.mark) {
      const mark = bench.traits.grain === "atomic" ? seen.mark : name?.mark;
      expect(mark).toEqual({
        installation: "inst-1",
        rule: "web-preview",
        branch: "br-cool-darkness-123456",
      });
    }
  });

  hold("sees an edit from outside as a new version", null, async (bench) => {
    await bench.write({ DATABASE_URL: bench.value("ours") });
    const before = await bench.observe();
    await bench.tick();
    await bench.putForeign("DATABASE_URL", bench.value("theirs"));
    const after = await bench.observe();
    const name = bench.traits.normaliseName("DATABASE_URL");
    const versions = [before, after].map((seen) =>
      bench.traits.grain === "atomic" ? seen.version : nameIn(seen, name)?.version,
    );
    expect(versions[1]).not.toBe(versions[0]);
    const hashes = [before, after].map((seen) => nameIn(seen, name)?.fingerprint);
    if (bench.traits.values === "readable") expect(hashes[1]).not.toBe(hashes[0]);
  });

  hold("keeps the targets of one container apart", null, async (bench) => {
    await bench.write({ DATABASE_URL: bench.value("zero") }, 0);
    await bench.write({ DATABASE_URL: bench.value("one"), OTHER: bench.value("other") }, 1);
    const targets = [0, 1, 2].map((n) => bench.target(n));
    const together = targets.every(
      (t) => bench.adapter.container(t) === bench.adapter.container(bench.target(0)),
    );
    const seen = together
      ? await bench.destination.observe(targets, { contents: true })
      : await Promise.all([0, 1, 2].map((n) => bench.observe(n)));
    expect(seen.map(({ names }) => names.length)).toEqual([1, 2, 0]);
    expect(await bench.readBack("DATABASE_URL", 0)).toContain("zero-");
    expect(await bench.readBack("DATABASE_URL", 1)).toContain("one-");
  });

  hold(
    "lists many targets of one container with the calls of one",
    (bench) => bench.adapter.container(bench.target(0)) === bench.adapter.container(bench.target(2)),
    async (bench) => {
      const targets = [0, 1, 2].map((n) => bench.target(n));
      await bench.destination.observe(targets, { contents: true }); // what is kept per account is known now
      const start = await bench.fixture.calls();
      await bench.observe(0);
      const one = (await bench.fixture.calls()) - start;
      await bench.destination.observe(targets, { contents: true });
      expect((await bench.fixture.calls()) - start - one).toBe(one);
      expect(one).toBe(1);
    },
  );
}
