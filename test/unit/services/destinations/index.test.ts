import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";
import { destinations } from "../../../../services/destinations/index.ts";

test.each([...destinations])(
  "%s can say what it takes as JSON Schema, for the editor",
  (_, { block, target }) => {
    for (const schema of [block, target]) {
      expect(z.toJSONSchema(schema, { io: "input" })).toMatchObject({
        type: "object",
        additionalProperties: false,
      });
    }
  },
);

test("every kind is listed under its own name and has a conformance test", () => {
  const tests = readdirSync(new URL("../../../conformance/", import.meta.url));
  for (const [kind, adapter] of destinations) {
    expect(adapter.kind).toBe(kind);
    const file = kind.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    expect(tests).toContain(`${file}.test.ts`);
  }
});
