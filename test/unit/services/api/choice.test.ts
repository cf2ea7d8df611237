import { describe, expect, test } from "vitest";
import { chooseLogin, suggest } from "../../../../services/api/choice.ts";
import { ApiProblem } from "../../../../services/api/problems.ts";
import type { BranchReading } from "../../../../services/sync/ports.ts";

const reading = (
  roles: Readonly<Record<string, boolean>>,
  databases: Readonly<Record<string, string>>,
): BranchReading => ({
  branch: {
    id: "br-1",
    name: "preview/x",
    parentId: null,
    default: false,
    protected: false,
    expiresAt: null,
    createdAt: new Date(0),
    state: "ready",
    annotations: {},
    endpoints: [],
  },
  roles: Object.entries(roles).map(([name, login]) => ({ name, login })),
  databases: Object.entries(databases).map(([name, owner]) => ({ name, owner })),
  passwords: new Map(),
});

const usual = reading({ owner: true, app: true, group: false }, { shop: "owner" });
const many = reading({ owner: true, app: true, other: true }, { shop: "owner", stats: "other" });

function refusal(work: () => unknown): Record<string, unknown> {
  try {
    work();
  } catch (thrown) {
    if (!(thrown instanceof ApiProblem)) throw thrown;
    const [parameter] = (thrown.options.members?.["parameters"] ?? []) as Record<string, unknown>[];
    return { code: thrown.code, ...parameter };
  }
  throw new Error("nothing was refused");
}

describe("chooseLogin()", () => {
  test.each([
    [usual, null, null, "owner", "shop"],
    [usual, "app", null, "app", "shop"],
    [usual, null, "shop", "owner", "shop"],
    [many, "other", null, "other", "stats"],
    [many, "app", "stats", "app", "stats"],
    [reading({ app: true, group: false }, { shop: "group" }), null, null, "app", "shop"],
  ])("case %#: takes what was named, else what alone can be meant", (from, role, database, r, d) => {
    expect(chooseLogin(from, { role, database })).toEqual({ role: r, database: d });
  });

  test.each([
    [usual, "nobody", null, "not_found", "role", ["owner", "app"]],
    [usual, "group", null, "invalid_request", "role", ["owner", "app"]],
    [usual, null, "shpo", "not_found", "database", ["shop"]],
    [many, null, null, "invalid_request", "database", ["shop", "stats"]],
    [many, "app", null, "invalid_request", "database", ["shop", "stats"]],
    [reading({ a: true, b: true }, { shop: "gone" }), null, null, "invalid_request", "role", ["a", "b"]],
    [reading({ group: false }, { shop: "group" }), null, null, "invalid_request", "role", []],
    [reading({ a: true }, {}), null, null, "invalid_request", "database", []],
  ])(
    "case %#: refuses, naming the parameter and what there is",
    (from, role, database, code, parameter, suggestions) => {
      const refused = refusal(() => chooseLogin(from, { role, database }));
      expect(refused).toMatchObject({ code, parameter, suggestions });
      expect(refused["problem"]).not.toBe("");
    },
  );
});

describe("suggest()", () => {
  test("puts the likeliest first, and does not list a thousand names", () => {
    const names = Array.from({ length: 1_000 }, (_, n) => `preview/${n}`);
    expect(suggest("preview/lgoin", ["main", "preview/login"])[0]).toBe("preview/login");
    expect(suggest("nothing-like-it", names)).toEqual([]);
    expect(suggest("preview/99", names)).toHaveLength(10);
  });
});
