import { describe, expect, test } from "vitest";
import type { Caller, Order, Tell } from "../../../../services/api/ports.ts";
import { ApiProblem } from "../../../../services/api/problems.ts";
import { AUTHORIZED, harness, someBinding, uuid } from "./harness.ts";

interface Heard {
  readonly id: string;
  readonly order: Order;
  readonly caller: Caller;
}

/** The app, and what was told to bindings through it. */
function listening(tell?: Tell) {
  const heard: Heard[] = [];
  const { app } = harness({
    tell: async (id, order, caller) => {
      heard.push({ id, order, caller });
      if (tell !== undefined) return await tell(id, order, caller);
      return { binding: someBinding(1), names: ["DATABASE_URL"], note: "said" };
    },
  });
  const post = async (path: string, body?: unknown) =>
    await app.request(`/v1/bindings/${path}`, {
      method: "POST",
      headers: { ...AUTHORIZED, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  return { heard, post };
}

describe("POST /v1/bindings/:id/...", () => {
  test.each(["push", "release", "suspend", "resume"])(
    "%s is told as it is, with who said it",
    async (command) => {
      const { heard, post } = listening();
      const answer = await post(`${uuid(1)}/${command}`);
      expect(answer.status).toBe(200);
      expect(await answer.json()).toEqual({
        binding: { ...someBinding(1) },
        names: ["DATABASE_URL"],
        note: "said",
      });
      expect(heard).toMatchObject([
        { id: uuid(1), order: { command }, caller: { principal: { name: "admin token" } } },
      ]);
      expect(heard[0]?.caller.requestId).not.toBe("");
    },
  );

  test("adopt takes names and what to expect, and expects the same unless told otherwise", async () => {
    const { heard, post } = listening();
    await post(`${uuid(1)}/adopt`);
    await post(`${uuid(1)}/adopt`, { names: ["A"], expect: "replace-unreadable" });
    expect(heard.map(({ order }) => order)).toEqual([
      { command: "adopt", names: null, expect: "same" },
      { command: "adopt", names: ["A"], expect: "replace-unreadable" },
    ]);
  });

  test.each([
    ["a word that is not known", { expects: "same" }, "expects"],
    ["another expectation", { expect: "anything" }, "expect"],
    ["no name at all", { names: [] }, "names"],
    ["an empty name", { names: [""] }, "names.0"],
  ])("adopt refuses %s", async (_, body, parameter) => {
    const { heard, post } = listening();
    const answer = await post(`${uuid(1)}/adopt`, body);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ parameters: [{ parameter }] });
    expect(heard).toEqual([]);
  });

  test("refuses a body that is no JSON, is too large, or says more than it may", async () => {
    const { heard, post } = listening();
    expect((await post(`${uuid(1)}/push`, "{")).status).toBe(400);
    expect((await post(`${uuid(1)}/push`, { force: true })).status).toBe(400);
    expect((await post(`${uuid(1)}/adopt`, { names: ["A".repeat(70_000)] })).status).toBe(413);
    expect(heard).toEqual([]);
  });

  test("knows no binding of another id, and says what its state does not allow", async () => {
    const missing = listening(async () => null);
    expect((await missing.post(`${uuid(7)}/push`)).status).toBe(404);
    expect((await missing.post("no-uuid/push")).status).toBe(404);
    expect(missing.heard.map(({ id }) => id)).toEqual([uuid(7)]);
    const refusing = listening(async () => {
      throw new ApiProblem("conflict", "It is suspended. Resume it first.");
    });
    const answer = await refusing.post(`${uuid(1)}/push`);
    expect(answer.status).toBe(409);
    expect(await answer.json()).toMatchObject({ detail: "It is suspended. Resume it first." });
  });
});
