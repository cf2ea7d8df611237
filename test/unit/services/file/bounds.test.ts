/** A document may be anybody's, and is read at one go: how long that takes must not be for its author to choose. */
import { describe, expect, test } from "vitest";
import { readYaml, toValue } from "../../../../services/file/tree.ts";
import { Allowance } from "../../../../services/file/yaml.ts";

const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join("");

const problemOf = (text: string): string | undefined => readYaml(text).faults[0]?.problem;

/** How much longer sixteen times as much takes. */
function growth(make: (count: number) => string, count: number): number {
  const ms = (text: string): number => {
    const started = performance.now();
    readYaml(text);
    return performance.now() - started;
  };
  const few = make(count);
  const many = make(16 * count);
  ms(few); // compiles the code
  const before = ms(few);
  return ms(many) / Math.max(before, ms(few));
}

describe("time grows with the text and no faster", () => {
  // Linear is about 16, quadratic about 256.
  test.each([
    ["aliases of one anchor", 1_000, (count: number) => `a: &a 1\nb: [${"*a,".repeat(count)}]`],
    ["different keys", 2_000, (count: number) => lines(count, (i) => `k${i}: 1\n`)],
    ["different keys within braces", 2_000, (count: number) => `{${lines(count, (i) => `k${i}: 1,`)}}`],
    ["anchors and an alias each", 1_000, (count: number) => lines(count, (i) => `- &a${i} 1\n- *a${i}\n`)],
  ])("%s", { timeout: 120_000 }, (_, count, make) => {
    expect(growth(make, count)).toBeLessThan(80);
  });
});

describe("aliases", () => {
  const valuesOf = (text: string): unknown => {
    const { tree } = readYaml(text);
    return tree === null ? null : toValue(tree);
  };

  test("take what was last set before them under their name", () => {
    expect(valuesOf("a: &x 1\nb: *x\nc: &x 2\nd: *x")).toEqual({ a: 1, b: 1, c: 2, d: 2 });
    expect(valuesOf("a: &x [&x 1, *x]\nb: *x")).toEqual({ a: [1, 1], b: 1 });
    expect(valuesOf("&k name: 1\nb: *k")).toEqual({ name: 1, b: "name" });
  });

  test("may be merged, and merged again, by other mappings", () => {
    expect(valuesOf("a: &a { x: 1, y: 1 }\nb: &b { <<: *a, y: 2 }\nc: { <<: [*b, *a], z: 3 }")).toEqual({
      a: { x: 1, y: 1 },
      b: { x: 1, y: 2 },
      c: { x: 1, y: 2, z: 3 },
    });
  });

  test("are not followed to what comes later, nor to what holds them", () => {
    expect(problemOf("a: *x\nb: &x 1")).toBe("an alias names an anchor that is not set before it");
    expect(problemOf("a: &x { b: { c: *x } }")).toBe("values are nested deeper than 64 levels");
  });

  test("count with everything that stands below their anchor, however high that is", () => {
    const many = `a: &a [${"0,".repeat(1_000)}]\nb: [${"*a,".repeat(200)}]`;
    expect(problemOf(many)).toContain("anchors multiply to more than");
    const steps = lines(7, (i) => `b${i}: &a${i + 1} ${"[".repeat(10)}*a${i}${"]".repeat(10)}\n`);
    expect(problemOf(`a: &a0 1\n${steps}`)).toBe("values are nested deeper than 64 levels");
  });
});

describe("a key that is given twice", () => {
  test("is told each time, where it stands", () => {
    const { tree, faults } = readYaml("a: 1\nb: { c: 1, c: 2 }\na: 2\n<<: {}\n<<: {}");
    expect(tree).toBeNull();
    expect(faults.map(({ problem }) => problem)).toEqual(Array(3).fill("this key is given twice"));
    expect(faults.map(({ at }) => [at.line, at.column])).toEqual([
      [2, 12],
      [3, 1],
      [5, 1],
    ]);
  });

  test("is so in whatever way it is written", () => {
    expect(problemOf("1: a\n'1': b")).toBe("this key is given twice");
  });
});

describe("a text is given up", () => {
  test.each([
    ["words and signs", "- a\n"],
    ["brackets", "["],
    ["line ends", "\n"],
    ["comments", "#\n"],
    ["tags", "- !x 1\n"],
    ["anchors", "- &a 1\n"],
  ])("that has too many %s, before anything is made of it", (_, piece) => {
    expect(readYaml(piece.repeat(900_000 / piece.length)).faults).toMatchObject([
      { problem: `the text consists of more than ${Allowance.MOST_PIECES} words and signs` },
    ]);
  });

  test("with what it includes", () => {
    const allowance = new Allowance();
    const text = "- a\n".repeat(40_000);
    expect(readYaml(text, "a.yaml", allowance).faults).toEqual([]);
    expect(readYaml(text, "b.yaml", allowance).faults).toMatchObject([
      { at: { file: "b.yaml" }, problem: expect.stringContaining("words and signs") },
    ]);
  });

  test("after a hundred faults", () => {
    expect(readYaml(`a: "${"\\q".repeat(5_000)}"`).faults).toHaveLength(100);
    expect(readYaml("a: 1\n".repeat(5_000)).faults).toHaveLength(100);
  });

  test("where it has a key that nobody can have meant", () => {
    expect(problemOf(`? ${"k".repeat(2_000)}\n: 1`)).toBe("the key is longer than 1024 characters");
  });

  test("where a tag would have values compared with each other", () => {
    expect(problemOf("a: !!omap [b: 1]")).toBe("tags are not supported");
  });
});
