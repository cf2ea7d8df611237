import { describe, expect, expectTypeOf, test } from "vitest";
import { adminRouter } from "../../../../services/api/app.ts";
import { BranchlineError, createBranchline } from "../../../../services/api/client.ts";
import * as operations from "../../../../services/api/operations.ts";
import { harness, someBinding, TOKEN, uuid } from "./harness.ts";

const { app } = harness();
const branchline = createBranchline({
  url: "http://branchline.test/",
  token: TOKEN,
  fetch: async (request) => await app.request(request),
});

describe("createBranchline()", () => {
  test("asks with the server's own shapes, and answers in them", async () => {
    const page = await branchline.listBindings({ query: { destination: "web", limit: "2" } });
    expect([page.items.length, page.next]).toEqual([2, expect.any(String)]);
    expectTypeOf(page.items[0]?.wanted).toEqualTypeOf<number | undefined>();
    const one = await branchline.getBinding({ params: { id: uuid(1) } });
    expect(one).toEqual(someBinding(1));
    const told = await branchline.adoptBinding({
      params: { id: uuid(1) },
      body: { names: ["A"] },
      idempotencyKey: "k",
    });
    expectTypeOf(told.names).toEqualTypeOf<readonly string[]>();
    const made = await branchline.createToken({ body: { name: "ci", scopes: ["read"] } });
    expect(made.token).toBe("blt_canary");
    expect(await branchline.exportAudit()).toBe("");
    // @ts-expect-error: the types must refuse a call without its id; the check fails if they do not
    await expect(branchline.getBinding()).rejects.toThrow();
  });

  test("a refusal is an error with its code, and the problem's members", async () => {
    const wrong = createBranchline({
      url: "http://branchline.test",
      token: "wrong",
      fetch: async (request) => await app.request(request),
    });
    const thrown = await wrong.listSources().catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(BranchlineError);
    expect(thrown).toMatchObject({ status: 401, code: "unauthenticated" });
    await expect(branchline.listSources({ query: { name: "" } })).rejects.toMatchObject({
      code: "invalid_request",
      problem: { parameters: [{ parameter: "name", pointer: "/query/name" }] },
    });
  });

  test("has every operation whose answer ends and is no metrics text", () => {
    const served = adminRouter(harness().deps).operations.map(({ id }) => id);
    const offered = new Set(Object.values(operations).map(({ id }) => id));
    expect(served.filter((id) => !offered.has(id))).toEqual(["scrapeMetrics", "streamChanges"]);
  });
});
