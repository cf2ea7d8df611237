import { describe, expect, test } from "vitest";
import type { SourceEndpoint } from "../../../../services/sync/ports.ts";
import { agrees, factsFor, inputs } from "../../../../services/sync/reconcile.ts";

const endpoint = (over: Partial<SourceEndpoint>): SourceEndpoint => ({
  id: "ep-b-2",
  name: "analytics",
  host: "ep-b-2.eu.aws.neon.tech",
  type: "read_only",
  disabled: false,
  active: true,
  ...over,
});
const rule = { variables: { READ_URL: "pooled.url?replica=analytics", DATABASE_URL: "pooled" } };
const plain = { variables: { DATABASE_URL: "pooled" } };
const preview = { default: false, protected: false };
const having = { endpoints: [endpoint({})] };
const without = { endpoints: [endpoint({ type: "read_write", name: null })] };
const text = (branch: typeof having) => inputs(1, "place", [], factsFor(rule, preview, branch));

describe("factsFor()", () => {
  test("says where a named replica is, and nothing of those that nobody names", () => {
    expect(factsFor(rule, preview, having)).toEqual(["", "analytics=ep-b-2.eu.aws.neon.tech"]);
    expect(factsFor(rule, preview, without)).toEqual(["", "analytics=absent"]);
    expect(factsFor(plain, preview, having)).toEqual(factsFor(plain, preview, without));
  });

  test("counts a disabled replica as absent", () => {
    expect(factsFor(rule, preview, { endpoints: [endpoint({ disabled: true })] })[1]).toBe(
      "analytics=absent",
    );
  });

  test("moves when the branch becomes production, and once for both ways to be it", () => {
    const crowned = factsFor(plain, { default: true, protected: false }, without);
    expect(crowned).not.toEqual(factsFor(plain, preview, without));
    expect(factsFor(plain, { default: true, protected: true }, without)).toEqual(crowned);
  });
});

describe("agrees()", () => {
  test("refuses a reading that shows the replica elsewhere than the inputs say", () => {
    expect(agrees(text(having), rule, having)).toBe(true);
    expect(agrees(text(without), rule, without)).toBe(true);
    expect(agrees(text(without), rule, having)).toBe(false);
    expect(agrees(text(having), rule, without)).toBe(false);
  });

  test("has nothing to say of rules that name none", () => {
    expect(agrees(text(without), plain, having)).toBe(true);
    expect(agrees(null, plain, having)).toBe(true);
  });
});
