import { describe, expect, test } from "vitest";
import { destinations } from "../../../../services/destinations/index.ts";

const secret = "env:SECRET";
const CASES = [
  {
    kind: "vercel",
    block: { project: "shop-web", team: "acme", token: secret },
    target: { environment: "preview" },
  },
  { kind: "github", block: { repository: "acme/shop", token: secret }, target: { environment: "preview" } },
  { kind: "github", block: { organization: "acme", token: secret }, target: {} },
  {
    kind: "awsSecretsManager",
    block: { account: "123456789012", region: "eu-central-1", accessKey: { id: secret, secret } },
    target: { secretId: "preview/db" },
  },
  {
    kind: "vault",
    block: {
      address: "https://vault.internal",
      mount: "kv",
      auth: { approle: { roleId: secret, secretId: secret } },
    },
    target: { path: "preview" },
  },
];

/** As jsonb does it: every object comes back with its members in another order. */
function stored(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stored);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, member]) => [name, stored(member)]),
  );
}

describe("within()", () => {
  test.each(CASES)(
    "knows its own target again when it comes from the database: $kind $target",
    ({ kind, block, target }) => {
      const adapter = destinations.get(kind);
      const parsed = adapter?.block.parse(block);
      const made = adapter?.parseTarget(parsed, target);
      expect(adapter?.within?.(parsed, stored(made))).toBe(true);
    },
  );
});
