/** Answers of Vercel that the stand-in does not give: seen in the wild, or allowed by its documentation. */
import { describe, expect, test } from "vitest";
import { vercel } from "../../../../services/destinations/vercel.ts";
import type { Io, Observation, OutgoingRequest } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { codes, MARK, puts } from "./hand.ts";

type Answer = readonly [status: number, body: unknown];

const NOTHING: Observation = {
  complete: true,
  contents: true,
  exists: true,
  version: null,
  mark: null,
  foreign: null,
  names: [],
};

const row = (key: string, more: Record<string, unknown> = {}) => ({
  id: `id-${key}`,
  key,
  type: "sensitive",
  target: ["preview"],
  updatedAt: 1000,
  ...more,
});

/** Puts A and B as creates; every request is answered by the next of `answers`. */
async function put(...answers: readonly Answer[]) {
  const requests: OutgoingRequest[] = [];
  const io: Io = {
    signal: new AbortController().signal,
    fingerprint: () => "f",
    fetch: async (request) => {
      const [status, body] = answers[requests.push(request) - 1] ?? [500, ""];
      const text = typeof body === "string" ? body : JSON.stringify(body);
      return { status, headers: {}, body: text, requestId: "req", date: undefined };
    },
  };
  const block = vercel.block.parse({ project: "shop", token: "env:TOKEN" });
  const destination = vercel.open(block, () => new Secret("token"), io);
  const target = vercel.parseTarget(block, { environment: "preview" });
  const claim = { intent: "i", token: "t", mark: MARK, observation: NOTHING };
  const results = await destination.apply(target, puts({ A: "value-a", B: "value-b" }, NOTHING), claim);
  const keys = requests.map(({ body }) =>
    body === undefined
      ? "list"
      : (JSON.parse(String(body)) as { key: string }[]).map(({ key }) => key).join(),
  );
  return { results, keys };
}

describe("a batch", () => {
  test("that answers without `created` is completed by one listing", async () => {
    const { results, keys } = await put([201, { failed: [] }], [200, { envs: [row("A"), row("B")] }]);
    expect(results.map(({ version, unsettled }) => [version, unsettled])).toEqual([
      ["1000", false],
      ["1000", false],
    ]);
    expect(keys).toEqual(["A,B", "list"]);
  });

  test("that answers without `created` and cannot be listed is unsettled, not failed", async () => {
    const { results } = await put([201, { failed: [] }], [500, ""]);
    expect(results.map(({ error, unsettled }) => [error, unsettled])).toEqual([
      [null, true],
      [null, true],
    ]);
  });

  test("that is refused whole for one item is sent again without it", async () => {
    const problem = { error: { code: "INVALID_VALUE", message: "no", envVarKey: "A" } };
    const { results, keys } = await put([400, problem], [201, { created: [row("B")], failed: [] }]);
    expect(codes(results)).toEqual({ A: "invalid_secret", B: null });
    expect(keys).toEqual(["A,B", "B"]);
  });

  test("that fails for every item is read item by item", async () => {
    const failed = [
      { error: { code: "ENV_CONFLICT", message: "on branch undefined", key: "A" } },
      { error: { code: "KEY_RESERVED", message: "", envVarKey: "B" } },
    ];
    const body = { error: { code: "BAD_REQUEST", message: "No environment variables were created" }, failed };
    const { results } = await put([400, body], [200, { envs: [row("A")] }]);
    expect(codes(results)).toEqual({ A: "not_owned", B: "invalid_secret" });
  });

  test("that meets our own record of an attempt before is written as ours", async () => {
    const comment = "branchline:inst-1/web-preview/br-1";
    const failed = [{ error: { code: "ENV_CONFLICT", message: "", key: "A" } }];
    const { results, keys } = await put(
      [201, { created: [row("B")], failed }],
      [200, { envs: [row("A", { comment }), row("B")] }],
      [201, { created: row("A", { updatedAt: 2000 }), failed: [] }],
    );
    expect(codes(results)).toEqual({ A: null, B: null });
    expect(results[0]?.version).toBe("2000");
    expect(keys).toEqual(["A,B", "list", "A"]);
  });

  test.each([
    [400, { error: { code: "bad_request", message: "another env update in progress" } }, "unavailable"],
    [
      400,
      { error: { code: "BAD_REQUEST", message: "A production secret must have a value of its own" } },
      "policy",
    ],
    [400, { error: { code: "challenge_required", message: "" } }, "forbidden"],
    [403, { err: { code: "forbidden", message: "Not authorized", invalidToken: true } }, "unauthenticated"],
    [402, { error: { code: "payment_required", message: "" } }, "limit_exceeded"],
    [404, { error: { code: "not_found", message: "" } }, "target_missing"],
    [409, "<html>", "conflict"],
  ])("answered %i %j is %s for all", async (status, body, code) => {
    const { results, keys } = await put([status, body]);
    expect(codes(results)).toEqual({ A: code, B: code });
    expect(keys).toHaveLength(1);
  });

  test("lost in a gateway may have landed", async () => {
    const { results } = await put([502, "<html>"]);
    expect(results.map(({ unsettled, error }) => [unsettled, error?.ambiguous])).toEqual([
      [true, true],
      [true, true],
    ]);
  });

  test("never lets Vercel's words or a value into its errors", async () => {
    const error = { code: "WHATEVER", message: "canary value-a", key: "A", value: "canary" };
    const { results } = await put([201, { created: [row("B")], failed: [{ error }] }]);
    expect(results[0]?.error?.code).toBe("internal");
    expect(JSON.stringify(results) + String(results[0]?.error?.stack)).not.toMatch(/canary|value-a/);
  });
});
