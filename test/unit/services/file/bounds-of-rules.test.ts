/** What a document of some thousand rules may cost after it has been read. */
import { expect, test } from "vitest";
import { ConfigurationError } from "../../../../services/config.ts";
import { memory } from "../../../../services/destinations/memory.ts";
import { loadText } from "../../../../services/file/load.ts";
import { neonSource } from "../../../../services/sources/neon.ts";
import type { DestinationAdapter, SourceAdapter } from "../../../../services/sync/ports.ts";

const adapters = {
  sources: [neonSource as SourceAdapter],
  destinations: [memory] as readonly DestinationAdapter[],
};

const many = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join("");

const HEAD = `sources: { shop: { neon: { project: wispy-1, apiKey: "env:KEY" } } }
destinations: { box: { memory: { store: s } } }
rules:
`;
const RULE =
  "source: shop, branches: main, role: app, database: shop, destination: box, target: { environment: preview }";

function problemsOf(rules: string): readonly string[] {
  try {
    loadText(HEAD + rules, { adapters, refuse: () => null });
  } catch (thrown) {
    if (thrown instanceof ConfigurationError) return thrown.problems.map(({ problem }) => problem);
    throw thrown;
  }
  return [];
}

test("rules that extend a large one are told of before they fill the memory", () => {
  const base = `  x-b: { ${RULE}, variables: { ${many(400, (i) => `V${i}: pooled, `)} } }\n`;
  expect(problemsOf(base + many(400, (i) => `  r${i}: { extends: x-b }\n`))).toContain(
    "what rules extend multiplies to more than 100000 values",
  );
});

test("a rule that extends one again and again is charged for each time", () => {
  const base = `  x-b: { ${RULE}, variables: { ${many(400, (i) => `V${i}: pooled, `)} } }\n`;
  expect(problemsOf(`${base}  r: { extends: [${"x-b, ".repeat(400)}] }\n`)).toContain(
    "what rules extend multiplies to more than 100000 values",
  );
});

test("rules that extend one another to no end are refused, and do not break the stack", () => {
  const chain = many(3_000, (i) => `  r${i}: { extends: r${i + 1} }\n`);
  expect(problemsOf(`${chain}  r3000: { ${RULE}, variables: { V: pooled } }\n`).join()).toContain(
    "more than 64 rules extend one another",
  );
});

test("no more than a hundred problems are told, and that there are more", () => {
  const problems = problemsOf(many(300, (i) => `  r${i}: { extends: nobody-${i} }\n`));
  expect(problems).toHaveLength(101);
  expect(problems).toContain("more than 100 problems: only those found first are told");
});

test("an expression of any length is not taken apart", () => {
  const long = `  r: { ${RULE}, variables: { V: "pooled?${many(2_000, (i) => `p${i}=1&`)}z=1" } }\n`;
  expect(problemsOf(long)).toContain("an expression is longer than 4096 characters");
});
