import { expect, test } from "vitest";
import { neonSource } from "../../../../services/sources/neon.ts";
import { sharesOf } from "../../../../services/sync/limits.ts";

const limitsOf = (block: object) =>
  neonSource.limits?.(
    neonSource.block.parse({ project: "p-1", apiKey: "env:KEY", ...block }) as never,
    ({ ref }) => `print of ${ref}`,
  );

test("every call counts against 700 a minute and 40 a second", () => {
  const limits = limitsOf({});
  const sharesIn = (path: string) =>
    limits &&
    sharesOf(limits, { method: "GET", operation: `GET /projects/{id}${path}` }).map(
      ({ limit, calls, cost }) => [limit, calls, cost],
    );
  expect(sharesIn("/operations")).toEqual([
    ["minute", 700, 1],
    ["second", 40, 1],
  ]);
  expect(sharesIn("/branches/{id}/roles/{id}/reveal_password")).toEqual([
    ["minute", 700, 1],
    ["reveal", 40, 1],
  ]);
});

test("projects with one key share its limits", () => {
  expect(limitsOf({ project: "p-2" })?.account).toBe("neon console.neon.tech print of env:KEY");
  expect(limitsOf({ apiKey: "env:OTHER" })?.account).not.toBe(limitsOf({})?.account);
});
