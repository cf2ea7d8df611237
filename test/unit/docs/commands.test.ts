/** Whatever the docs tell somebody to type is there: the command, the one below it, and every option. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { entriesOf } from "../../../services/cli/completion.ts";
import { programOf } from "../../../services/cli/program.ts";

const root = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const pages = [
  "README.md",
  "ARCHITECTURE.md",
  ...readdirSync(root("docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

/** What follows `branchline` in code: between backquotes, or at the beginning of a line of a block. */
function commandLines(text: string): string[] {
  const inline = [...text.matchAll(/`branchline ([a-z][^`\n]*)`/g)];
  const blocks = [...text.matchAll(/^ *(?:- run: |\$ )?(?:npx )?branchline ([a-z].*)$/gm)];
  return [...inline, ...blocks].map(([, line = ""]) => line);
}

const entries = entriesOf(await programOf());

test.each(pages)("%s names commands and options that there are", (page) => {
  const unknown = commandLines(readFileSync(root(page), "utf8")).flatMap((line) => {
    const words = line.replaceAll(/"[^"]*"/g, "text").split(/\s+/);
    const [first = "", second = ""] = words;
    const one = entries.find(({ path }) => path.length === 1 && path[0] === first);
    const below = entries.find(({ path }) => path.join(" ") === `${first} ${second}`);
    if (one === undefined) return [`${line}: no command ${first}`];
    const known = [...one.options, ...(below?.options ?? [])];
    return words
      .filter((word) => /^--[a-z]/.test(word) && !known.includes(word.replace(/=.*/, "")))
      .map((option) => `${line}: no option ${option}`);
  });
  expect(unknown).toEqual([]);
});

test("the pages name most of the commands", () => {
  const named = new Set(
    pages.flatMap((page) =>
      commandLines(readFileSync(root(page), "utf8")).map((line) => line.split(/\s+/)[0]),
    ),
  );
  expect(named.size).toBeGreaterThan(20);
});
