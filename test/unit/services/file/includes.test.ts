import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigurationError } from "../../../../services/config.ts";
import { createMemoryDestination } from "../../../../services/destinations/memory.ts";
import { loadFile } from "../../../../services/file/load.ts";
import { memorySource } from "../../../../services/sources/memory.ts";

const adapters = { sources: [memorySource([])], destinations: [createMemoryDestination()] };
const ACCOUNTS = `sources: { shop: { memory: { project: p } } }
destinations: { store: { memory: { store: s } } }
`;
const rule = (name: string) => `rules:
  ${name}:
    source: shop
    branches: "preview/**"
    role: app
    database: app
    destination: store
    target: { environment: preview, group: ${name} }
    variables: { DATABASE_URL: pooled }
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "branchline-includes-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

const load = () => loadFile(join(folder, "branchline.yaml"), { adapters, refuse: () => null });

function problems(): string[] {
  try {
    load();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.problems.map(({ where, problem }) => `${where}: ${problem}`);
  }
}

describe("includes", () => {
  test("several files are read as one, also by a pattern, and from included ones", () => {
    write({
      "branchline.yaml": `includes: [accounts.yaml, rules/*.yaml]\n${rule("main")}`,
      "accounts.yaml": ACCOUNTS,
      "rules/a.yaml": `includes: ../more/b.yaml\n${rule("a")}`,
      "more/b.yaml": rule("b"),
      "rules/not-this.txt": "x",
    });
    expect(
      load()
        .rules.map(({ name }) => name)
        .sort(),
    ).toEqual(["a", "b", "main"]);
  });

  test("extends works over files", () => {
    write({
      "branchline.yaml": `includes: a.yaml\n${ACCOUNTS}rules:\n  b: { extends: a, target: { group: b } }\n`,
      "a.yaml": rule("a"),
    });
    expect(load().rules.map(({ target }) => target["group"])).toEqual(["b", "a"]);
  });

  test("what is wrong in a file names that file and its line", () => {
    write({
      "branchline.yaml": `includes: [a.yaml]\n${ACCOUNTS}`,
      "a.yaml": rule("a").replace("role: app", "rol: app"),
    });
    expect(problems()).toContainEqual('a.yaml:5:5 rules.a.rol: there is no "rol" here');
  });

  test.each([
    [
      "a cycle",
      { "a.yaml": "includes: b.yaml", "b.yaml": "includes: a.yaml" },
      "a.yaml",
      "b.yaml:1:11 includes[0]: includes itself: branchline.yaml -> a.yaml -> b.yaml -> a.yaml",
    ],
    [
      "the same file twice",
      { "a.yaml": rule("a") },
      "[a.yaml, a.yaml]",
      "branchline.yaml:1:20 includes[1]: a.yaml is included at branchline.yaml:1:12 already",
    ],
    [
      "the same rule in two files",
      { "a.yaml": rule("one"), "b.yaml": rule("one") },
      "[a.yaml, b.yaml]",
      "b.yaml:2:3 rules.one: this is given at a.yaml:2:3 already",
    ],
    [
      "a file that is not there",
      {},
      "a.yaml",
      "branchline.yaml:1:11 includes[0]: there is no file a.yaml in the folder of the main file",
    ],
    [
      "a pattern without files",
      {},
      "[rules/*.yaml]",
      "branchline.yaml:1:12 includes[0]: there is no file that this pattern matches",
    ],
    [
      "a way out",
      {},
      "../a.yaml",
      "branchline.yaml:1:11 includes[0]: leads out of the folder of the main file",
    ],
    [
      "an absolute path",
      {},
      "/etc/passwd",
      "branchline.yaml:1:11 includes[0]: leads out of the folder of the main file",
    ],
    [
      "no path",
      {},
      "[{ a: 1 }]",
      "branchline.yaml:1:12 includes[0]: expected the path of a file, or a pattern such as rules/*.yaml",
    ],
  ] as const)("%s is told with its places", (_, files, includes, problem) => {
    write({ "branchline.yaml": `includes: ${includes}\n${ACCOUNTS}`, ...files });
    expect(problems()).toContain(problem);
  });

  test("a link that leads out of the folder is not followed", () => {
    const outside = mkdtempSync(join(tmpdir(), "branchline-outside-"));
    try {
      writeFileSync(join(outside, "secret.yaml"), rule("stolen"));
      write({ "branchline.yaml": `includes: link.yaml\n${ACCOUNTS}` });
      symlinkSync(join(outside, "secret.yaml"), join(folder, "link.yaml"));
      expect(problems()[0]).toContain("there is no file link.yaml");
    } finally {
      rmSync(outside, { recursive: true, force: true });
    }
  });

  test("the same keys of one's own in two files disturb nobody", () => {
    write({ "branchline.yaml": `includes: a.yaml\nx-a: 1\n${ACCOUNTS}`, "a.yaml": `x-a: 2\n${rule("a")}` });
    expect(load().rules).toHaveLength(1);
  });
});
