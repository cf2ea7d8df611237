import { describe, expect, test } from "vitest";
import { SyncError } from "../../../../services/sync/errors.ts";
import {
  checkTemplate,
  renderTarget,
  renderTemplate,
  templateVariables,
} from "../../../../services/sync/templates.ts";

const context = {
  branch: { id: "br-cool-tree-1", name: "preview/Feat/Ü-1" },
  source: { name: "shop" },
  rule: { name: "web-preview" },
};

describe("renderTemplate()", () => {
  test.each([
    ["plain", "plain"],
    ["", ""],
    ["${branch.name}", "preview/Feat/Ü-1"],
    ["${branch.name|after:preview/}", "Feat/Ü-1"],
    ["${ branch.name | lower }", "preview/feat/ü-1"],
    ["${branch.name|after:preview/|slug}", "feat-u-1"],
    ["${branch.id}-${source.name}/${rule.name}", "br-cool-tree-1-shop/web-preview"],
    ["$${branch.name}", "${branch.name}"],
    ["a$b $ $$", "a$b $ $$"],
    ["$${x}${source.name}", "${x}shop"],
  ])("%s gives %s", (template, expected) => {
    expect(renderTemplate(template, context)).toBe(expected);
  });

  test("hash is short, stable, and differs by value", () => {
    const hash = renderTemplate("${branch.name|hash}", context);
    expect(hash).toMatch(/^[0-9a-f]{8}$/);
    expect(renderTemplate("${branch.name|hash}", context)).toBe(hash);
    expect(renderTemplate("${branch.id|hash}", context)).not.toBe(hash);
  });

  test("does not look again at what it filled in", () => {
    const sly = { ...context, branch: { id: "b", name: "${rule.name}" } };
    expect(renderTemplate("${branch.name}", sly)).toBe("${rule.name}");
  });

  test.each([
    ["${branch.name|after:feature/}", 'does not start with "feature/"'],
    ["${branch.nmae}", 'did you mean "branch.name"?'],
    ["${role.password}", "is unknown"],
    ["${branch.name|aftr:x}", 'did you mean "after"?'],
    ["${branch.name|after}", "needs a prefix"],
    ["${branch.name|lower:x}", "takes nothing"],
    ["${branch.name", "is not closed"],
    ["${}", "is unknown"],
    ["${branch.name|toString}", "is unknown"],
    ["${branch.name|after:preview/Feat/Ü-1}", "is empty"],
  ])("refuses %s", (template, why) => {
    const refused = caught(() => renderTemplate(template, context, "target.gitBranch"));
    expect(refused.code).toBe("invalid_target");
    expect(refused.message).toMatch(/^target\.gitBranch: /);
    expect(refused.message).toContain(why);
  });

  test("refuses a slug of nothing", () => {
    const odd = { ...context, branch: { id: "b", name: "日本" } };
    expect(() => renderTemplate("${branch.name|slug}", odd)).toThrow("no letter or digit");
  });
});

describe("renderTarget()", () => {
  test("fills in strings however deep and leaves the rest", () => {
    const target = { a: "${source.name}", list: [{ b: "${branch.id}" }], n: 1, t: true, z: null };
    expect(renderTarget(target, context)).toEqual({
      a: "shop",
      list: [{ b: "br-cool-tree-1" }],
      n: 1,
      t: true,
      z: null,
    });
  });

  test("names the exact place of what cannot be filled in", () => {
    const refused = caught(() => renderTarget({ list: ["x", { b: "${nope}" }] }, context));
    expect(refused.message).toMatch(/^target\.list\[1\]\.b: in \$\{nope\}/);
  });
});

describe("checkTemplate()", () => {
  test("needs no branch to find what can never work", () => {
    expect(checkTemplate("${branch.name|after:preview/}")).toBeNull();
    expect(checkTemplate("${branch.nam}")).toContain("did you mean");
  });
});

describe("templateVariables()", () => {
  test("lists what differs between branches", () => {
    expect(templateVariables("${source.name}/${branch.name|slug}")).toEqual(["source.name", "branch.name"]);
    expect(templateVariables("fixed $${branch.name}")).toEqual([]);
  });
});

function caught(act: () => unknown): SyncError {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof SyncError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}
