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

/** Every request is answered by the next of `answers`. */
function open(target: object, answers: readonly Answer[]) {
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
  const block = vercel.block.parse({ project: "prj_shop", token: "env:TOKEN", team: "team_a" });
  const destination = vercel.open(block, () => new Secret("token"), io);
  return { destination, where: vercel.parseTarget(block, target), requests };
}

/** Puts A and B as creates. */
async function put(...answers: readonly Answer[]) {
  const { destination, where, requests } = open({ environment: "preview" }, answers);
  const claim = { intent: "i", token: "t", mark: MARK, observation: NOTHING };
  const results = await destination.apply(where, puts({ A: "value-a", B: "value-b" }, NOTHING), claim);
  const keys = requests.map(({ body }) =>
    body === undefined
      ? "list"
      : (JSON.parse(String(body)) as { key: string }[]).map(({ key }) => key).join(),
  );
  return { results, keys };
}

/** Changes A and B, which are there; `left`: what the next listing shows, null: nothing can be listed. */
async function change(
  op: "put" | "delete",
  target: { readonly shared?: boolean },
  answer: Answer,
  left: readonly object[] | null,
) {
  const list = (rows: readonly object[]): Answer => [200, { envs: rows, data: rows }];
  const { destination, where, requests } = open({ environment: "preview", ...target }, [
    list([row("A"), row("B")]),
    answer,
    left === null ? [500, ""] : list(left),
  ]);
  const [seen] = await destination.observe([where], { contents: false });
  if (seen === undefined) throw new Error("nothing was observed");
  const claim = { intent: "i", token: "t", mark: MARK, observation: seen };
  const changes =
    op === "put"
      ? puts({ A: "value-a", B: "value-b" }, seen)
      : seen.names.map((observed) => ({ op: "delete" as const, name: observed.name, observed }));
  return { results: await destination.apply(where, changes, claim), requests };
}

const update = async (answer: Answer, { listed }: { listed: readonly object[] | null }) =>
  await change("put", {}, answer, listed);

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

  describe("that took one and refused the other without a word that we know", () => {
    const refusal = { code: "SOMETHING", message: "not today" };
    const BEFORE = "branchline:inst-1/web-preview/br-1";

    test.each([
      ["names nobody", refusal],
      ["is nothing that can be read", { code: null, message: 7 }],
      ["is no object", "no"],
    ])("a refusal that %s is the one's that is as it was", async (_, error) => {
      const { results } = await update(
        [201, { created: [row("A", { updatedAt: 2000 })], failed: [{ error }] }],
        {
          listed: [row("A", { updatedAt: 2000 }), row("B")],
        },
      );
      expect(results.map(({ version }) => version)).toEqual(["2000", null]);
      expect(codes(results)).toEqual({ A: null, B: "internal" });
      expect(results[1]?.unsettled).toBe(true);
    });

    test("and nobody's that has moved on", async () => {
      const { results } = await update([201, { failed: [{ error: refusal }] }], {
        listed: [row("A", { updatedAt: 2000 }), row("B", { updatedAt: 3000 })],
      });
      expect(results.map(({ version, error }) => [version, error])).toEqual([
        ["2000", null],
        ["3000", null],
      ]);
    });

    test("or that is left out, and is as it was", async () => {
      const { results } = await update([201, { created: [row("A", { updatedAt: 2000 })], failed: [] }], {
        listed: [row("A", { updatedAt: 2000 }), row("B")],
      });
      expect(codes(results)).toEqual({ A: null, B: "internal" });
    });

    test("what names the other by its id is about that one", async () => {
      const failed = [{ error: { code: "KEY_RESERVED", message: "", envVarId: "id-B" } }];
      const { results } = await update([201, { created: [row("A", { updatedAt: 2000 })], failed }], {
        listed: [],
      });
      expect(codes(results)).toEqual({ A: null, B: "invalid_secret" });
    });

    test("a new name counts only if the record bears our mark", async () => {
      const failed = [{ error: refusal }];
      const there = [row("A", { comment: BEFORE }), row("B", { comment: "somebody's" })];
      const { results } = await put([201, { failed }], [200, { envs: there }]);
      expect(codes(results)).toEqual({ A: null, B: "internal" });
    });

    test("an answer that cannot be read says as little", async () => {
      const { results } = await update([201, "<html>"], {
        listed: [row("A", { updatedAt: 2000 }), row("B")],
      });
      expect(codes(results)).toEqual({ A: null, B: "internal" });
    });

    test("and where nothing can be listed either, nothing is told to be there", async () => {
      const { results } = await update([201, "<html>"], { listed: null });
      expect(results.map(({ unsettled, error }) => [unsettled, error?.code])).toEqual([
        [true, "internal"],
        [true, "internal"],
      ]);
    });
  });

  test("never lets Vercel's words or a value into its errors", async () => {
    const error = { code: "WHATEVER", message: "canary value-a", key: "A", value: "canary" };
    const { results } = await put([201, { created: [row("B")], failed: [{ error }] }]);
    expect(results[0]?.error?.code).toBe("internal");
    expect(JSON.stringify(results) + String(results[0]?.error?.stack)).not.toMatch(/canary|value-a/);
  });
});

describe.each([
  ["of the project", {}, (ids: readonly string[]) => ({ deleted: ids.length, ids })],
  ["that the team shares", { shared: true }, (ids: readonly string[]) => ({ deleted: ids, failed: [] })],
])("a removal of variables %s", (_, more, answered) => {
  const remove = async (answer: unknown, left: readonly object[] | null) =>
    (await change("delete", more, [200, answer], left)).results;

  test("is done where Vercel says which are gone", async () => {
    expect(codes(await remove(answered(["id-A", "id-B"]), null))).toEqual({ A: null, B: null });
  });

  test("is not done for one that is left out and still there", async () => {
    const results = await remove(answered(["id-A"]), [row("B")]);
    expect(codes(results)).toEqual({ A: null, B: "internal" });
    expect(results[1]?.unsettled).toBe(true);
  });

  test("is done for one that is left out, as it was gone before", async () => {
    expect(codes(await remove(answered(["id-A"]), []))).toEqual({ A: null, B: null });
  });

  test("is not done for one that is refused", async () => {
    const failed = [{ error: { code: "CHALLENGE_REQUIRED", message: "", envVarId: "id-B" } }];
    const results = await remove({ ...answered(["id-A"]), failed }, [row("B")]);
    expect(codes(results)).toEqual({ A: null, B: "forbidden" });
  });

  test("of which nothing can be read or listed is told of nobody", async () => {
    expect(codes(await remove("<html>", null))).toEqual({ A: "internal", B: "internal" });
    expect(codes(await remove("<html>", [row("A")]))).toEqual({ A: "internal", B: null });
  });
});
