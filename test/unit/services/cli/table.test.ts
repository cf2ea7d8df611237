import { describe, expect, test } from "vitest";
import { drawRows, screen } from "../../../../services/cli/table.ts";

const HEAD = ["branch", "because"];
const ROWS = [
  ["preview/x", "a reason that is rather long and goes on for a while, as reasons do"],
  ["main", "short"],
];
const widest = (text: string) => Math.max(...text.split("\n").map((line) => line.length));

describe("drawRows()", () => {
  test("fits the terminal by wrapping the widest column", () => {
    for (const width of [40, 50, 60]) {
      const text = drawRows(HEAD, ROWS, { width, colors: false });
      expect(widest(text)).toBeLessThanOrEqual(width);
      expect(text).toContain("preview/x");
      expect(text.replaceAll(/[^a-z]/g, "")).toContain("reasonsdo");
    }
  });

  test("neither wraps nor colours where nobody watches", () => {
    const text = drawRows(HEAD, [["\u001b[32mgreen\u001b[39m", "x".repeat(300)]], screen({ isTTY: false }));
    expect(text).toContain("x".repeat(300));
    expect(text).not.toContain("\u001b");
  });

  test("colours on a terminal, and does not count them as width", () => {
    const plain = drawRows(HEAD, ROWS, { width: 200, colors: false });
    const text = drawRows(HEAD, [["\u001b[32mpreview/x\u001b[39m", ROWS[0]?.[1] ?? ""], ROWS[1] ?? []], {
      width: 200,
      colors: true,
    });
    expect(text).toContain("\u001b[32m");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour begins with
    expect(text.replaceAll(/\u001b\[[0-9;]*m/g, "")).toBe(plain);
  });
});
