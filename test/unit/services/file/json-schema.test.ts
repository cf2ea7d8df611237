import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { schema } from "../../../../infra/schema.ts";
import { validates } from "../../../support/json-schema.ts";

const stored: unknown = JSON.parse(
  readFileSync(new URL("../../../../infra/branchline.schema.json", import.meta.url), "utf8"),
);
const example = parse(readFileSync(new URL("example.yaml", import.meta.url), "utf8"));
const accepts = (file: unknown) => validates(stored, file);

describe("jsonSchema()", () => {
  test("is what is stored: npm run schema writes it anew", () => {
    expect(JSON.parse(JSON.stringify(schema))).toEqual(stored);
  });

  test("takes the example of the documentation", () => {
    expect(accepts(example)).toBe(true);
  });

  test.each([
    ["a misspelt section", { ruels: {} }],
    ["an unknown kind", { sources: { shop: { noen: {} } } }],
    ["a credential that is pasted", { sources: { shop: { neon: { project: "p", apiKey: "napi_pasted" } } } }],
    ["a misspelt field", { rules: { web: { extends: "x", teir: "page" } } }],
    ["a wrong word", { rules: { web: { extends: "x", tier: "loud" } } }],
  ])("refuses %s", (_, file) => {
    expect(accepts(file)).toBe(false);
  });

  test("takes a rule that only says what differs, null, and x- keys", () => {
    const rule = { extends: "web", tier: null, connection: { applicationName: null }, "x-note": "mine" };
    expect(accepts({ "x-mine": 1, rules: { api: rule } })).toBe(true);
  });
});
